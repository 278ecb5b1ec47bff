package router_test

import (
	"slices"
	"strings"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
)

// copyNodes are four nodes. juliet's phone is on a, her desk on d, and romeo on c.
type copyNodes struct {
	t                  *testing.T
	cluster            *memnodes.Cluster
	a, b, c, d         *xmpptest.Server
	phone, desk, romeo *rawClient
	phoneID, deskID    string // of her sessions
}

// newCopyNodes starts them. The node of the resource that is first sees to romeo's messages.
func newCopyNodes(t *testing.T, cfg xmpptest.Config, first string) *copyNodes {
	t.Helper()
	cluster, nodes := newCluster(t, 4, cfg)
	n := &copyNodes{t: t, cluster: cluster, a: nodes[0], b: nodes[1], c: nodes[2], d: nodes[3]}
	n.login(first)
	for _, resource := range []string{"phone", "desk"} {
		if resource != first {
			n.login(resource)
		}
	}
	n.romeo = loginRaw(t, n.c, "romeo", plainHeader)
	cluster.Wait()
	return n
}

func (n *copyNodes) login(resource string) {
	n.t.Helper()
	c, id, at := &n.phone, &n.phoneID, n.a
	if resource == "desk" {
		c, id, at = &n.desk, &n.deskID, n.d
	}
	*c, *id = resumableAs(n.t, at, "juliet", resource)
	(*c).say("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence/>", "<presence")
	(*c).sync()
}

// send sends a message to juliet, which has the number 0.
func (n *copyNodes) send() {
	n.t.Helper()
	n.romeo.sendNumbered(0, 1, "b")
	n.romeo.sync()
}

// resume resumes a session of hers on another node.
func (n *copyNodes) resume(to *xmpptest.Server, id string, from *xmpptest.Server, resource string) *rawClient {
	n.t.Helper()
	c := resumeAt(n.t, to, "juliet", id, "0")
	n.left(from, resource)
	return c
}

// left waits until a resource of hers has left a node.
func (n *copyNodes) left(from *xmpptest.Server, resource string) {
	n.t.Helper()
	xmpptest.Eventually(n.t, resource+" has left", func() bool { return from.Sessions.Find("juliet@localhost", resource) == nil })
}

// check checks that what romeo has sent has reached these clients once, and how many messages are
// stored for juliet.
func (n *copyNodes) check(stored int, clients ...*rawClient) {
	n.t.Helper()
	n.cluster.Wait()
	n.romeo.sync() // what it has sent since was handled
	for i, c := range clients {
		c.await("id='m.0'")
		c.sync()
		if got := c.received(); !slices.Equal(got, []int{0}) {
			n.t.Errorf("client %d has received %v", i, got)
		}
	}
	awaitStored(n.t, n.c, stored)
}

// TestCopyOnceDied: the node that has to see to a message dies before it handles it, after
// another one has delivered its copy. That is not delivered again.
func TestCopyOnceDied(t *testing.T) {
	t.Run("the node with the copy takes over", func(t *testing.T) {
		cluster, nodes := newCluster(t, 3, xmpptest.Config{})
		testCopyOnceDied(t, cluster, nodes[0], nodes[1], nodes[2])
	})
	t.Run("the sender's node takes over", func(t *testing.T) {
		cluster, nodes := newCluster(t, 3, xmpptest.Config{})
		testCopyOnceDied(t, cluster, nodes[0], nodes[2], nodes[1])
	})
	t.Run("a third node takes over", func(t *testing.T) {
		cluster, nodes := newCluster(t, 4, xmpptest.Config{})
		testCopyOnceDied(t, cluster, nodes[1], nodes[2], nodes[3])
	})
}

func testCopyOnceDied(t *testing.T, cluster *memnodes.Cluster, a, d, c *xmpptest.Server) {
	goOnline(t, a, "juliet", "phone")
	desk := goOnline(t, d, "juliet", "desk")
	romeo := loginRaw(t, c, "romeo", plainHeader)
	cluster.Wait()
	a.Node().Hold()
	romeo.sendNumbered(0, 1, "b")
	desk.await("id='m.0'")
	a.Node().Kill()
	cluster.Wait()
	desk.sync()
	if got := desk.received(); !slices.Equal(got, []int{0}) {
		t.Errorf("received %v", got)
	}
	awaitStored(t, c, 0)
}

// TestCopyLostDied: the node that has to see to a message dies, and the resource that got a copy
// has left by then: the message is stored, because nobody knows whether it has read it.
func TestCopyLostDied(t *testing.T) {
	n := newCopyNodes(t, xmpptest.Config{}, "phone")
	n.a.Node().Hold()
	n.send()
	n.desk.await("id='m.0'")
	n.desk.say("<presence type='unavailable'/>", "type='unavailable'")
	n.a.Node().Kill()
	n.check(1)
}

// TestCopyOnce: the resource of the node that has to see to a message has left before it is handled.
// The message reaches the resources that were there, wherever they are, once.
func TestCopyOnce(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg xmpptest.Config) {
		t.Run("the phone moves", func(t *testing.T) {
			n := newCopyNodes(t, cfg, "phone")
			release := n.a.Node().HoldFor("romeo@localhost")
			n.send()
			n.desk.await("id='m.0'")
			n.desk.used = 0
			n.phone = n.resume(n.b, n.phoneID, n.a, "phone")
			release()
			n.acked(n.desk, n.phone)
		})
		t.Run("the phone leaves", func(t *testing.T) {
			n := newCopyNodes(t, cfg, "phone")
			release := n.a.Node().HoldFor("romeo@localhost")
			n.send()
			n.desk.await("id='m.0'")
			n.desk.used = 0
			leave(n.phone)
			n.left(n.a, "phone")
			release()
			n.acked(n.desk)
		})
		t.Run("the phone leaves and the desk moves", func(t *testing.T) {
			n := newCopyNodes(t, cfg, "phone")
			release := n.a.Node().HoldFor("romeo@localhost")
			n.send()
			n.desk.await("id='m.0'")
			leave(n.phone)
			n.left(n.a, "phone")
			n.desk = n.resume(n.b, n.deskID, n.d, "desk")
			release()
			n.acked(n.desk)
		})
	})
}

// TestCopyOnceTogether is TestCopyOnce for a phone that moves to the node of the other resource.
func TestCopyOnceTogether(t *testing.T) {
	n := newCopyNodes(t, xmpptest.Config{}, "phone")
	release := n.a.Node().HoldFor("romeo@localhost")
	n.send()
	n.desk.await("id='m.0'")
	n.desk.used = 0
	n.phone = n.resume(n.d, n.phoneID, n.a, "phone")
	release()
	n.acked(n.desk, n.phone)
}

// acked is check, after clients have acknowledged what they have.
func (n *copyNodes) acked(clients ...*rawClient) {
	n.t.Helper()
	n.cluster.Wait()
	for _, c := range clients {
		c.await("id='m.0'")
		c.used = 0
		c.ack(0)
	}
	n.check(0, clients...)
}

func eachMode(t *testing.T, f func(t *testing.T, cfg xmpptest.Config)) {
	t.Run("plain", func(t *testing.T) { f(t, xmpptest.Config{}) })
	t.Run("durable", func(t *testing.T) { f(t, durable()) })
}

// TestCopyNotLost: both resources have left before the message is handled on their nodes, in
// whatever order. It is stored.
func TestCopyNotLost(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg xmpptest.Config) {
		for _, first := range []string{"phone", "desk"} {
			n := newCopyNodes(t, cfg, "phone")
			releaseA, releaseD := n.a.Node().HoldFor("romeo@localhost"), n.d.Node().HoldFor("romeo@localhost")
			n.send()
			phone := func() {
				leave(n.phone)
				n.left(n.a, "phone")
				releaseA()
			}
			desk := func() {
				leave(n.desk)
				n.left(n.d, "desk")
				releaseD()
			}
			if first == "phone" {
				phone()
				n.cluster.Wait() // then the phone's node has asked that of the desk, which has not handled its copy
				desk()
			} else {
				desk()
				n.cluster.Wait()
				phone()
			}
			n.check(1)
		}
	})
}

// TestCopyFollows: a resource has moved before its copy is handled where it was, to another node, or
// to the one that the message was sent to, too, before or after that has handled it.
func TestCopyFollows(t *testing.T) {
	for _, to := range []string{"b", "d before", "d after"} {
		for _, address := range []string{"juliet@localhost", "juliet@localhost/desk"} {
			t.Run(address+" "+to, func(t *testing.T) {
				n := newCopyNodes(t, xmpptest.Config{}, "desk")
				releaseA := n.a.Node().HoldFor("romeo@localhost")
				at, releaseD := n.d, func() {}
				switch to {
				case "b":
					at = n.b
				case "d before":
					releaseD = n.d.Node().HoldFor("romeo@localhost")
				}
				n.romeo.write("<message type='chat' to='" + address + "' id='m.0'><body>b</body></message>")
				n.romeo.sync()
				if to != "d before" {
					n.desk.await("id='m.0'")
					n.desk.used = 0
				}
				n.phone = n.resume(at, n.phoneID, n.a, "phone")
				releaseD()
				n.cluster.Wait()
				releaseA()
				n.cluster.Wait()
				n.desk.await("id='m.0'")
				n.phone.await("id='m.0'")
				n.phone.sync()
				n.desk.sync()
				if got := strings.Count(n.phone.got, "id='m.0'"); got != 1 {
					t.Errorf("the phone got %d: %s", got, n.phone.got)
				}
				if got := n.desk.received(); !slices.Equal(got, []int{0}) {
					t.Errorf("the desk received %v", got)
				}
			})
		}
	}
}

// TestRecipientFollowed: the resource that a message is addressed to has moved before its node handles
// the message. It gets the message, whatever its type, and another resource of that node does not.
func TestRecipientFollowed(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg xmpptest.Config) {
		for _, typ := range []string{"normal", "chat"} {
			n := newCopyNodes(t, cfg, "phone")
			tablet := goOnline(t, n.a, "juliet", "tablet")
			n.cluster.Wait()
			release := n.a.Node().HoldFor("romeo@localhost")
			n.romeo.write("<message type='" + typ + "' to='juliet@localhost/phone' id='m.0'><body>b</body></message>")
			n.romeo.sync()
			n.phone = n.resume(n.b, n.phoneID, n.a, "phone")
			release()
			n.acked(n.phone)
			tablet.sync()
			if got := tablet.received(); len(got) > 0 {
				t.Errorf("%s: another resource received %v", typ, got)
			}
			if strings.Contains(n.romeo.got, "type='error'") {
				t.Errorf("%s: the sender got %s", typ, n.romeo.got)
			}
		}
	})
}

// TestCopyUntaken: a copy arrives when nobody takes it, and then the resource that it was for is
// there again, in a new session: the message is not believed to have reached that.
func TestCopyUntaken(t *testing.T) {
	n := newCopyNodes(t, xmpptest.Config{}, "phone")
	releaseA, releaseD := n.a.Node().HoldFor("romeo@localhost"), n.d.Node().HoldFor("romeo@localhost")
	n.send()
	leave(n.desk)
	n.left(n.d, "desk")
	releaseD()
	n.cluster.Wait()
	desk, _ := resumableAs(t, n.d, "juliet", "desk")
	desk.say("<presence/>", "<presence")
	leave(n.phone)
	n.left(n.a, "phone")
	releaseA()
	n.acked(desk)
}

// TestUnknownFlags: flags of a later version are ignored, and a message with damaged fields is not
// delivered.
func TestUnknownFlags(t *testing.T) {
	cluster, nodes := newCluster(t, 2, xmpptest.Config{})
	juliet := goOnline(t, nodes[0], "juliet", "r")
	const message = "<message from='romeo@localhost/r' to='juliet@localhost' id='m.%'><body>b</body></message>"
	lane := nodes[0].Router.NewLane()
	for _, b := range [][]byte{
		router.MessageItem(1|1<<20, nil, 0, jid.MustParse("romeo@localhost/r"), strings.ReplaceAll(message, "%", "0")),
		router.MessageItem(1|router.FlagReached, []byte{200, 3, 'a'}, 0, jid.MustParse("romeo@localhost/r"), strings.ReplaceAll(message, "%", "1")),
	} {
		lane.Item(nodes[1].Node().Self(), "romeo@localhost", b)
		lane.Flush()
	}
	cluster.Wait()
	juliet.await("id='m.0'")
	juliet.sync()
	if got := juliet.received(); !slices.Equal(got, []int{0}) {
		t.Errorf("received %v", got)
	}
}

// TestRefusedWhereItWasSent: a message that another node has passed on to the sender's own node, where
// nobody takes it, is refused: the sender gets the error.
func TestRefusedWhereItWasSent(t *testing.T) {
	_, nodes := newCluster(t, 2, xmpptest.Config{})
	romeo := goOnline(t, nodes[0], "romeo", "r")
	lane := nodes[0].Router.NewLane()
	lane.Item(nodes[1].Node().Self(), "romeo@localhost", router.MessageItem(1, nil, nodes[0].Node().Self(), jid.MustParse("romeo@localhost/r"),
		"<message from='romeo@localhost/r' to='juliet@localhost/none' id='m.0'><body>b</body></message>"))
	lane.Flush()
	romeo.await("type='error'")
}
