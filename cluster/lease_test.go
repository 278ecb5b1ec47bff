package cluster

import (
	"testing"
	"time"

	"roost/cluster/clustertest"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// TestLeaseEndsDuringRenewal: what waits for the lease, because it has ended while it was being
// renewed, goes on. Bug: only that of a lease that was over before the renewal did.
func TestLeaseEndsDuringRenewal(t *testing.T) {
	server := redistest.Start(t)
	network := redistest.StartProxy(t, server.Addr)
	n, err := New(Config{URL: network.URL(), Name: "a", Logger: testLogger(t)}, new(clustertest.Recorder))
	if err != nil {
		t.Fatal(err)
	}
	defer n.cache.close()
	n.engine.timeout = time.Hour
	if err := n.joinFirst(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer kill(n)
	network.Freeze()
	const left = time.Second
	n.renewed.Store(int64(n.now() + left - n.config.Lease))
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		n.renew()
	}()
	xmpptest.Eventually(t, "the lease is over", func() bool { return !n.leased() })
	changed := n.whenChanged()
	network.Mend()
	<-renewed
	select {
	case <-changed:
	default:
		t.Error("what waits for the lease was not notified")
	}
	if !n.leased() {
		t.Error("the lease was not renewed")
	}
}
