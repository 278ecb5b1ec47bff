package router_test

import "testing"

// TestSubscriptionFirst: a request for a subscription reaches the recipient's client before its
// node has learned that the roster has changed. When the client approves it, that is not an
// approval in advance.
func TestSubscriptionFirst(t *testing.T) {
	_, a, b := twoNodes(t)
	romeo, mercutio := goOnline(t, a, "romeo", "r"), goOnline(t, b, "mercutio", "m")
	release := b.Node().HoldFor("mercutio@localhost")
	romeo.write("<presence type='subscribe' to='mercutio@localhost'/>")
	mercutio.await("type='subscribe'")
	mercutio.write("<presence type='subscribed' to='romeo@localhost'/>")
	romeo.await("subscription='to'")
	release()
}
