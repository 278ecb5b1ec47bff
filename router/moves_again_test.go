package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
	"roost/store/faultstore"
	"roost/store/memstore"
)

// takingNodes calls a function instead of taking a session's entry over from another node.
type takingNodes struct {
	*memnodes.Node
	take atomic.Pointer[func(do takeFunc) (router.Registered, error)] // the next time; nil: none
}

// takeFunc takes the entry over.
type takeFunc func() (router.Registered, error)

func (n *takingNodes) Register(ctx context.Context, account, resource string, r router.Registration) (router.Registered, error) {
	do := func() (router.Registered, error) { return n.Node.Register(ctx, account, resource, r) }
	if r.From != 0 {
		if f := n.take.Swap(nil); f != nil {
			return (*f)(do)
		}
	}
	return do()
}

// movesAgain are two nodes, a and b. juliet's phone is on a, and can be resumed; desk is
// another client of hers, and romeo writes to her.
type movesAgain struct {
	t                  *testing.T
	cluster            *memnodes.Cluster
	a, b               *xmpptest.Server
	taking             *takingNodes // of b
	phone, desk, romeo *rawClient
	id                 string // of the session
}

func newMovesAgain(t *testing.T) *movesAgain {
	t.Helper()
	cluster, nodes := newCluster(t, 2, xmpptest.Config{})
	m := &movesAgain{t: t, cluster: cluster, a: nodes[0], b: nodes[1], taking: &takingNodes{Node: nodes[1].Node()}}
	m.b.Router.Join(m.taking)
	m.phone, m.id = resumable(t, m.a, "juliet")
	m.phone.say("<presence><priority>1</priority></presence>", "<presence")
	m.desk = loginAs(t, m.a, "juliet", "desk", plainHeader)
	m.desk.say("<presence><priority>-1</priority></presence>", "from='juliet@localhost/r'")
	m.romeo = loginRaw(t, m.a, "romeo", plainHeader)
	cluster.Wait()
	return m
}

// resume has the phone ask a node for its session, and f called instead of the takeover of its
// entry.
func (m *movesAgain) resume(s *xmpptest.Server, f func(do takeFunc) (router.Registered, error)) {
	m.t.Helper()
	m.taking.take.Store(&f)
	m.phone = dialRaw(m.t, s)
	authenticate(m.phone, "juliet", plainHeader)
	m.phone.write("<resume xmlns='urn:xmpp:sm:3' h='1' previd='" + m.id + "'/>")
}

// check checks that the phone's session is on a node, and on no other one, and that nobody has
// seen it leave.
func (m *movesAgain) check(on, other *xmpptest.Server) {
	m.t.Helper()
	xmpptest.Eventually(m.t, "the session is on one node", func() bool { return other.Sessions.Find("juliet@localhost", "r") == nil })
	m.romeo.sendNumbered(0, 1, "b")
	m.phone.await("id='m.0'")
	m.cluster.Wait()
	m.phone.sync()
	m.desk.sync()
	if got := m.phone.received(); !slices.Equal(got, []int{0}) || strings.Contains(m.phone.got, "<conflict") {
		m.t.Errorf("the client received %s", m.phone.got)
	}
	if strings.Contains(m.desk.got, "type='unavailable'") {
		m.t.Errorf("another client received %s", m.desk.got)
	}
	xmpptest.Eventually(m.t, "the directory has the session", func() bool {
		return slices.Contains(m.cluster.Places("juliet@localhost"), router.Place{Resource: "r", Node: on.Node().Self(), Available: true, Priority: 1})
	})
}

// TestRegisteredWhereItWas: the node that a session leaves registers its resources again after
// the other one has taken it.
// Bug: it was taken for another one, so it ended on both nodes.
func TestRegisteredWhereItWas(t *testing.T) {
	m := newMovesAgain(t)
	m.resume(m.b, func(do takeFunc) (router.Registered, error) {
		got, err := do()
		m.a.Node().Repeat(router.LostEntries)
		return got, err
	})
	m.phone.await("<resumed ")
	m.check(m.b, m.a)
}

// TestRegisteredWhereItArrives: the node to which a session moves registers its resources again
// before it has taken the session over.
// Bug: the session ended there, and its entry stayed.
func TestRegisteredWhereItArrives(t *testing.T) {
	m := newMovesAgain(t)
	m.resume(m.b, func(do takeFunc) (router.Registered, error) {
		m.b.Node().Repeat(router.LostEntries)
		return do()
	})
	m.phone.await("<resumed ")
	m.check(m.b, m.a)
}

// TestRegisteredNowhere: the directory has lost the entry of a session that is moving, and another
// node has stored a message, because it did not find the resource. The client gets it where it is.
func TestRegisteredNowhere(t *testing.T) {
	m := newMovesAgain(t)
	m.resume(m.b, func(do takeFunc) (router.Registered, error) {
		m.a.Node().Unregister("juliet@localhost", "r")
		message := store.NewMessage{From: jid.MustParse("romeo@localhost/r"), Received: time.Now(),
			Stanza: []byte("<message from='romeo@localhost/r' to='juliet@localhost' type='chat' id='m.7'><body>b</body></message>")}
		if err := m.b.Store.AppendOffline(t.Context(), jid.MustParse("juliet@localhost"), message, store.OfflineQuota{}); err != nil {
			t.Error(err)
		}
		return do()
	})
	m.phone.await("<resumed ")
	m.phone.await("id='m.7'")
}

// TestRegisteredLater: the node to which a session moves can register it only later, before the
// other one knows that the session has arrived.
// Bug: the session ended on both nodes, and nobody was told.
func TestRegisteredLater(t *testing.T) { synctest.Test(t, testRegisteredLater) }

func testRegisteredLater(t *testing.T) {
	m := newMovesAgain(t)
	var release func()
	m.resume(m.b, func(takeFunc) (router.Registered, error) {
		release = m.b.Node().HoldSent()
		return router.Registered{}, router.ErrNoDirectory
	})
	m.phone.await("<resumed ")
	m.b.Node().Repeat(router.LostEntries)
	release()
	m.check(m.b, m.a)
}

// TestRegisteredAfterLeft: the same, after the other node has removed the entry.
func TestRegisteredAfterLeft(t *testing.T) {
	m := newMovesAgain(t)
	m.resume(m.b, func(takeFunc) (router.Registered, error) { return router.Registered{}, router.ErrNoDirectory })
	m.phone.await("<resumed ")
	m.b.Node().Repeat(router.LostEntries)
	m.check(m.b, m.a)
}

// TestRegisteredWhereItStays: the directory has lost the entry of a session while it was moving,
// and the session stays where it was.
func TestRegisteredWhereItStays(t *testing.T) {
	m := newMovesAgain(t)
	m.resume(m.b, func(takeFunc) (router.Registered, error) {
		m.a.Node().Unregister("juliet@localhost", "r")
		m.a.Node().Repeat(router.LostEntries)
		return router.Registered{Taken: true}, nil
	})
	m.phone.await("<item-not-found")
	xmpptest.Eventually(t, "the session is registered", func() bool { return len(m.cluster.Places("juliet@localhost")) == 2 })
	m.phone = resumeAt(t, m.a, "juliet", m.id, "1")
	m.check(m.a, m.b)
}

// TestBoundWhereItWas: a client binds the resource of a session on the node that the session
// leaves, just before the other one takes its entry over. The new session stays, and is found.
// Bug: it was not in the directory, and contacts were told of its end.
func TestBoundWhereItWas(t *testing.T) {
	m := newMovesAgain(t)
	m.phone.await("from='juliet@localhost/desk'")
	m.phone.sync()
	m.phone.say("<a xmlns='urn:xmpp:sm:3' h='3'/><r xmlns='urn:xmpp:sm:3'/>", "<a ") // nothing has to be handed on first
	var other *rawClient
	arrived := make(chan struct{})
	m.resume(m.b, func(do takeFunc) (router.Registered, error) {
		defer close(arrived)
		other = loginAs(t, m.a, "juliet", "r", plainHeader)
		other.say("<presence><priority>1</priority></presence>", "<presence")
		return do()
	})
	<-arrived
	xmpptest.Eventually(t, "the moved session has ended", func() bool { return m.b.Sessions.Find("juliet@localhost", "r") == nil })
	m.phone = other
	m.desk.await("<presence type='unavailable' from='juliet@localhost/r'")
	m.desk.await("<presence from='juliet@localhost/r'")
	m.desk.got, m.desk.used = m.desk.got[m.desk.used:], 0
	m.check(m.a, m.b)
}

// TestTakenLostSilently: the node that a session has left was treated as dead meanwhile, and does not
// learn that the session has arrived. When it gives its copy up, the session stays available.
func TestTakenLostSilently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMovesAgain(t)
		m.resume(m.b, func(do takeFunc) (router.Registered, error) {
			got, err := do()
			m.a.Node().Cut()
			m.a.Node().Heal()
			return got, err
		})
		m.phone.await("<resumed ")
		m.desk.sync()
		if m.a.Sessions.Find("juliet@localhost", "r") == nil {
			t.Error("the session is given up although the other node may refuse it")
		}
		time.Sleep(30 * time.Second) // less than AckTimeout
		m.check(m.b, m.a)
	})
}

// TestStoredBeforeItStays: a node has stored a message for a session that was moving, and that
// stays where it was. The client gets the message.
// Bug: it did not, until another one was stored.
func TestStoredBeforeItStays(t *testing.T) {
	m := newMovesAgain(t)
	owner := jid.MustParse("juliet@localhost")
	m.resume(m.b, func(takeFunc) (router.Registered, error) {
		message := store.NewMessage{From: jid.MustParse("romeo@localhost"), Stanza: []byte("<message from='romeo@localhost' to='juliet@localhost' id='stored'><body>b</body></message>")}
		if err := m.b.Store.AppendOffline(t.Context(), owner, message, store.OfflineQuota{}); err != nil {
			t.Error(err)
		}
		lane := m.a.Router.NewLane()
		lane.Item(m.b.Node().Self(), owner.String(), router.StoredItem(owner))
		lane.Flush()
		return router.Registered{Taken: true}, nil
	})
	m.phone.await("<item-not-found")
	xmpptest.Eventually(t, "the session waits again", func() bool {
		s := m.a.Sessions.Find("juliet@localhost", "r")
		return s != nil && !s.Ending()
	})
	m.phone = resumeAt(t, m.a, "juliet", m.id, "1")
	m.phone.await("id='stored'")
}

// TestMovesBehindStored: a session that has been sent a page of the stored messages moves, and a
// message is sent to it where it was. The client gets that after all that are stored.
// Bug: it got it after the first page.
func TestMovesBehindStored(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.PageBytes = 3000
	nodes := newNodes(t, 2, cfg)
	const n = 10
	romeo := loginRaw(t, nodes[0], "romeo", plainHeader)
	romeo.sendNumbered(0, n, strings.Repeat("x", 1000))
	romeo.sync()
	nodes[1].Router.Join(&registeredNodes{nodes[1].Node(), func() {
		romeo.sendNumbered(n, n+1, "b")
		romeo.sync()
	}})
	juliet, id := resumable(t, nodes[0], "juliet")
	juliet.write("<presence/>")
	juliet.await("id='m.0'")
	juliet = resumeAt(t, nodes[1], "juliet", id, "0")
	for next := range n + 1 {
		juliet.await(fmt.Sprintf("id='m.%d'", next))
		juliet.ack(next)
	}
	if got := juliet.received(); !slices.Equal(got, numbers(0, n+1)) {
		t.Errorf("received %v", got)
	}
}

// TestMovesWithUnreadable: the stored messages could not be read where a session was. The client
// gets them, once, where it resumes its session.
// Bug: it got them with its next login.
func TestMovesWithUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults faultstore.Faults
		cfg := xmpptest.Config{Cluster: memnodes.New(), Location: memstore.New()}
		b := xmpptest.NewServer(t, cfg)
		cfg.Store = faults.Options()
		a := xmpptest.NewServer(t, cfg)
		romeo := loginRaw(t, a, "romeo", plainHeader)
		romeo.sendNumbered(0, 1, "b")
		romeo.sync()
		faults.SetFault(func(op string) error {
			if op == "Offline" {
				return errors.New("no connection")
			}
			return nil
		})
		juliet, id := resumable(t, a, "juliet")
		juliet.say("<presence/>", "<presence")
		synctest.Wait()
		juliet = resumeAt(t, b, "juliet", id, "1")
		synctest.Wait()
		faults.SetFault(nil)
		time.Sleep(time.Minute)
		juliet.sync()
		if got := juliet.received(); !slices.Equal(got, []int{0}) {
			t.Errorf("received %v", got)
		}
	})
}
