package router_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
)

// resumable logs a client in, and returns the ID of its session.
func resumable(t *testing.T, s *xmpptest.Server, user string) (c *rawClient, id string) {
	t.Helper()
	return resumableAs(t, s, user, "r")
}

// resumableAs is resumable for a resource. The client has neither sent nor received a stanza that
// counts.
func resumableAs(t *testing.T, s *xmpptest.Server, user, resource string) (c *rawClient, id string) {
	t.Helper()
	c = loginAs(t, s, user, resource, plainHeader)
	c.say(enableResume, "<enabled ")
	c.await("/>")
	id = resumeID.FindStringSubmatch(c.got)[1]
	c.got, c.used = "", 0
	return c, id
}

// resumeAt resumes a session that has received h stanzas.
func resumeAt(t *testing.T, s *xmpptest.Server, user, id, h string) *rawClient {
	t.Helper()
	c := dialRaw(t, s)
	authenticate(c, user, plainHeader)
	c.say("<resume xmlns='urn:xmpp:sm:3' h='"+h+"' previd='"+id+"'/>", "<resumed ")
	return c
}

// currentNodes calls a function after a look at the directory, has no space in queues, or waits
// in the middle of a move.
type currentNodes struct {
	*memnodes.Node
	current atomic.Pointer[func()] // nil: none
	full    atomic.Bool
	alone   bool // it does not know yet that there are others

	taken, rest chan struct{} // unless nil, a move waits at these steps until they are closed
	waits       chan struct{} // gets a value then
}

func (n *currentNodes) Others() []router.NodeID {
	if n.alone {
		return nil
	}
	return n.Node.Others()
}

func (n *currentNodes) Register(ctx context.Context, account, resource string, r router.Registration) (router.Registered, error) {
	if r.From != 0 && n.taken != nil {
		n.waits <- struct{}{}
		<-n.taken
	}
	return n.Node.Register(ctx, account, resource, r)
}

func (n *currentNodes) Send(to router.NodeID, account string, item []byte) bool {
	if item[0] == router.ItemRest && n.rest != nil {
		n.waits <- struct{}{}
		<-n.rest
	}
	return !n.full.Load() && n.Node.Send(to, account, item)
}

func (n *currentNodes) Current(ctx context.Context, account string) ([]router.Place, error) {
	places, err := n.Node.Current(ctx, account)
	if f := n.current.Swap(nil); f != nil {
		(*f)()
	}
	return places, err
}

// TestStoredWhileMoving: a session leaves its node after a message for it was stored, and
// before that node has looked for a resource to send it to. It is sent the message where it is
// now.
func TestStoredWhileMoving(t *testing.T) {
	nodes := newNodes(t, 2, xmpptest.Config{})
	n := &currentNodes{Node: nodes[0].Node()}
	nodes[0].Router.Join(n)
	juliet, id := resumable(t, nodes[0], "juliet")
	juliet.say("<presence><priority>-1</priority></presence>", "<presence")
	romeo := loginRaw(t, nodes[0], "romeo", plainHeader)
	looked, goOn := make(chan struct{}), make(chan struct{})
	block := func() {
		close(looked)
		<-goOn
	}
	n.current.Store(&block)
	romeo.sendNumbered(0, 1, "b")
	<-looked
	juliet = resumeAt(t, nodes[1], "juliet", id, "1")
	xmpptest.Eventually(t, "the session has left", func() bool { return nodes[0].Sessions.Find("juliet@localhost", "r") == nil })
	close(goOn)
	juliet.write("<presence/>")
	juliet.await("id='m.0'")
}

// TestStoredWhereItWas: a node that has stored a message tells the node on which the recipient
// was then.
func TestStoredWhereItWas(t *testing.T) {
	nodes := newNodes(t, 3, xmpptest.Config{})
	owner := jid.MustParse("juliet@localhost")
	juliet, id := resumable(t, nodes[0], "juliet")
	juliet.say("<presence/>", "<presence")
	juliet = resumeAt(t, nodes[1], "juliet", id, "1")
	xmpptest.Eventually(t, "the session has left", func() bool { return nodes[0].Sessions.Find("juliet@localhost", "r") == nil })
	m := store.NewMessage{From: jid.MustParse("romeo@localhost"), Stanza: []byte("<message from='romeo@localhost' to='juliet@localhost' id='m.0'><body>b</body></message>")}
	if err := nodes[2].Store.AppendOffline(t.Context(), owner, m, store.OfflineQuota{}); err != nil {
		t.Fatal(err)
	}
	lane := nodes[0].Router.NewLane()
	lane.Item(nodes[2].Node().Self(), owner.String(), router.StoredItem(owner))
	lane.Flush()
	juliet.await("id='m.0'")
}

// TestStoredQueueFull: a node that has no space to say that it has stored a message says so
// later.
func TestStoredQueueFull(t *testing.T) {
	nodes := newNodes(t, 2, xmpptest.Config{})
	n := &currentNodes{Node: nodes[0].Node()}
	nodes[0].Router.Join(n)
	juliet := loginRaw(t, nodes[1], "juliet", plainHeader)
	juliet.say("<presence/>", "<presence")
	romeo := loginRaw(t, nodes[0], "romeo", plainHeader)
	n.full.Store(true)
	romeo.sendNumbered(0, 1, "b")
	romeo.sync()
	n.full.Store(false)
	nodes[0].Router.Rejoined(t.Context(), router.LostTime)
	juliet.await("id='m.0'")
}

// TestDurableWhileMoving: a session is sent a message that is in the store on the node that it
// leaves. The node to which it moves reads the store before that message follows. The client
// gets it once.
func TestDurableWhileMoving(t *testing.T) {
	nodes := newNodes(t, 2, durable())
	var all []*currentNodes
	for _, s := range nodes {
		n := &currentNodes{Node: s.Node(), waits: make(chan struct{})}
		s.Router.Join(n)
		all = append(all, n)
	}
	all[1].taken, all[0].rest = make(chan struct{}), make(chan struct{})
	juliet, id := resumable(t, nodes[0], "juliet")
	juliet.say("<presence/>", "<presence")
	romeo := loginRaw(t, nodes[0], "romeo", plainHeader)
	juliet = dialRaw(t, nodes[1])
	authenticate(juliet, "juliet", plainHeader)
	juliet.write("<resume xmlns='urn:xmpp:sm:3' h='1' previd='" + id + "'/>")
	<-all[1].waits
	romeo.sendNumbered(0, 1, "b")
	romeo.sync()
	close(all[1].taken)
	<-all[0].waits
	lane, owner := nodes[1].Router.NewLane(), jid.MustParse("juliet@localhost")
	lane.Item(nodes[0].Node().Self(), owner.String(), router.StoredItem(owner))
	lane.Flush()
	go func() {
		for range all[0].waits { // the last rest is an item of its own
		}
	}()
	defer close(all[0].waits)
	close(all[0].rest)
	juliet.await("<resumed ")
	juliet.await("id='m.0'")
	romeo.sendNumbered(1, 2, "b")
	juliet.await("id='m.1'")
	if got := juliet.received(); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("received %v", got)
	}
}

// TestMoveFromNewNode: a session moves away from a node that has just joined, which the other
// one knows from the directory only.
func TestMoveFromNewNode(t *testing.T) {
	nodes := newNodes(t, 2, xmpptest.Config{})
	nodes[1].Router.Join(&currentNodes{Node: nodes[1].Node(), alone: true})
	juliet, id := resumable(t, nodes[0], "juliet")
	juliet.say("<presence/>", "<presence")
	resumeAt(t, nodes[1], "juliet", id, "1")
	xmpptest.Eventually(t, "the session has left", func() bool { return nodes[0].Sessions.Find("juliet@localhost", "r") == nil })
}
