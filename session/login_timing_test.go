package session_test

import (
	"encoding/base64"
	"testing"

	"roost/internal/xmpptest"
	"roost/session"
)

// BenchmarkFirstResponse measures SCRAM's first response for an account that exists and for
// one that does not: an attacker can measure their ratio.
func BenchmarkFirstResponse(b *testing.B) {
	for _, user := range []string{"romeo", "nobody"} {
		b.Run(user, func(b *testing.B) {
			s := xmpptest.NewServer(b, xmpptest.Config{Session: session.Config{MaxFailures: -1}})
			conn, err := s.Dial()
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 4096)
			ask := func(text string) {
				if _, err := conn.Write([]byte(text)); err != nil {
					b.Fatal(err)
				}
				for n := 0; n == 0 || buf[n-1] != '>' || buf[0] == '<' && buf[1] == '?' && n < 200; {
					m, err := conn.Read(buf[n:])
					if err != nil {
						b.Fatal(err)
					}
					n += m
				}
			}
			ask(openStream)
			first := "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>" +
				base64.StdEncoding.EncodeToString([]byte("n,,n="+user+",r=nonce")) + "</auth>"
			b.ReportAllocs()
			for b.Loop() {
				ask(first) // discards the previous exchange
			}
		})
	}
}

// BenchmarkLogin measures whole logins, from the connection to the end of the session.
func BenchmarkLogin(b *testing.B) {
	s := xmpptest.NewServer(b, xmpptest.Config{})
	b.ReportAllocs()
	for b.Loop() {
		c := &saslClient{fuzzClient: fuzzClient{b, dial(b, s)}}
		c.ask(openStream, "</stream:features>")
		c.login("romeo")
		c.ask("</stream:stream>", "</stream:stream>")
		_ = c.conn.Close()
	}
}
