package server

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"roost/admin/api"
)

// TestWebSocketResume: a session can be resumed over another transport. What is sent to it
// from then on, and what is received, has the framing of that one, and what is sent again has
// it too.
func TestWebSocketResume(t *testing.T) {
	for _, fragment := range []int{0, 1} {
		s := startServer(t, func(cfg *Config) { cfg.WebSocket.Addr = "127.0.0.1:0" })
		juliet := connect(t, s).login("juliet", "j")
		var romeo *peer
		dial := map[api.Transport]func() net.Conn{
			api.TransportTCP: func() net.Conn { return connect(t, s).conn },
			api.TransportWebSocket: func() net.Conn {
				w := openWeb(t, s.webDial(t))
				w.fragment = fragment
				return w
			},
		}
		id, received := "", 0
		for i, via := range []api.Transport{
			api.TransportTCP, api.TransportWebSocket, api.TransportTCP, api.TransportWebSocket, api.TransportWebSocket, api.TransportTCP, api.TransportWebSocket,
		} {
			old := romeo
			romeo = &peer{t: t, conn: dial[via]()}
			if i == 0 {
				got := romeo.login("romeo", "r").ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "/>")
				id = regexp.MustCompile(` id='([^']+)'`).FindStringSubmatch(got)[1]
			} else {
				if i%2 == 0 { // otherwise the server has not noticed the loss, and closes the connection
					_ = old.conn.Close()
				}
				romeo.authenticate("romeo")
				romeo.ask(fmt.Sprintf("<resume xmlns='urn:xmpp:sm:3' previd='%s' h='%d'/>", id, received), "<resumed ")
				if got := romeo.ask("", "</message>"); !strings.Contains(got, fmt.Sprintf("id='m%d'", i-1)) || !strings.Contains(got, "<delay ") {
					t.Errorf("%d: received %s", i, got)
				}
				received++
				if i%2 == 1 {
					if got := old.ask("", "</stream:stream>"); !strings.Contains(got, "<conflict ") {
						t.Errorf("%d: the former connection gets %s", i, got)
					}
				}
			}
			if _, page := jids(t, adminOf(t, s), "account=romeo@localhost"); len(page.Sessions) != 1 || page.Sessions[0].Transport != via {
				t.Errorf("%d: the sessions are %+v, want one over %s", i, page.Sessions, via)
			}
			romeo.ask(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/><message to='juliet@localhost/j' id='r%d'/>", received, i)+pingServer, "id='p'")
			received++
			juliet.ask("", fmt.Sprintf("id='r%d'", i))
			juliet.ask(fmt.Sprintf("<message to='romeo@localhost/r' id='m%d'><body>x</body></message>", i)+pingServer, "id='p'")
			romeo.ask("", fmt.Sprintf("id='m%d'", i))
		}
	}
}
