package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"roost/internal/xmpptest"
)

// TestHandOnReplaced: a client makes a new session instead of resuming the earlier one, and
// reads stored messages that the earlier one had, too, before these are handed on. It gets
// them once.
func TestHandOnReplaced(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	first := loginManaged(t, s, "juliet", "r")
	first.ask("<presence/>")
	romeo.sendNumbered(0, 1, "is in the queue of the first session only")
	first.await("id='m.0'")
	first.ask("<presence><priority>-1</priority></presence>")
	romeo.sendNumbered(1, 2, "is stored")
	romeo.sync()
	first.write("<presence/>")
	first.await("id='m.1'")

	storing, goOn := make(chan struct{}), make(chan struct{})
	st.SetFault(func(op string) error {
		if op == "AppendOfflineAll" {
			close(storing)
			<-goOn
		}
		return nil
	})
	second := loginManaged(t, s, "juliet", "r")
	<-storing // message 0
	second.write("<presence/>")
	second.await("id='m.1'")
	st.SetFault(nil)
	close(goOn)
	second.await("id='m.0'")
	second.ask("<presence/>") // its echo comes after the messages that are stored
	romeo.sendNumbered(2, 3, "is the last one")
	second.await("id='m.2'")
	if got := second.received(); !slices.Equal(got, []int{1, 0, 2}) {
		t.Errorf("received %v", got)
	}
}

// TestHandOnWhileReplaced: the client makes its new session while messages that the earlier
// one had are stored again, behind one that was not stored before. It gets them once.
func TestHandOnWhileReplaced(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	first := loginManaged(t, s, "juliet", "r")
	first.ask("<presence/>")
	romeo.sendNumbered(0, 1, "is in the queue of the first session only")
	first.await("id='m.0'")
	first.ask("<presence><priority>-1</priority></presence>")
	romeo.sendNumbered(1, 2, "is stored")
	romeo.sync()
	first.write("<presence/>")
	first.await("id='m.1'")

	storing, goOn := make(chan struct{}), make(chan struct{})
	st.SetFault(func(op string) error {
		if op == "AppendOfflineAll" {
			close(storing)
			<-goOn
		}
		return nil
	})
	_ = first.conn.Close()
	<-storing // messages 0 and 1
	second := loginManaged(t, s, "juliet", "r")
	second.write("<presence/>")
	second.await("<presence") // its echo
	st.SetFault(nil)
	close(goOn)
	second.await("id='m.1'")
	second.sync()
	romeo.sendNumbered(2, 3, "is the last one")
	second.await("id='m.2'")
	if got := second.received(); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("received %v", got)
	}
}

// TestHandOnKeepsPlaces: messages that a client has got from the store, and not acknowledged,
// stay before those that are still there for it, although messages that the client got before,
// because they were sent to its full JID before it sent presence, have to be stored.
func TestHandOnKeepsPlaces(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.PageBytes = 3000
	s := xmpptest.NewServer(t, cfg)
	romeo, paris := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "paris", plainHeader)
	for i := range 6 {
		romeo.write(fmt.Sprintf("<message type='chat' to='juliet@localhost/r' id='m.%d'><body>%s</body></message>", i, strings.Repeat("x", 1000)))
	}
	romeo.sync()
	first := loginManaged(t, s, "juliet", "r")
	paris.write("<message type='chat' to='juliet@localhost/r' id='m.6'><body>b</body></message>")
	first.await("id='m.6'")
	romeo.write("<message type='chat' to='juliet@localhost/r' id='m.7'><body>b</body></message>")
	first.await("id='m.7'")
	first.write("<presence/>")
	first.await("id='m.0'")
	first.lose(s, "juliet@localhost/r")
	second := loginRaw(t, s, "juliet", plainHeader)
	second.write("<presence/>")
	second.await("id='m.7'")
	if got := second.received(); !slices.Equal(got, numbers(0, 8)) {
		t.Errorf("received %v", got)
	}
}
