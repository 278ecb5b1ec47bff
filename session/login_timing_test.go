package session_test

import (
	"encoding/base64"
	"net"
	"strings"
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
			var conn net.Conn
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
			first := "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>" +
				base64.StdEncoding.EncodeToString([]byte("n,,n="+user+",r=nonce")) + "</auth>"
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%5 == 0 { // a stream ends after a few exchanges that are discarded
					b.StopTimer()
					if conn != nil {
						_ = conn.Close()
					}
					var err error
					if conn, err = s.Dial(); err != nil {
						b.Fatal(err)
					}
					ask(openStream)
					b.StartTimer()
				}
				ask(first) // discards the previous exchange
			}
			_ = conn.Close()
		})
	}
}

// BenchmarkLogin measures whole logins, from the connection to the end of the session: as
// in RFC 6120, with SASL2 and Bind 2, and by a token. The first two verify a password.
func BenchmarkLogin(b *testing.B) {
	const id = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><bind xmlns='urn:xmpp:bind:0'/>"
	run := func(name string, login func(s *xmpptest.Server) func(c *saslClient)) {
		b.Run(name, func(b *testing.B) {
			s := xmpptest.NewServer(b, xmpptest.Config{})
			f := login(s)
			b.ReportAllocs()
			for b.Loop() {
				c := &saslClient{fuzzClient: fuzzClient{b, dial(b, s)}}
				c.ask(openStream, "</stream:features>")
				f(c)
				c.ask("</stream:stream>", "</stream:stream>")
				_ = c.conn.Close()
			}
		})
	}
	run("RFC 6120", func(*xmpptest.Server) func(c *saslClient) {
		return func(c *saslClient) { c.login("romeo") }
	})
	run("SASL2", func(*xmpptest.Server) func(c *saslClient) {
		return func(c *saslClient) { c.ask(authPlain+id+"</authenticate>", "</stream:features>") }
	})
	run("token", func(s *xmpptest.Server) func(c *saslClient) {
		c := &saslClient{fuzzClient: fuzzClient{b, dial(b, s)}}
		c.ask(openStream, "</stream:features>")
		_, token, _ := strings.Cut(c.ask(authPlain+id+request(none)+"</authenticate>", "</stream:features>"), " token='")
		token, _, _ = strings.Cut(token, "'")
		_ = c.conn.Close()
		login := "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + none + "'><initial-response>" +
			base64.StdEncoding.EncodeToString([]byte(hashed("romeo", token))) + "</initial-response>" + useFAST + id + "</authenticate>"
		return func(c *saslClient) { c.ask(login, "</stream:features>") }
	})
}
