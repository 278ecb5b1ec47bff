package router_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store/memstore"
)

// blindNodes is a node that cannot read the directory at times. What it sends arrives.
type blindNodes struct {
	*memnodes.Node
	blind, blindNow atomic.Bool // blindNow: only for what is not in memory, and is to be as it is now
}

func (n *blindNodes) Cached(account string) ([]router.Place, bool) {
	if n.blind.Load() {
		return nil, false
	}
	return n.Node.Cached(account)
}

func (n *blindNodes) Places(ctx context.Context, accounts []string) ([][]router.Place, error) {
	if n.blind.Load() {
		return nil, router.ErrNoDirectory
	}
	return n.Node.Places(ctx, accounts)
}

func (n *blindNodes) CurrentAll(ctx context.Context, accounts []string) ([][]router.Place, error) {
	if n.blind.Load() || n.blindNow.Load() {
		return nil, router.ErrNoDirectory
	}
	return n.Node.CurrentAll(ctx, accounts)
}

// blindPair starts two nodes, of which the first can be blind, with a contact of romeo on each: juliet on
// the first one, on which the nurse is a contact of hers, too.
func blindPair(t *testing.T) (cluster *memnodes.Cluster, blind *blindNodes, nodes [2]*xmpptest.Server, juliet *rawClient) {
	cluster, location := memnodes.New(), memstore.New()
	for i := range nodes {
		nodes[i] = xmpptest.NewServer(t, xmpptest.Config{Cluster: cluster, Location: location})
	}
	blind = &blindNodes{Node: nodes[0].Node()}
	nodes[0].Router.Join(blind)
	for _, name := range []string{"romeo", "nurse"} {
		befriend(t, nodes[0], jid.MustParse("juliet@localhost"), jid.MustParse(name+"@localhost"))
	}
	return cluster, blind, nodes, goOnline(t, nodes[0], "juliet", "j")
}

// TestProbeWithoutDirectory: a client probes a contact while it is not known where that is. It is not
// told that the contact is unavailable, but gets its presence from the node that has it.
// Bug: it was told so, and nothing corrected that.
func TestProbeWithoutDirectory(t *testing.T) {
	cluster, blind, nodes, juliet := blindPair(t)
	goOnline(t, nodes[1], "romeo", "r")
	juliet.await("<presence from='romeo@localhost/r'")
	cluster.Wait()
	blind.blind.Store(true)
	before := len(presencesOf(juliet, "romeo@localhost/r"))
	juliet.write("<presence type='probe' to='romeo@localhost/r' id='p1'/><presence type='probe' to='romeo@localhost/other' id='p2'/>")
	juliet.write("<presence type='probe' to='romeo@localhost' id='p3'/><presence type='probe' to='nurse@localhost' id='p4'/>")
	juliet.await("<presence from='romeo@localhost/r'")
	cluster.Wait()
	juliet.sync()
	if got := presencesOf(juliet, "romeo@localhost/r")[before:]; !slices.Equal(got, []bool{true}) {
		t.Errorf("its presence was %v, want it once", got)
	}
	if strings.Contains(juliet.got, "type='unavailable'") {
		t.Errorf("without the directory: %s", juliet.got)
	}
	juliet.say("<presence type='probe' to='paris@localhost' id='p5'/>", "type='unsubscribed'") // no contact
	blind.blind.Store(false)
	for of, id := range map[string]string{"romeo@localhost/other": "p6", "nurse@localhost": "p7"} {
		juliet.say("<presence type='probe' to='"+of+"' id='"+id+"'/>", "id='"+id+"'")
		if all := presencesOf(juliet, of); len(all) == 0 || all[len(all)-1] {
			t.Errorf("the presence of %s was %v", of, all)
		}
	}
}

// TestDiedWithoutDirectory: contacts are to be told that resources have left, of a saved session that has
// ended for example, while it is not known which are back. They are told when that is known.
// Bug: contacts saw those leave that were back, until their next presence.
func TestDiedWithoutDirectory(t *testing.T) { synctest.Test(t, testDiedWithoutDirectory) }

func testDiedWithoutDirectory(t *testing.T) {
	cluster, blind, nodes, juliet := blindPair(t)
	goOnline(t, nodes[1], "romeo", "r")
	juliet.await("<presence from='romeo@localhost/r'")
	blind.blind.Store(true)
	var died []router.Death
	for _, account := range []string{"romeo@localhost", "nurse@localhost"} {
		died = append(died, router.Death{Account: account, Place: router.Place{Resource: "r", Available: true}})
	}
	nodes[0].Router.Died(0, died)
	if juliet.has(cluster, "type='unavailable'") {
		t.Errorf("without the directory: %s", juliet.got)
	}
	blind.blind.Store(false)
	xmpptest.Eventually(t, "the one that is not back has left", func() bool {
		juliet.sync()
		return slices.Contains(presencesOf(juliet, "nurse@localhost/r"), false)
	})
	if all := presencesOf(juliet, "romeo@localhost/r"); slices.Contains(all, false) {
		t.Errorf("the presence of the one that is back was %v", all)
	}
}

// TestAskBackAgain: contacts were told that a resource has left, which was just coming back. The directory
// cannot be read at that moment. When it can, the resource is announced again.
func TestAskBackAgain(t *testing.T) { synctest.Test(t, testAskBackAgain) }

func testAskBackAgain(t *testing.T) {
	cluster, blind, nodes, juliet := blindPair(t)
	release := cluster.HoldUpdates() // the directory does not say that it is available
	goOnline(t, nodes[1], "romeo", "r")
	juliet.await("<presence from='romeo@localhost/r'")
	blind.blindNow.Store(true)
	nodes[0].Router.Died(0, []router.Death{{Account: "romeo@localhost", Place: router.Place{Resource: "r", Available: true}}})
	juliet.await("<presence type='unavailable' from='romeo@localhost/r'")
	release()
	cluster.Wait()
	blind.blindNow.Store(false)
	juliet.await("<presence from='romeo@localhost/r'")
}
