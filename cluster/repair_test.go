package cluster

import (
	"testing"
	"time"

	"roost/cluster/clustertest"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/router"
)

// refuseWrites makes a server refuse all writes, or accept them again, as one does whose disk is full
// or whose replicas are missing.
func refuseWrites(t *testing.T, server *redistest.Server, refuse bool) {
	t.Helper()
	replicas := map[bool]string{true: "1", false: "0"}[refuse]
	if got := command(t, server.Addr, "CONFIG SET min-replicas-to-write "+replicas); got != "+OK" {
		t.Fatal(got)
	}
}

// presenceLost waits until a node is told to repeat presence.
func presenceLost(t *testing.T, h *clustertest.Recorder) {
	t.Helper()
	xmpptest.Eventually(t, "presence is to be repeated", func() bool { return h.Lost() == router.LostPresence })
}

// TestRepairReturned: presence is repeated if items were returned because the server has refused
// them for too long, although the lease has not ended.
func TestRepairReturned(t *testing.T) {
	server := redistest.Start(t)
	nodes, handlers := pairKnown(t, server.URL(), func(c *Config) { c.Lease, c.Wait = time.Hour, 100*time.Millisecond })
	refuseWrites(t, server, true)
	nodes[0].Send(nodes[1].Self(), "a@x", []byte("presence"))
	xmpptest.Eventually(t, "the item is returned", func() bool { return len(handlers[0].Returned()) == 1 })
	if got := handlers[0].Lost(); got != 0 {
		t.Errorf("what has degree %d is to be repeated before the server accepts it", got)
	}
	refuseWrites(t, server, false)
	presenceLost(t, handlers[0])
}

// pairKnown is pair for leases that are too long to wait for their renewal.
func pairKnown(t *testing.T, url string, change func(*Config)) (nodes [2]*Node, handlers [2]*clustertest.Recorder) {
	t.Helper()
	nodes[0], handlers[0] = open(t, url, "a", change)
	nodes[1], handlers[1] = open(t, url, "b", change)
	nodes[0].hurry()
	waitAlive(t, nodes[0], nodes[1])
	return nodes, handlers
}

// TestRepairLapsed: a node whose renewals were refused until its lease was over repeats what it
// could not look up, and presence if that took so long that items were returned.
func TestRepairLapsed(t *testing.T) {
	server := redistest.Start(t)
	n, h := open(t, server.URL(), "a")
	short, handler := open(t, server.URL(), "b", func(c *Config) { c.Wait = testLease / 2 })
	refuseWrites(t, server, true)
	for _, n := range []*Node{n, short} {
		xmpptest.Eventually(t, "the lease is over", func() bool { return !n.leased() })
	}
	refuseWrites(t, server, false)
	xmpptest.Eventually(t, "something is to be repeated", func() bool { return h.Lost() >= router.LostTime })
	presenceLost(t, handler)
}

// TestRepairRefused: presence is repeated if the queue for a node was full, as soon as that node has
// handled what is in it.
func TestRepairRefused(t *testing.T) {
	server := redistest.Start(t)
	const limit = 64 << 10
	nodes, handlers := pairKnown(t, server.URL(), func(c *Config) { c.Lease, c.QueueBytes = time.Hour, limit })
	held, release := hold(t)
	handlers[1].Hold = func(string) { <-held }
	item := make([]byte, 1000)
	for nodes[0].Send(nodes[1].Self(), "a@x", item) {
	}
	if got := handlers[0].Lost(); got != 0 {
		t.Errorf("what has degree %d is to be repeated while the queue is full", got)
	}
	release()
	presenceLost(t, handlers[0])
}

// TestRepairPaused: an outbox that was full again does not have presence repeated at once, and does not at
// all if that is done for another reason.
func TestRepairPaused(t *testing.T) {
	n, err := New(Config{URL: "redis://localhost", Name: "a"}, new(clustertest.Recorder))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(t.Context())
	o := &outbox{}
	repair := func(wantLost router.Lost, wantMissed bool) {
		t.Helper()
		n.repair(o)
		if lost := router.Lost(n.lost.Swap(0)); lost != wantLost || (o.missed > 0) != wantMissed {
			t.Errorf("degree %d, missed at %v", lost, o.missed)
		}
	}
	repair(0, false)
	o.missed = n.now()
	repair(router.LostPresence, false)
	o.missed = n.now()
	repair(0, true)
	n.lose(router.LostPresence) // after a long outage, say
	repair(router.LostPresence, false)
	o.missed = n.now()
	repair(0, true)
	n.start = n.start.Add(-repeatPause * n.config.Wait)
	repair(router.LostPresence, false)
}
