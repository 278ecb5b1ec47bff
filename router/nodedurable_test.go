package router_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
	"roost/store/memstore"
)

// readStore calls a function after each page that was read from it.
type readStore struct {
	store.Store
	read atomic.Pointer[func()] // nil: none
}

func (s *readStore) Offline(ctx context.Context, owner jid.JID, after int64, size int) ([]store.OfflineMessage, bool, error) {
	msgs, more, err := s.Store.Offline(ctx, owner, after, size)
	if f := s.read.Load(); f != nil {
		(*f)()
	}
	return msgs, more, err
}

// readNodes returns two nodes that store messages before they deliver them, and the store of
// the second one.
func readNodes(t *testing.T) (c *memnodes.Cluster, a, b *xmpptest.Server, st *readStore) {
	t.Helper()
	cfg := durable()
	c, st = memnodes.New(), new(readStore)
	cfg.Cluster, cfg.Location = c, memstore.New()
	a = xmpptest.NewServer(t, cfg)
	cfg.Wrap = func(s store.Store) store.Store {
		st.Store = s
		return st
	}
	return c, a, xmpptest.NewServer(t, cfg), st
}

// TestDurableArrivesLate: the recipient has read a message from the store before it comes from
// the node that has stored it, and acknowledges it just then. It gets it once.
func TestDurableArrivesLate(t *testing.T) {
	for _, copies := range []bool{false, true} {
		cluster, a, b, st := readNodes(t)
		romeo := loginRaw(t, a, "romeo", plainHeader)
		if copies { // then node a sees to the message
			other := loginManaged(t, a, "juliet", "other")
			other.say("<presence/>", "<presence")
		}
		old := loginManaged(t, b, "juliet", "r")
		old.say("<presence/>", "<presence")
		cluster.Wait()
		release := b.Node().Hold()
		romeo.sendNumbered(0, 1, "b")
		romeo.sync()
		_ = old.conn.Close()
		juliet := loginManaged(t, b, "juliet", "r")
		juliet.write("<presence/>")
		juliet.await("id='m.0'")

		read, goOn, handled := make(chan struct{}), make(chan struct{}), make(chan struct{})
		block := func() {
			st.read.Store(nil)
			close(read)
			<-goOn
		}
		st.read.Store(&block)
		release()
		go func() {
			cluster.Wait()
			close(handled)
		}()
		select {
		case <-read:
			juliet.ack(0)
			awaitStored(t, b, 0)
			close(goOn)
			<-handled
		case <-handled:
			st.read.Store(nil)
			juliet.ack(0)
			awaitStored(t, b, 0)
		}
		juliet.sync()
		if got := juliet.received(); !slices.Equal(got, []int{0}) {
			t.Errorf("copies: %v: received %v", copies, got)
		}
	}
}

// TestDurableArrivesBetweenPages: what a node has read from the store is not compared with a
// message that comes from another node while a page is being sent.
func TestDurableArrivesBetweenPages(t *testing.T) {
	cluster, a, b, st := readNodes(t)
	romeo := loginRaw(t, a, "romeo", plainHeader)
	juliet := loginManaged(t, b, "juliet", "r")
	juliet.say("<presence/>", "<presence")
	cluster.Wait()
	calls := 0
	check := func() {
		if calls++; !b.Router.RostersLocked("juliet@localhost") {
			t.Error("a page may be being sent")
		}
	}
	st.read.Store(&check)
	romeo.sendNumbered(0, 1, "b")
	juliet.await("id='m.0'")
	cluster.Wait()
	if st.read.Store(nil); calls == 0 {
		t.Error("the store was not read")
	}
	if strings.Contains(juliet.got, "<delay") {
		t.Errorf("the message has a delay stamp: %s", juliet.got)
	}
	juliet.ack(0)
	awaitStored(t, b, 0)
}
