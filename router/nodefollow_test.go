package router_test

import (
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
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
