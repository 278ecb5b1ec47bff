package router_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/session"
	"roost/store/memstore"
)

// newNodes returns servers that are the nodes of a cluster, and share a store.
func newNodes(t testing.TB, n int, cfg xmpptest.Config) []*xmpptest.Server {
	_, nodes := newCluster(t, n, cfg)
	return nodes
}

// newCluster is newNodes, and returns what connects them, too.
func newCluster(t testing.TB, n int, cfg xmpptest.Config) (cluster *memnodes.Cluster, nodes []*xmpptest.Server) {
	cluster = memnodes.New()
	cfg.Location, cfg.Cluster = memstore.New(), cluster
	for range n {
		nodes = append(nodes, xmpptest.NewServer(t, cfg))
	}
	return cluster, nodes
}

// TestNodesResumeModel is TestResumeModel on three nodes: each connection reaches any of them,
// so sessions move while messages for them, and their own, are on the way.
func TestNodesResumeModel(t *testing.T) { testNodesResumeModel(t, xmpptest.Config{}) }

// TestDurableNodesResumeModel: the same if messages are stored before they are delivered.
func TestDurableNodesResumeModel(t *testing.T) { testNodesResumeModel(t, durable()) }

func testNodesResumeModel(t *testing.T, cfg xmpptest.Config) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cfg.Session = session.Config{AckTimeout: 200 * time.Millisecond}
	nodes := newNodes(t, 3, cfg)
	names := []string{"juliet", "romeo", "nurse", "mercutio"}
	var phones []*phone
	for i, name := range names {
		phones = append(phones, &phone{t: t, others: nodes, random: rand.New(rand.NewPCG(seed, uint64(i))), name: name, peer: names[i^1]})
	}
	takeSteps(phones, 1)
	takeSteps(phones, *resumeSteps)
	checkAll(t, phones, cfg.Router.Durable)
	var left, arrived int64
	for _, n := range nodes {
		left += n.Sessions.Stats().Acks.Left
		arrived += n.Sessions.Stats().Acks.Arrived
	}
	if left == 0 || left != arrived {
		t.Errorf("%d sessions have left a node, %d have arrived at one", left, arrived)
	}
}

// TestBothMoved: two sessions of an account have left a node within seconds, for different nodes. A
// request that was on its way to the first one reaches it.
// Bug: only the last move was remembered, so the sender got an error.
func TestBothMoved(t *testing.T) {
	cluster, nodes := newCluster(t, 4, xmpptest.Config{})
	romeo := goOnline(t, nodes[3], "romeo", "r")
	ids := make([]string, 2)
	for i, resource := range []string{"phone", "tablet"} {
		ids[i] = loginAs(t, nodes[0], "juliet", resource, plainHeader).enable()
	}
	cluster.Wait()
	release := nodes[3].Node().HoldSent()
	romeo.say("<iq type='get' id='v' to='juliet@localhost/phone'><query xmlns='urn:x'/></iq>", "")
	romeo.sync()
	phone := resumeAt(t, nodes[1], "juliet", ids[0], "0")
	resumeAt(t, nodes[2], "juliet", ids[1], "0")
	xmpptest.Eventually(t, "the sessions have left", func() bool { return nodes[0].Sessions.Counts().Bound == 0 })
	release()
	phone.await("<query xmlns='urn:x'")
}
