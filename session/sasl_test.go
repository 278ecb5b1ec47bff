package session_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xdg-go/scram"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
	"roost/store"
	"roost/store/faultstore"
)

// saslClient is a client that has not authenticated yet.
type saslClient struct {
	fuzzClient
	buf   string
	after string // what it sends after each element of an exchange
}

func newSASLClient(t testing.TB, s *xmpptest.Server) *saslClient {
	t.Helper()
	c := &saslClient{fuzzClient: fuzzClient{t, dial(t, s)}}
	c.ask(openStream, "</stream:features>")
	return c
}

// ask sends text and returns the response up to and including until.
func (c *saslClient) ask(send, until string) string {
	c.t.Helper()
	c.write(send)
	buf := make([]byte, 4096)
	for !strings.Contains(c.buf, until) {
		n, err := c.conn.Read(buf)
		c.buf += string(buf[:n])
		if err != nil {
			c.t.Fatalf("%v while waiting for %q; got %s", err, until, c.buf)
		}
	}
	end := strings.Index(c.buf, until) + len(until)
	got := c.buf[:end]
	c.buf = c.buf[end:]
	return got
}

// sasl sends a message of the exchange and returns the response: the name of the element,
// and its data or error condition.
func (c *saslClient) sasl(element, data string) (name, answer string) {
	c.t.Helper()
	name, _, _ = strings.Cut(element, " ")
	got := c.ask("<"+element+" xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"+data+"</"+name+">"+c.after, ">")
	name, _, _ = strings.Cut(strings.TrimPrefix(got, "<"), " ")
	if name == "failure" {
		answer = strings.Trim(c.ask("", ">"), "</>")
		c.ask("", "</failure>")
		return name, answer
	}
	if strings.HasSuffix(got, "/>") {
		return name, ""
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(c.ask("", "</"+name+">"), "</"+name+">"))
	if err != nil {
		c.t.Fatal(err)
	}
	return name, string(text)
}

// scram performs a whole exchange and returns "" for success, or the error condition.
func (c *saslClient) scram(mechanism string, hash scram.HashGeneratorFcn, user, password, authzid string) string {
	c.t.Helper()
	client, err := hash.NewClient(user, password, authzid)
	if err != nil {
		c.t.Fatal(err)
	}
	conv := client.NewConversation()
	element, challenge := "auth mechanism='"+mechanism+"'", ""
	for {
		message, err := conv.Step(challenge)
		if err != nil {
			c.t.Fatalf("%s: %v", mechanism, err)
		}
		name, answer := c.sasl(element, base64.StdEncoding.EncodeToString([]byte(message)))
		switch name {
		case "failure":
			return answer
		case "success":
			// RFC 6120 section 6.4.6: the success element contains the server's signature.
			if _, err := conv.Step(answer); err != nil || !conv.Valid() {
				c.t.Errorf("%s: the server's signature is not valid: %v", mechanism, err)
			}
			return ""
		}
		element, challenge = "response", answer
	}
}

// TestSCRAM: with each mechanism, only a client that knows the password can log in, and
// only as itself. An account that does not exist gets a challenge as others do.
func TestSCRAM(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	for name, hash := range map[string]scram.HashGeneratorFcn{"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-1": scram.SHA1} {
		f := func(user, password, authzid, want string) {
			t.Helper()
			if got := newSASLClient(t, s).scram(name, hash, user, password, authzid); got != want {
				t.Errorf("%s: %s with %q as %q: %q, want %q", name, user, password, authzid, got, want)
			}
		}
		f("romeo", "secret", "", "")
		f("romeo", "secret", "romeo@localhost", "")
		f("romeo", "wrong", "", "not-authorized")
		f("nobody", "secret", "", "not-authorized")
		f("romeo", "secret", "juliet@localhost", "invalid-authzid")
		f("romeo", "secret", "romeo@example.net", "invalid-authzid")
	}
}

// TestLineFeeds: clients that end every element with a line feed, such as go-xmpp, can log in by
// both profiles, although [RFC 6120 section 6.3.5] forbids them to.
//
// [RFC 6120 section 6.3.5]: https://www.rfc-editor.org/rfc/rfc6120#section-6.3.5
func TestLineFeeds(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	for name, login := range map[string]func(c *saslClient, mechanism string, hash scram.HashGeneratorFcn, user, password, authzid string) string{
		"SASL": (*saslClient).scram, "SASL2": (*saslClient).scram2,
	} {
		c := newSASLClient(t, s)
		c.after = "\n"
		for _, try := range []struct{ password, want string }{{"wrong", "not-authorized"}, {"secret", ""}} {
			if got := login(c, "SCRAM-SHA-1", scram.SHA1, "romeo", try.password, ""); got != try.want {
				t.Errorf("%s, password %s: %q, want %q", name, try.password, got, try.want)
			}
		}
	}
}

// TestSCRAMSalts: clients can log in to accounts whose salts are those of other servers. Names
// without an account get salts of these forms, too.
func TestSCRAMSalts(t *testing.T) {
	hashes := map[store.Hash]scram.HashGeneratorFcn{store.SHA1: scram.SHA1, store.SHA256: scram.SHA256}
	users := []string{"romeo", "juliet", "mercutio", "benvolio", "nurse", "paris"}
	salts := []string{"2f1cd35a-5b9e-4c0b-9a52-0c3f2b1de8a4", strings.Repeat("x", store.MaxSaltSize), "y"}
	s := xmpptest.NewServer(t, xmpptest.Config{Session: session.Config{Iterations: store.MinIterations}, Wrap: func(st store.Store) store.Store {
		for i, user := range users {
			var c store.Credentials
			for h := range hashes {
				salt := salts[(i+int(h))%len(salts)]
				var err error
				if c[h], err = store.DeriveKeys(h, "secret", []byte(salt), store.MinIterations); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Check(); err != nil {
				t.Fatal(err)
			}
			if _, err := st.SetCredentials(t.Context(), jid.MustParse(user+"@localhost"), store.AnyEvent, c, false); err != nil {
				t.Fatal(err)
			}
		}
		return st
	}})
	for h, hash := range hashes {
		for i, user := range users[:len(salts)] {
			if got := newSASLClient(t, s).scram(h.Mechanism(), hash, user, "secret", ""); got != "" {
				t.Errorf("%s with %s: %q", user, h.Mechanism(), got)
			}
			if got := newSASLClient(t, s).scram(h.Mechanism(), hash, user, "wrong", ""); got != "not-authorized" {
				t.Errorf("%s with %s and a wrong password: %q", user, h.Mechanism(), got)
			}
			if salt, _ := newSASLClient(t, s).beginSCRAM(h.Mechanism(), user); string(salt) != salts[(i+int(h))%len(salts)] {
				t.Errorf("%s with %s: the salt %q", user, h.Mechanism(), salt)
			}
		}
		forms := make(map[store.SaltForm]int)
		for i := range 30 {
			salt, _ := newSASLClient(t, s).beginSCRAM(h.Mechanism(), fmt.Sprint("nobody", i))
			forms[store.SaltFormOf(salt)]++
		}
		if forms[store.SaltUUID] == 0 || forms[store.MaxSaltSize] == 0 || forms[1] == 0 || len(forms) != len(salts) {
			t.Errorf("%s: names without an account have salts of these forms: %v", h.Mechanism(), forms)
		}
	}
}

// TestDowngradeProtection: the server's first message has a hash of the mechanisms that the
// client was offered (XEP-0474). If an attacker replaces it, to hide that they have replaced
// the mechanisms, the client's proof is not valid for the server.
func TestDowngradeProtection(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	for attack, want := range map[string]string{"": "success", "changed": "failure not-authorized"} {
		for _, sasl2 := range []bool{false, true} {
			c := newSASLClient(t, s)
			client, err := scram.SHA256.NewClient("romeo", "secret", "")
			if err != nil {
				t.Fatal(err)
			}
			conv := client.NewConversation()
			step := func(message string, first bool) (name, answer string) {
				text, err := conv.Step(message)
				if err != nil {
					t.Fatal(err)
				}
				data := base64.StdEncoding.EncodeToString([]byte(text))
				switch {
				case !sasl2 && first:
					return c.sasl("auth mechanism='SCRAM-SHA-256'", data)
				case !sasl2:
					return c.sasl("response", data)
				case first:
					return c.sasl2("authenticate mechanism='SCRAM-SHA-256'", "<initial-response>"+data+"</initial-response>")
				}
				return c.sasl2("response", data)
			}
			_, answer := step("", true)
			hash := sha256.Sum256([]byte("PLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-256"))
			attribute := ",h=" + base64.StdEncoding.EncodeToString(hash[:])
			if !strings.HasSuffix(answer, attribute) {
				t.Fatalf("%s, want %s", answer, attribute)
			}
			if attack == "changed" {
				hash = sha256.Sum256([]byte("PLAIN"))
				answer = strings.TrimSuffix(answer, attribute) + ",h=" + base64.StdEncoding.EncodeToString(hash[:])
			}
			name, answer := step(answer, false)
			if name == "failure" {
				name += " " + answer
			}
			if name != want {
				t.Errorf("%q, SASL2 %v: %s, want %s", attack, sasl2, name, want)
			}
		}
	}
}

// TestDecoyCredentials: neither the salt nor the number of iterations reveals whether an
// account exists ([RFC 6120 section 13.10.2]): from the first login on and after a restart,
// whether all accounts have the same number of iterations or not.
//
// [RFC 6120 section 13.10.2]: https://www.rfc-editor.org/rfc/rfc6120#section-13.10.2
func TestDecoyCredentials(t *testing.T) {
	start := func(juliets int) *xmpptest.Server {
		return xmpptest.NewServer(t, xmpptest.Config{Wrap: func(st store.Store) store.Store {
			other, err := store.NewCredentials("secret", juliets)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := st.SetCredentials(t.Context(), jid.MustParse("juliet@localhost"), store.AnyEvent, other, false); err != nil {
				t.Fatal(err)
			}
			return st
		}})
	}
	challenge := func(s *xmpptest.Server, user string) (salt, iterations string) {
		t.Helper()
		_, answer := newSASLClient(t, s).sasl("auth mechanism='SCRAM-SHA-1'", base64.StdEncoding.EncodeToString([]byte("n,,n="+user+",r=nonce")))
		_, after, _ := strings.Cut(answer, ",s=")
		salt, iterations, _ = strings.Cut(after, ",")
		iterations, _, _ = strings.Cut(iterations, ",")
		return salt, iterations
	}
	first := start(store.MinIterations)
	for i := range 20 {
		if _, got := challenge(first, "nobody"+strconv.Itoa(i)); got != "i=4096" {
			t.Fatalf("all accounts have 4096 iterations, but nobody%d has %s", i, got)
		}
	}
	// One of six accounts has another number, so about a sixth of the names must have it,
	// too.
	before, after := start(store.MinIterations+1), start(store.MinIterations+1)
	const names = 240
	seen := map[string]int{}
	for i := range names {
		user := "nobody" + strconv.Itoa(i)
		salt, iterations := challenge(before, user)
		salt2, iterations2 := challenge(after, user)
		if salt != salt2 || iterations != iterations2 {
			t.Errorf("%s has %s,%s, and after a restart %s,%s", user, salt, iterations, salt2, iterations2)
		}
		seen[iterations]++
	}
	if len(seen) != 2 || seen["i=4097"] < names/12 || seen["i=4097"] > names/3 || seen["i=4096"]+seen["i=4097"] != names {
		t.Errorf("decoys: %v, want about %d with 4097", seen, names/6)
	}
}

// TestSameWork: a failed login makes the same calls to the store whether the account exists
// or not, with each mechanism. BenchmarkFirstResponse measures the allocations and the
// time.
func TestSameWork(t *testing.T) {
	var calls atomic.Pointer[[]string]
	var st faultstore.Faults
	s := xmpptest.NewServer(t, xmpptest.Config{Store: st.Options()})
	st.SetFault(func(method string) error {
		if p := calls.Load(); p != nil {
			*p = append(*p, method)
		}
		return nil
	})
	newSASLClient(t, s).plain("paris", "wrong") // the first login makes more calls
	work := func(user string, login func(c *saslClient) string) string {
		t.Helper()
		c := newSASLClient(t, s)
		var list []string
		calls.Store(&list)
		got := login(c)
		calls.Store(nil)
		if got != "not-authorized" {
			t.Errorf("%s: %q", user, got)
		}
		return strings.Join(list, " ")
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
		login := func(user string) func(c *saslClient) string {
			return func(c *saslClient) string {
				switch mechanism {
				case "PLAIN":
					return c.plain(user, "wrong")
				case "SCRAM-SHA-1":
					return c.scram(mechanism, scram.SHA1, user, "wrong", "")
				}
				return c.scram(mechanism, scram.SHA256, user, "wrong", "")
			}
		}
		romeo, nobody := work("romeo", login("romeo")), work("nobody", login("nobody"))
		if romeo != nobody || romeo != "Account" {
			t.Errorf("%s: calls to the store are %q for an existing account, %q for another", mechanism, romeo, nobody)
		}
	}
}

// TestSASLConditions: a disabled account and a failing store have their own conditions
// ([RFC 6120 section 6.5]). Only a client that knows the password learns that the account
// is disabled.
//
// [RFC 6120 section 6.5]: https://www.rfc-editor.org/rfc/rfc6120#section-6.5
func TestSASLConditions(t *testing.T) {
	var st faultstore.Faults
	s := xmpptest.NewServer(t, xmpptest.Config{Store: st.Options()})
	if err := s.Store.SetDisabled(t.Context(), jid.MustParse("paris@localhost"), true); err != nil {
		t.Fatal(err)
	}
	both := func(user, password, want string) {
		t.Helper()
		c := newSASLClient(t, s)
		if got := c.scram("SCRAM-SHA-256", scram.SHA256, user, password, ""); got != want {
			t.Errorf("SCRAM, %s with %q: %q, want %q", user, password, got, want)
		}
		plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
		if _, got := newSASLClient(t, s).sasl("auth mechanism='PLAIN'", plain); got != want {
			t.Errorf("PLAIN, %s with %q: %q, want %q", user, password, got, want)
		}
	}
	both("paris", "secret", "account-disabled")
	both("paris", "wrong", "not-authorized")
	st.SetFault(func(string) error { return errors.New("the disk is missing") })
	both("romeo", "secret", "temporary-auth-failure")
	st.SetFault(nil)
	both("romeo", "secret", "")
}

// TestGeneratedResources: a resource generated by the server cannot be guessed from another
// one ([RFC 6120 section 7.6]).
//
// [RFC 6120 section 7.6]: https://www.rfc-editor.org/rfc/rfc6120#section-7.6
func TestGeneratedResources(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	seen := make(map[string]bool)
	for range 5 {
		c := newSASLClient(t, s)
		if name, _ := c.sasl("auth mechanism='PLAIN'", "AHJvbWVvAHNlY3JldA=="); name != "success" {
			t.Fatal(name)
		}
		c.ask(openStream, "</stream:features>")
		got := c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</jid>")
		_, resource, _ := strings.Cut(strings.TrimSuffix(got, "</jid>"), "<jid>romeo@localhost/")
		for i := 0; i+6 <= len(resource); i++ {
			if part := resource[i : i+6]; seen[part] {
				t.Errorf("%q of the resource %q is also part of another one", part, resource)
			} else {
				seen[part] = true
			}
		}
		if len(resource) < 16 {
			t.Errorf("the resource %q is short enough to be guessed", resource)
		}
	}
}

// TestStreamIDs: "The stream ID MUST be both unpredictable and non-repeating" ([RFC 6120
// section 4.7.3]). Each stream has its own, including the one after authentication.
//
// [RFC 6120 section 4.7.3]: https://www.rfc-editor.org/rfc/rfc6120#section-4.7.3
func TestStreamIDs(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	seen := make(map[string]bool)
	note := func(features string) {
		t.Helper()
		_, id, _ := strings.Cut(features, " id='")
		id, _, _ = strings.Cut(id, "'")
		if len(id) < 16 || seen[id] {
			t.Errorf("the id %q is short or used twice", id)
		}
		seen[id] = true
	}
	for range 5 {
		c := &saslClient{fuzzClient: fuzzClient{t, dial(t, s)}}
		note(c.ask(openStream, "</stream:features>"))
		c.sasl("auth mechanism='PLAIN'", "AHJvbWVvAHNlY3JldA==")
		note(c.ask(openStream, "</stream:features>"))
	}
}
