package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"roost/internal/teststores"
	"roost/internal/xmpptest"
)

// TestRestartOffline: a client that has not read all of its stored messages when the server
// is restarted gets the rest when it resumes its session, in order and once. Messages that
// are sent after the restart follow.
func TestRestartOffline(t *testing.T) {
	cfg := xmpptest.Config{Location: teststores.SQLite.New(t)}
	cfg.Router.PageBytes = 3000
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, 10, strings.Repeat("b", 1000))
	romeo.sync()
	juliet := loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "/>")
	_, id, _ := strings.Cut(juliet.got, "<enabled xmlns='urn:xmpp:sm:3' id='")
	id, _, _ = strings.Cut(id, "'")
	juliet.got, juliet.used = "", 0
	juliet.say("<presence/>", "id='m.1'")
	juliet.sync()
	if n := len(juliet.received()); n < 2 || n > 8 {
		t.Fatalf("%d messages were sent before one was acknowledged, want some of 10", n)
	}
	s.Suspend(t)

	s = xmpptest.NewServer(t, cfg)
	romeo = loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(10, 12, "b")
	romeo.sync()
	juliet = dialRaw(t, s)
	authenticate(juliet, "juliet", plainHeader)
	juliet.say("<resume xmlns='urn:xmpp:sm:3' h='0' previd='"+id+"'/>", "<resumed ")
	juliet.got, juliet.used = juliet.got[juliet.used:], 0
	for i := range 12 {
		juliet.await(fmt.Sprintf("id='m.%d'", i))
		juliet.ack(i)
	}
	juliet.sync()
	if got := juliet.received(); !slices.Equal(got, numbers(0, 12)) {
		t.Errorf("received %v", got)
	}
	xmpptest.Eventually(t, "all messages to be deleted", func() bool { return storedMessages(t, s) == 0 })
}
