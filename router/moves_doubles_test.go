package router_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
	"roost/store/memstore"
)

// registeredNodes calls a function after a session's entry was taken over from another node.
type registeredNodes struct {
	*memnodes.Node
	taken func()
}

func (n *registeredNodes) Register(ctx context.Context, account, resource string, r router.Registration) (router.Registered, error) {
	got, err := n.Node.Register(ctx, account, resource, r)
	if r.From != 0 {
		n.taken()
	}
	return got, err
}

// TestBothWhileMoving: while a session is in the tables of two nodes, a message to the bare JID
// from the node that it leaves reaches it once.
func TestBothWhileMoving(t *testing.T) {
	nodes := newNodes(t, 2, xmpptest.Config{})
	taken, goOn := make(chan struct{}), make(chan struct{})
	nodes[1].Router.Join(&registeredNodes{nodes[1].Node(), func() {
		close(taken)
		<-goOn
	}})
	juliet, id := resumable(t, nodes[0], "juliet")
	juliet.say("<presence/>", "<presence")
	romeo := loginRaw(t, nodes[0], "romeo", plainHeader)
	juliet = dialRaw(t, nodes[1])
	authenticate(juliet, "juliet", plainHeader)
	juliet.write("<resume xmlns='urn:xmpp:sm:3' h='1' previd='" + id + "'/>")
	<-taken
	romeo.sendNumbered(0, 1, "b")
	romeo.sync()
	close(goOn)
	juliet.await("id='m.0'")
	xmpptest.Eventually(t, "the session has left", func() bool { return nodes[0].Sessions.Find("juliet@localhost", "r") == nil })
	romeo.sendNumbered(1, 2, "b")
	juliet.await("id='m.1'")
	if got := juliet.received(); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("received %v", got)
	}
}

// silentNodes loses what says that a session has arrived.
type silentNodes struct {
	*memnodes.Node
	lost chan struct{} // closed then
	once sync.Once
}

func (n *silentNodes) Send(to router.NodeID, account string, item []byte) bool {
	if router.IsTaken(item) {
		n.once.Do(func() { close(n.lost) })
		return true
	}
	return n.Node.Send(to, account, item)
}

// TestTakenLost: a node that was treated as dead after it has sent a session, and so does not
// learn that the session has arrived, gives it up, and it stays available to others.
// Bug: the session stayed for as long as both nodes lived.
func TestTakenLost(t *testing.T) {
	router.CheckDepartures(t, 10*time.Millisecond)
	nodes := newNodes(t, 2, xmpptest.Config{})
	silent := &silentNodes{Node: nodes[1].Node(), lost: make(chan struct{})}
	nodes[1].Router.Join(silent)
	phone, id := resumable(t, nodes[0], "juliet")
	phone.say("<presence/>", "<presence")
	desk := loginAs(t, nodes[0], "juliet", "desk", plainHeader)
	desk.say("<presence/>", "from='juliet@localhost/r'")
	phone = dialRaw(t, nodes[1])
	authenticate(phone, "juliet", plainHeader)
	phone.write("<resume xmlns='urn:xmpp:sm:3' h='2' previd='" + id + "'/>")
	<-silent.lost
	nodes[0].Node().Cut()
	nodes[0].Node().Heal()
	xmpptest.Eventually(t, "the session has left", func() bool { return nodes[0].Sessions.Find("juliet@localhost", "r") == nil })
	phone.await("<resumed")
	// It may be until its place in the directory is the new one.
	xmpptest.Eventually(t, "the session is said to be available", func() bool {
		desk.sync()
		return strings.LastIndex(desk.got, "<presence from='juliet@localhost/r'") > strings.LastIndex(desk.got, "<presence type='unavailable' from='juliet@localhost/r'")
	})
}

// heldDeletes holds the first deletion of messages.
type heldDeletes struct {
	store.Store
	first  atomic.Bool   // it has begun
	begun  chan struct{} // closed then
	hold   chan struct{} // until it is closed
	closed sync.Once
}

func (s *heldDeletes) DeleteOffline(ctx context.Context, owner jid.JID, ids []int64) error {
	if s.first.CompareAndSwap(false, true) {
		close(s.begun)
		<-s.hold
	}
	return s.Store.DeleteOffline(ctx, owner, ids)
}

func (s *heldDeletes) release() { s.closed.Do(func() { close(s.hold) }) }

// TestAckedBeforeMove: a message that was acknowledged, and that the node has not deleted from
// the store yet, is not sent again by the node to which the session moves.
func TestAckedBeforeMove(t *testing.T) {
	st := &heldDeletes{begun: make(chan struct{}), hold: make(chan struct{})}
	cfg := durable()
	cfg.Cluster, cfg.Location = memnodes.New(), memstore.New()
	cfg.Wrap = func(s store.Store) store.Store {
		st.Store = s
		return st
	}
	a := xmpptest.NewServer(t, cfg)
	defer st.release()
	cfg.Wrap = nil
	b := xmpptest.NewServer(t, cfg)
	juliet, id := resumable(t, a, "juliet")
	juliet.say("<presence/>", "<presence")
	romeo := loginRaw(t, b, "romeo", plainHeader)
	romeo.sendNumbered(0, 1, "b")
	juliet.await("id='m.0'")
	juliet.ack(0)
	<-st.begun
	juliet = resumeAt(t, b, "juliet", id, "2")
	owner := jid.MustParse("juliet@localhost")
	lane := b.Router.NewLane()
	lane.Item(a.Node().Self(), owner.String(), router.StoredItem(owner))
	lane.Flush()
	romeo.sendNumbered(1, 2, "b")
	juliet.await("id='m.1'")
	if got := juliet.received(); !slices.Equal(got, []int{1}) {
		t.Errorf("received %v", got)
	}
}
