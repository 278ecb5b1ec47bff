package router_test

import (
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
)

// TestAvailableTogether: contacts on two nodes that become available at the same time, so that
// for each the directory says that the other is not available yet, get each other's presence.
func TestAvailableTogether(t *testing.T) {
	cluster, nodes := newCluster(t, 2, xmpptest.Config{})
	befriend(t, nodes[0], jid.MustParse("juliet@localhost"), jid.MustParse("romeo@localhost"))
	romeo, juliet := loginAs(t, nodes[0], "romeo", "r", plainHeader), loginAs(t, nodes[1], "juliet", "r", plainHeader)
	release := cluster.HoldUpdates()
	romeo.ask("<presence><show>away</show></presence>")
	juliet.ask("<presence/>")
	release()
	cluster.Wait()
	juliet.used = 0 // it may have come before the release
	juliet.await("<presence from='romeo@localhost/r' to='juliet@localhost'><show>away</show></presence>")
}
