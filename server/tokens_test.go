package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
)

// TestTokenMechanisms: over each version of TLS, a client is offered the mechanisms for tokens
// that bind to a channel of this version (draft-schmaus-kitten-sasl-ht-09, XEP-0440). A token
// logs it in by the mechanism that it was issued for, with the binding of this channel, and the
// server proves that it knows the token, too; the binding of another channel does not.
func TestTokenMechanisms(t *testing.T) {
	s := startServer(t, func(c *Config) {
		c.C2STLS, c.Session.AllowPlaintext, c.Session.MaxFailures, c.Session.FailureDelay = "127.0.0.1:0", false, -1, -1
	})
	connect := func(version uint16) (*peer, tls.ConnectionState) {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Addrs()[1].Addr.String(), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MinVersion: version, MaxVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &peer{t: t, conn: conn}, conn.ConnectionState()
	}
	login := func(p *peer, mechanism, message, more, until string) string {
		t.Helper()
		return p.ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='"+mechanism+"'><initial-response>"+base64.StdEncoding.EncodeToString([]byte(message))+
			"</initial-response><user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>"+more+"</authenticate>", until)
	}
	hash := func(token, role string, binding []byte) string {
		h := hmac.New(sha256.New, []byte(token))
		h.Write([]byte(role))
		h.Write(binding)
		return string(h.Sum(nil))
	}
	endpoint := func(state tls.ConnectionState) []byte {
		t.Helper()
		b, err := scram.NewTLSServerEndpointBinding(&state)
		if err != nil {
			t.Fatal(err)
		}
		return b.Data
	}
	own := func(state tls.ConnectionState) []byte { return bindingOf(t, state).Data }
	none := func(tls.ConnectionState) []byte { return nil }
	type bindings map[string]func(tls.ConnectionState) []byte
	for version, offered := range map[uint16]bindings{
		tls.VersionTLS12: {"HT-SHA-256-UNIQ": own, "HT-SHA-256-ENDP": endpoint, "HT-SHA-256-NONE": none},
		tls.VersionTLS13: {"HT-SHA-256-EXPR": own, "HT-SHA-256-ENDP": endpoint, "HT-SHA-256-NONE": none},
	} {
		p, other := connect(version)
		features := p.ask(testHeader, "</stream:features>")
		_, list, _ := strings.Cut(features, "<fast xmlns='urn:xmpp:fast:0'>")
		list, _, _ = strings.Cut(list, "</fast>")
		var got []string
		for _, m := range regexp.MustCompile(`<mechanism>([^<]*)</mechanism>`).FindAllStringSubmatch(list, -1) {
			got = append(got, m[1])
		}
		slices.Sort(got)
		if want := slices.Sorted(maps.Keys(offered)); !slices.Equal(got, want) {
			t.Errorf("TLS %x: %q are offered, want %q", version, got, want)
		}
		for _, name := range []string{string(bindingOf(t, other).Type), "tls-server-end-point"} {
			if !strings.Contains(features, "<channel-binding type='"+name+"'/>") {
				t.Errorf("TLS %x: the binding %s is not in %s", version, name, features)
			}
		}
		for issued := range offered {
			p, _ := connect(version)
			p.ask(testHeader, "</stream:features>")
			reply := login(p, "PLAIN", "\x00romeo\x00secret", "<request-token xmlns='urn:xmpp:fast:0' mechanism='"+issued+"'/>", "</success>")
			token := regexp.MustCompile(` token='([^']+)'`).FindStringSubmatch(reply)
			if token == nil {
				t.Fatalf("TLS %x, %s: no token: %s", version, issued, reply)
			}
			for used, binding := range offered {
				p, state := connect(version)
				p.ask(testHeader, "</stream:features>")
				use := func(data []byte, until string) string {
					t.Helper()
					return login(p, used, "romeo\x00"+hash(token[1], "Initiator", data), "<fast xmlns='urn:xmpp:fast:0'/>", until)
				}
				if used != issued {
					use(binding(state), "<not-authorized ")
					continue
				}
				if used != "HT-SHA-256-NONE" {
					wrong := own(other) // of another channel, as a man in the middle has
					if used == "HT-SHA-256-ENDP" {
						wrong = slices.Repeat([]byte{1}, sha256.Size)
					}
					use(wrong, "<not-authorized ")
					p.ask("", "</failure>")
				}
				proof := base64.StdEncoding.EncodeToString([]byte(hash(token[1], "Responder", binding(state))))
				if got := use(binding(state), "</success>"); !strings.Contains(got, "<additional-data>"+proof+"</additional-data>") {
					t.Errorf("TLS %x, %s: the server has not proved that it knows the token: %s", version, used, got)
				}
			}
		}
	}
}
