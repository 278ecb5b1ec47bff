package router_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
)

// lostNodes are three nodes. juliet's phone is on the first one and her desk on the second. Their
// sessions end with their connections.
type lostNodes struct {
	t           *testing.T
	cluster     *memnodes.Cluster
	nodes       []*xmpptest.Server
	phone, desk *rawClient
}

func newLostNodes(t *testing.T) *lostNodes {
	t.Helper()
	cluster, nodes := newCluster(t, 3, xmpptest.Config{})
	n := &lostNodes{t: t, cluster: cluster, nodes: nodes}
	n.phone, n.desk = n.login(0, "phone"), n.login(1, "desk")
	cluster.Wait()
	return n
}

func (n *lostNodes) login(node int, resource string) *rawClient {
	n.t.Helper()
	c := loginManaged(n.t, n.nodes[node], "juliet", resource)
	c.ask("<presence/>")
	return c
}

// send has romeo send a message to juliet, from a node.
func (n *lostNodes) send(node int) {
	n.t.Helper()
	romeo := loginRaw(n.t, n.nodes[node], "romeo", plainHeader)
	romeo.sendNumbered(0, 1, "b")
	romeo.sync()
}

// sent is send, and waits until both resources have the message.
func (n *lostNodes) sent(node int) {
	n.t.Helper()
	n.send(node)
	n.phone.await("id='m.0'")
	n.desk.await("id='m.0'")
}

// lose ends a session.
func (n *lostNodes) lose(c *rawClient, node int, resource string) {
	n.t.Helper()
	c.lose(n.nodes[node], "juliet@localhost/"+resource)
	n.cluster.Wait()
}

// check checks how many messages are stored, and that these clients have received the message
// once.
func (n *lostNodes) check(stored int, clients ...*rawClient) {
	n.t.Helper()
	n.cluster.Wait()
	for i, c := range clients {
		c.sync()
		if got := c.received(); !slices.Equal(got, []int{0}) {
			n.t.Errorf("client %d has received %v", i, got)
		}
	}
	awaitStored(n.t, n.nodes[2], stored)
}

// TestLostCopyAcked: the session of a resource ends that has not acknowledged a message, and a
// resource of another node has. That is not sent the message again, wherever the sender is.
func TestLostCopyAcked(t *testing.T) {
	for node := range 3 {
		t.Run(fmt.Sprintf("sender on node %d", node), func(t *testing.T) {
			n := newLostNodes(t)
			n.sent(node)
			n.desk.ack(0)
			n.desk.sync()
			n.lose(n.phone, 0, "phone")
			n.check(0, n.desk)
		})
	}
}

// TestLostCopies: no resource has acknowledged a message. It is stored when the last session ends,
// once.
func TestLostCopies(t *testing.T) {
	for node := range 3 {
		t.Run(fmt.Sprintf("sender on node %d", node), func(t *testing.T) {
			n := newLostNodes(t)
			n.sent(node)
			n.lose(n.phone, 0, "phone")
			n.check(0, n.desk)
			n.lose(n.desk, 1, "desk")
			n.check(1)
		})
	}
}

// TestLostCopyOther: another resource of a third node did not get the message. It gets it when both
// that did are lost.
func TestLostCopyOther(t *testing.T) {
	n := newLostNodes(t)
	n.sent(2)
	tablet := goOnline(t, n.nodes[2], "juliet", "tablet")
	n.cluster.Wait()
	n.lose(n.desk, 1, "desk")
	tablet.sync()
	if got := tablet.received(); len(got) > 0 {
		t.Errorf("received %v", got)
	}
	n.lose(n.phone, 0, "phone")
	n.check(0, tablet)
	if !strings.Contains(tablet.got, "<delay ") {
		t.Errorf("received %s", tablet.got)
	}
}

// TestLostCopiesAtOnce: both sessions end at the same time, before one node hears of the other one.
// The message is not lost.
func TestLostCopiesAtOnce(t *testing.T) {
	n := newLostNodes(t)
	n.sent(2)
	releaseA, releaseB := n.nodes[0].Node().HoldFor("juliet@localhost"), n.nodes[1].Node().HoldFor("juliet@localhost")
	tablet := goOnline(t, n.nodes[2], "juliet", "tablet") // is believed to have it otherwise
	n.phone.lose(n.nodes[0], "juliet@localhost/phone")
	n.desk.lose(n.nodes[1], "juliet@localhost/desk")
	releaseA()
	releaseB()
	n.cluster.Wait()
	tablet.await("id='m.0'")
}

// TestLostCopyNotYet: a resource has lost its copy before another one gets its own, which is then
// the only one.
func TestLostCopyNotYet(t *testing.T) {
	n := newLostNodes(t)
	release := n.nodes[1].Node().HoldFor("romeo@localhost")
	n.send(2)
	n.phone.await("id='m.0'")
	n.lose(n.phone, 0, "phone")
	tablet := goOnline(t, n.nodes[2], "juliet", "tablet")
	release()
	n.desk.await("id='m.0'")
	n.lose(n.desk, 1, "desk")
	n.check(0, tablet)
}

// TestLostCopyUntaken: a copy arrives when nobody takes it, and then another session is there. The
// other node learns that nobody has the copy.
func TestLostCopyUntaken(t *testing.T) {
	n := newLostNodes(t)
	release := n.nodes[1].Node().HoldFor("romeo@localhost")
	n.send(2)
	n.phone.await("id='m.0'")
	leave(n.desk)
	n.desk.lose(n.nodes[1], "juliet@localhost/desk")
	release()
	n.cluster.Wait()
	n.nodes[1].Router.ForgetUntaken()
	desk := goOnline(t, n.nodes[1], "juliet", "desk")
	n.cluster.Wait()
	n.lose(n.phone, 0, "phone")
	n.check(0, desk)
}

// TestLostCopyDied: the node of the other resource that got the message has died. The message is
// handed on, even if the account has resources on a third node.
func TestLostCopyDied(t *testing.T) {
	n := newLostNodes(t)
	n.sent(2)
	n.nodes[1].Node().Kill()
	n.cluster.Wait()
	tablet := goOnline(t, n.nodes[2], "juliet", "tablet")
	n.cluster.Wait()
	n.lose(n.phone, 0, "phone")
	n.check(0, tablet)
}

// TestLostCopyReturned: the node of the other resource dies before it learns that the copy is
// lost. The message is stored, with the time at which it was sent.
func TestLostCopyReturned(t *testing.T) {
	n := newLostNodes(t)
	n.sent(2)
	n.nodes[1].Node().Hold()
	n.phone.lose(n.nodes[0], "juliet@localhost/phone")
	n.nodes[1].Node().Kill()
	n.check(1)
	tablet := goOnline(t, n.nodes[2], "juliet", "tablet")
	tablet.sync()
	if got := strings.Count(tablet.got, "<delay "); got != 1 {
		t.Errorf("%d stamps: %s", got, tablet.got)
	}
}

// TestLostCopiesModel is TestHandOnCopies for resources on two nodes. A message that is stored was
// acknowledged by none of the resources that were on the node of the last one: when that ends, the
// other node is not asked.
func TestLostCopiesModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	cluster, nodes := newCluster(t, 3, xmpptest.Config{})
	romeo := loginRaw(t, nodes[2], "romeo", plainHeader)
	next := 0
	for round := range 20 {
		var all []*lostCopy
		last := 0               // the node of the last one
		acked := [2]int{-1, -1} // up to which message, by node
		for i := range 2 + random.IntN(3) {
			c := &lostCopy{resource: fmt.Sprint("r", i), node: random.IntN(2)}
			c.rawClient = loginManaged(t, nodes[c.node], "juliet", c.resource)
			c.ask("<presence/>")
			all = append(all, c)
		}
		cluster.Wait()
		first := next
		next += 1 + random.IntN(6)
		romeo.sendNumbered(first, next, "b")
		romeo.sync()
		cluster.Wait()
		for _, c := range all {
			c.sync()
			if n := random.IntN(next - first + 1); n > 0 {
				c.ack(first + n - 1)
				c.sync()
				acked[c.node] = max(acked[c.node], first+n-1)
			}
		}
		for len(all) > 0 {
			for _, c := range all {
				c.sync()
				if got := c.received(); !slices.Equal(got, numbers(first, next)) {
					t.Fatalf("round %d: %s has received %v, want %d to %d", round, c.resource, got, first, next-1)
				}
			}
			i := random.IntN(len(all))
			c := all[i]
			all = slices.Delete(all, i, i+1)
			c.lose(nodes[c.node], "juliet@localhost/"+c.resource)
			cluster.Wait()
			last = c.node
		}
		reader := goOnline(t, nodes[2], "juliet", "reader")
		reader.sync()
		if got, want := reader.received(), numbers(max(first, acked[last]+1), next); !slices.Equal(got, want) {
			t.Fatalf("round %d: %v were stored, want %v", round, got, want)
		}
		leave(reader)
		reader.lose(nodes[2], "juliet@localhost/reader")
		cluster.Wait()
	}
}

// lostCopy is a client that gets copies.
type lostCopy struct {
	*rawClient
	resource string
	node     int
}

// TestLostCopyRefused: there is no space in the queue to the node of another resource, which does
// not get the message.
func TestLostCopyRefused(t *testing.T) {
	n := newLostNodes(t)
	full := &currentNodes{Node: n.nodes[0].Node()}
	n.nodes[0].Router.Join(full)
	full.full.Store(true)
	n.send(0)
	n.phone.await("id='m.0'")
	full.full.Store(false)
	desk := goOnline(t, n.nodes[1], "juliet", "another")
	n.cluster.Wait()
	n.lose(n.phone, 0, "phone")
	n.check(0, desk)
}

// TestLostCopyUndelivered: the item with the copy for another resource, whose node has not died,
// comes back to the sender's node.
func TestLostCopyUndelivered(t *testing.T) {
	n := newLostNodes(t)
	n.sent(2)
	message := n.phone.got[strings.Index(n.phone.got, "<message"):]
	message = message[:strings.Index(message, "</message>")+len("</message>")]
	a, b := n.nodes[0].Node().Self(), n.nodes[1].Node().Self()
	item := router.MessageItem(router.FlagReached, router.ReachedFields("phone", a), 0, jid.MustParse("romeo@localhost/r"), message)
	n.nodes[2].Router.Undelivered(b, "romeo@localhost", item, false)
	n.cluster.Wait()
	n.desk.ack(0)
	tablet := goOnline(t, n.nodes[2], "juliet", "tablet")
	n.cluster.Wait()
	n.lose(n.phone, 0, "phone")
	n.check(0, tablet)
}

// TestLostCopyOnly: the node that sees to a message finds its resource gone, and the one that got a
// copy sees to it: that copy is the only one.
func TestLostCopyOnly(t *testing.T) {
	n := newLostNodes(t)
	release := n.nodes[0].Node().HoldFor("romeo@localhost")
	n.send(2)
	n.desk.await("id='m.0'")
	leave(n.phone)
	n.phone.lose(n.nodes[0], "juliet@localhost/phone")
	release()
	n.cluster.Wait()
	tablet := goOnline(t, n.nodes[2], "juliet", "tablet")
	n.cluster.Wait()
	n.lose(n.desk, 1, "desk")
	n.check(0, tablet)
}

// TestLostCopyNoSpace: there is no space in the queue to say that a copy is lost.
func TestLostCopyNoSpace(t *testing.T) {
	n := newLostNodes(t)
	full := &currentNodes{Node: n.nodes[0].Node()}
	n.nodes[0].Router.Join(full)
	n.sent(2)
	full.full.Store(true)
	n.lose(n.phone, 0, "phone")
	n.check(1)
}
