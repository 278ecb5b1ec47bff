package router_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"roost/internal/xmpptest"
)

// chatState returns a chat state for juliet.
func chatState(id string) string {
	return "<message type='chat' to='juliet@localhost/r' id='" + id + "'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
}

// TestHeldBeforePage: what is held for an inactive client is sent before the next page of its
// stored messages.
func TestHeldBeforePage(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.PageBytes = 3000
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, 6, strings.Repeat("x", 1000))
	romeo.sync()
	juliet := loginManaged(t, s, "juliet", "r")
	juliet.write("<presence/>")
	juliet.await("id='m.0'")
	juliet.ask(inactive)
	sent := len(juliet.received())
	if sent == 6 {
		t.Fatal("there is only one page")
	}
	romeo.ask(chatState("state"))
	if juliet.sync(); strings.Contains(juliet.got, "id='state'") {
		t.Fatal("a chat state was sent to an inactive client")
	}
	juliet.ack(sent - 1)
	juliet.await(fmt.Sprintf("id='m.%d'", sent))
	if before, _, _ := strings.Cut(juliet.got, fmt.Sprintf("id='m.%d'", sent)); !strings.Contains(before, "id='state'") {
		t.Errorf("the next page was sent before the chat state: %s", juliet.got)
	}
}

// TestHeldBeforeActive: a client is inactive until all that was held for it was sent. So
// whoever finds it active, and sends it something at once, sends it after that.
func TestHeldBeforeActive(t *testing.T) {
	var s *xmpptest.Server
	sent := 0
	var cfg xmpptest.Config
	cfg.Session.Sent = func(b []byte) {
		if !bytes.Contains(b, []byte("id='state'")) {
			return
		}
		sent++
		if x := s.Sessions.Find("juliet@localhost", "r"); !x.Inactive() {
			t.Error("the client was active when a chat state that was held was sent")
		}
	}
	s = xmpptest.NewServer(t, cfg)
	romeo, juliet := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader)
	juliet.ask("<presence/>")
	juliet.ask(inactive)
	romeo.ask(chatState("state"))
	if sent != 0 {
		t.Fatal("a chat state was sent to an inactive client")
	}
	juliet.ask(active)
	if sent != 1 {
		t.Errorf("what was held was sent %d times", sent)
	}
}
