package session_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
)

const (
	phone  = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Messenger</software><device>Phone</device></user-agent>"
	laptop = "<user-agent id='0b8f0a9e-1f5c-4d52-8d6b-6a9d3b1d5a11'/>"
)

// fast sends one <authenticate/> and returns the token and the error condition, if any.
func fast(t *testing.T, s *xmpptest.Server, mechanism, message, rest string) (token, condition string) {
	t.Helper()
	c := newSASLClient(t, s)
	defer c.conn.Close()
	got := c.ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='"+mechanism+"'><initial-response>"+
		base64.StdEncoding.EncodeToString([]byte(message))+"</initial-response>"+rest+"</authenticate>", ">")
	for !strings.HasSuffix(got, "</failure>") && !strings.HasSuffix(got, "</success>") && !strings.HasSuffix(got, "</stream:stream>") {
		got += c.ask("", ">")
	}
	if _, failure, ok := strings.Cut(got, "<failure xmlns='urn:xmpp:sasl:2'><"); ok {
		condition, _, _ = strings.Cut(failure, " ")
		return "", condition
	}
	if strings.Contains(got, "stream:error") {
		return "", "stream error"
	}
	_, token, _ = strings.Cut(got, " token='")
	token, _, _ = strings.Cut(token, "'")
	return token, ""
}

func request(mechanism string) string {
	return "<request-token xmlns='urn:xmpp:fast:0' mechanism='" + mechanism + "'/>"
}

// hashed is the message of HT-SHA-256-NONE.
func hashed(user, token string) string {
	h := hmac.New(sha256.New, []byte(token))
	h.Write([]byte("Initiator"))
	return user + "\x00" + string(h.Sum(nil))
}

const (
	none    = "HT-SHA-256-NONE"
	useFAST = "<fast xmlns='urn:xmpp:fast:0'/>"
)

// TestFAST: a token logs in the client that it was issued to, by the mechanism that it was
// issued for, until the password changes.
func TestFAST(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	first, _ := fast(t, s, "PLAIN", "\x00romeo\x00secret", phone+request(none))
	if first == "" {
		t.Fatal("no token")
	}
	f := func(desc, mechanism, message, rest, want string) {
		t.Helper()
		if token, got := fast(t, s, mechanism, message, rest); got != want || token != "" {
			t.Errorf("%s: %q and the token %q, want %q", desc, got, token, want)
		}
	}
	f("the token", none, hashed("romeo", first), phone+useFAST, "")
	f("the token again", none, hashed("romeo", first), phone+useFAST, "")
	f("another client", none, hashed("romeo", first), laptop+useFAST, "not-authorized")
	f("no client", none, hashed("romeo", first), useFAST, "invalid-mechanism")
	f("without <fast/>", none, hashed("romeo", first), phone, "invalid-mechanism")
	f("another account", none, hashed("juliet", first), phone+useFAST, "not-authorized")
	f("no account", none, hashed("nobody", first), phone+useFAST, "not-authorized")
	f("another token", none, hashed("romeo", first+"x"), phone+useFAST, "not-authorized")
	f("no hash", none, "romeo", phone+useFAST, "malformed-request")
	f("a bad count", none, hashed("romeo", first), phone+"<fast xmlns='urn:xmpp:fast:0' count='-1'/>", "malformed-request")
	f("a mechanism that the channel does not have", "HT-SHA-256-EXPR", hashed("romeo", first), phone+useFAST, "invalid-mechanism")
	f("a password with <fast/>", "PLAIN", "\x00romeo\x00secret", phone+useFAST, "invalid-mechanism")
	f("a token for a mechanism that is not offered", "PLAIN", "\x00romeo\x00secret", phone+request("HT-SHA-256-EXPR"), "")
	f("a token without a client", "PLAIN", "\x00romeo\x00secret", request(none), "")
	f("a token with a wrong password", "PLAIN", "\x00romeo\x00wrong", phone+request(none), "not-authorized")

	// The old token is valid until the new one is used.
	second, _ := fast(t, s, none, hashed("romeo", first), phone+useFAST+request(none))
	f("the old token", none, hashed("romeo", first), phone+useFAST, "")
	f("the new token", none, hashed("romeo", second), phone+useFAST, "")
	f("the old token after the new one", none, hashed("romeo", first), phone+useFAST, "not-authorized")

	// count
	count := func(n string) string { return phone + "<fast xmlns='urn:xmpp:fast:0' count='" + n + "'/>" }
	f("count 0", none, hashed("romeo", second), count("0"), "") // "reset to zero when the token changes"
	f("count 0 again", none, hashed("romeo", second), count("0"), "not-authorized")
	f("count 5", none, hashed("romeo", second), count("5"), "")
	f("count 5 again", none, hashed("romeo", second), count("5"), "not-authorized")
	f("count 4", none, hashed("romeo", second), count("4"), "not-authorized")
	f("count 6", none, hashed("romeo", second), count("6"), "")

	// The store does not contain the token.
	value, err := s.Store.Blob(t.Context(), jid.MustParse("romeo@localhost"), "urn:xmpp:fast:0", "d4565fa7-4d72-4749-b3d3-740edbf87770")
	if err != nil || strings.Contains(string(value), second) || !strings.Contains(string(value), "Messenger") {
		t.Errorf("%s, %v", value, err)
	}

	f("invalidation", none, hashed("romeo", second), phone+"<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>", "")
	f("after it", none, hashed("romeo", second), phone+useFAST, "not-authorized")

	third, _ := fast(t, s, "PLAIN", "\x00romeo\x00secret", phone+request(none))
	keys, err := store.NewCredentials("secret", store.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.SetCredentials(context.Background(), jid.MustParse("romeo@localhost"), store.AnyEvent, keys, false); err != nil {
		t.Fatal(err)
	}
	f("after a change of the password", none, hashed("romeo", third), phone+useFAST, "credentials-expired")
}
