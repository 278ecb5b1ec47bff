package server

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
)

// TestAckRequestWrite: a client gets a stanza and the request to acknowledge it by one system
// call, whatever its connection. So they are in one packet, and the request wakes no phone.
func TestAckRequestWrite(t *testing.T) {
	s := startServer(t, func(c *Config) { c.C2STLS, c.WebSocket.Addr = "127.0.0.1:0", "127.0.0.1:0" })
	dial := map[string]func(*testing.T) net.Conn{
		"tcp": func(t *testing.T) net.Conn { return connect(t, s).conn },
		"tls": func(t *testing.T) net.Conn {
			c, err := tls.Dial("tcp", s.Addrs()[1].Addr.String(), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			return c
		},
		"websocket": func(t *testing.T) net.Conn { return openWeb(t, s.webDial(t)) },
	}
	for name, dial := range dial {
		t.Run(name, func(t *testing.T) {
			p := (&peer{t: t, conn: dial(t)}).login("romeo", name)
			p.ask("<enable xmlns='urn:xmpp:sm:3'/>", "<enabled xmlns='urn:xmpp:sm:3'/>")
			conn := s.sessions.Find("romeo@localhost", name).Conn()
			writes := func() int64 {
				done := make(chan struct{})
				conn.Post(func(int) { close(done) }) // after what the loop has written, and counted
				<-done
				return s.poller.Stats().Writes
			}
			before := writes()
			got := p.ask("<message to='romeo@localhost/"+name+"' id='m'/>", "<r xmlns='urn:xmpp:sm:3'/>")
			if n := writes() - before; n != 1 || !strings.Contains(got, "id='m'") {
				t.Errorf("%d writes for %q, want one", n, got)
			}
		})
	}
}
