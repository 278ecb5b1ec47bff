package router_test

import (
	"context"
	"strings"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
)

// awaitMoved waits until a resource that another node has taken has left this one.
func awaitMoved(t *testing.T, from *xmpptest.Server, user, resource string) {
	t.Helper()
	xmpptest.Eventually(t, resource+" has left", func() bool { return from.Sessions.Find(user+"@localhost", resource) == nil })
}

// TestApprovalFollows: a contact approves a subscription when the session of the subscriber is about
// to move to another node. The presence follows it.
func TestApprovalFollows(t *testing.T) {
	_, nodes := newCluster(t, 3, xmpptest.Config{})
	juliet := goOnline(t, nodes[2], "juliet", "r")
	romeo := goOnline(t, nodes[0], "romeo", "r")
	id := romeo.enable()
	romeo.ask("<presence type='subscribe' to='juliet@localhost'/>")
	juliet.await("type='subscribe'")
	release := nodes[2].Node().HoldSent()
	juliet.ask("<presence type='subscribed' to='romeo@localhost'/>")
	_ = romeo.conn.Close()
	romeo = resumeAt(t, nodes[1], "romeo", id, "0")
	awaitMoved(t, nodes[0], "romeo", "r")
	release()
	romeo.await("<presence from='juliet@localhost/r'")
}

// TestCancellationFollows: a client cancels a contact's subscription when another session of its account
// is about to move to another node. The contact is told that the resource of that one is not available
// any more.
func TestCancellationFollows(t *testing.T) {
	cluster, nodes := newCluster(t, 3, xmpptest.Config{})
	befriend(t, nodes[0], jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost"))
	phone := goOnline(t, nodes[0], "juliet", "phone")
	id := phone.enable()
	desk := goOnline(t, nodes[2], "juliet", "desk")
	romeo := goOnline(t, nodes[2], "romeo", "r")
	romeo.await("<presence from='juliet@localhost/phone'")
	cluster.Wait()
	release := nodes[2].Node().HoldSent()
	desk.ask("<presence type='unsubscribed' to='romeo@localhost'/>")
	_ = phone.conn.Close()
	resumeAt(t, nodes[1], "juliet", id, "0")
	awaitMoved(t, nodes[0], "juliet", "phone")
	release()
	romeo.await("<presence type='unavailable' from='juliet@localhost/phone'")
}

// TestSentFollows: a client sends a message when the session of another client of its account is about to
// move to another node, where a third one is or not. All others get a copy of the message, and of the
// error that it was answered with, once.
func TestSentFollows(t *testing.T) {
	for _, to := range []string{"b", "d"} {
		n := newCopyNodes(t, xmpptest.Config{}, "phone")
		tablet := loginAs(t, n.c, "juliet", "tablet", plainHeader)
		release := n.c.Node().HoldSent()
		tablet.ask(toNobody)
		at := n.b
		if to == "d" {
			at = n.d
		}
		n.phone = n.resume(at, n.phoneID, n.a, "phone")
		release()
		n.checkSent(n.phone, n.desk)
	}
}

// TestSentOnce: a client sends a message when the session of another client of its account has just left
// a node where a third one stays. Each gets a copy once.
func TestSentOnce(t *testing.T) {
	for _, forgetful := range []bool{false, true} {
		n := newCopyNodes(t, xmpptest.Config{}, "phone")
		watch := loginAs(t, n.a, "juliet", "watch", plainHeader)
		watch.ask("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
		tablet := loginAs(t, n.c, "juliet", "tablet", plainHeader)
		n.phone = n.resume(n.b, n.phoneID, n.a, "phone")
		if forgetful {
			n.c.Router.Join(&unknownNodes{n.c.Node()})
		}
		tablet.ask(toNobody)
		n.checkSent(n.phone, n.desk, watch)
	}
}

// unknownNodes knows nothing of where resources are.
type unknownNodes struct{ *memnodes.Node }

func (n *unknownNodes) Cached(string) ([]router.Place, bool) { return nil, false }

func (n *unknownNodes) Places(context.Context, []string) ([][]router.Place, error) {
	return nil, router.ErrNoDirectory
}

// toNobody is a message that is answered with an error.
const toNobody = "<message to='romeo@localhost/none' id='s'><body>b</body></message>"

// checkSent checks that clients have got a copy of toNobody and of the error, once.
func (n *copyNodes) checkSent(clients ...*rawClient) {
	n.t.Helper()
	n.cluster.Wait()
	for i, c := range clients {
		c.await("<sent ")
		c.await("type='error'")
		c.sync()
		if sent, refused := strings.Count(c.got, "<sent "), strings.Count(c.got, "<received "); sent != 1 || refused != 1 {
			n.t.Errorf("client %d has got %d copies of the message and %d of the error", i, sent, refused)
		}
	}
}
