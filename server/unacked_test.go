package server

import (
	"fmt"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
)

// TestUnackedMemoryShared: when clients that acknowledge nothing have used up the memory for
// unacknowledged stanzas, it is their sessions that end, although nothing more is sent to them. A
// client with a small roster, which has not acknowledged that either, keeps its session.
func TestUnackedMemoryShared(t *testing.T) {
	const memory = 1 << 20
	s := startServer(t, func(c *Config) { c.Session.UnackedMemory = memory })
	hugeRoster(t, s, 40)
	addLongNames(t, s, jid.MustParse("juliet@localhost"), 4)
	const get = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>"
	const ping = "<iq type='get' id='ping' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	held := func() int64 { return s.sessions.Stats().Acks.Bytes }
	login := func(user, resource string) *peer {
		p := connect(t, s).login(user, resource)
		p.enableResume()
		p.ask(get, "</iq>")
		return p
	}
	for i := range 5 {
		p := login("romeo", fmt.Sprint(i))
		if i%2 == 0 {
			_ = p.conn.Close()
		}
	}
	juliet := login("juliet", "j")
	before := held()
	if before > memory || before < memory-memory/8 {
		t.Fatalf("%d bytes are unacknowledged", before)
	}
	login("romeo", "last")
	for range 20 {
		juliet.ask(ping, "id='ping'")
	}
	xmpptest.Eventually(t, "the sessions with the most to end", func() bool {
		juliet.ask(ping, "id='ping'")
		return held() < memory-memory/4
	})
	if x := s.sessions.Find("juliet@localhost", "j"); x == nil || x.Detached() || x.Ending() {
		t.Error("the client with a small roster has lost its session")
	}
	for x := s.sessions.First("romeo@localhost"); x != nil; x = x.Next() {
		x.Close(nil)
	}
	juliet.ask("</stream:stream>", "</stream:stream>")
	xmpptest.Eventually(t, "nothing to be unacknowledged", func() bool { return held() == 0 })
	if ended := fmt.Sprint(s.sessions.Ended()); !strings.Contains(ended, "resource-constraint") && !strings.Contains(ended, "slow-reader") {
		t.Errorf("sessions have ended: %s", ended)
	}
}
