package server

import (
	"runtime"
	"testing"
	"weak"

	"roost/internal/xmpptest"
	"roost/poller"
)

// TestDetachedOwnsNoConnection: what a session keeps that has lost its connection does not
// include the connection, whichever end has noticed the loss. A session that is resumed has one of
// its own again.
func TestDetachedOwnsNoConnection(t *testing.T) {
	s := startServer(t, nil)
	romeo := connect(t, s).login("romeo", "r")
	id := romeo.enableResume()
	x := s.sessions.Find("romeo@localhost", "r")
	for round := range 3 {
		own := weak.Make(x.Conn().(*poller.Conn))
		loop := own.Value().Loop()
		_ = romeo.conn.Close()
		xmpptest.Eventually(t, "the connection to be freed", func() bool {
			runtime.GC()
			return own.Value() == nil
		})
		if c := x.Conn().(*poller.Conn); !x.Detached() || c.RemoteAddr().IsValid() || c.Loop() != loop {
			t.Errorf("%d: detached: %v, loop %d, want %d", round, x.Detached(), c.Loop(), loop)
		}
		romeo = connect(t, s)
		romeo.authenticate("romeo")
		romeo.ask("<resume xmlns='urn:xmpp:sm:3' previd='"+id+"' h='0'/>", "<resumed ")
		if x != s.sessions.Find("romeo@localhost", "r") || x.Detached() {
			t.Errorf("%d: the session was not resumed", round)
		}
		if c := x.Conn().(*poller.Conn); c.Loop() != loop || c.RemoteAddr().String() != romeo.conn.LocalAddr().String() {
			t.Errorf("%d: resumed on loop %d, want %d", round, c.Loop(), loop)
		}
	}
}
