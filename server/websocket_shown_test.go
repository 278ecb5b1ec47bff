package server

import (
	"fmt"
	"testing"

	"roost/admin/api"
)

// TestWebSocketShown: operators see how many connections are over WebSocket, and which
// sessions are.
func TestWebSocketShown(t *testing.T) {
	s := startServer(t, func(cfg *Config) { cfg.WebSocket.Addr = "127.0.0.1:0" })
	(&peer{t: t, conn: openWeb(t, s.webDial(t))}).login("romeo", "page")
	connect(t, s).login("romeo", "phone").ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "<enabled ")
	c := adminOf(t, s)
	shown := func(want string) {
		t.Helper()
		var st api.Status
		if err := c.Get(t.Context(), api.PathStatus, nil, &st); err != nil {
			t.Fatal(err)
		}
		_, page := jids(t, c, "")
		got := fmt.Sprint(st.Connections.WebSocket, " of ", st.Connections.Open)
		for _, x := range page.Sessions {
			got += fmt.Sprintf(", %s %s %s", x.JID, x.Transport, x.TLS)
		}
		if got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	shown("1 of 2, romeo@localhost/page websocket lean, romeo@localhost/phone tcp none")
}
