package router_test

import (
	"slices"
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
