package cluster

import (
	"testing"
	"time"

	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// TestLeaseEndsDuringRenewal: what waits for the lease, because it has ended while it was being
// renewed, goes on. Bug: only that of a lease that was over before the renewal did.
func TestLeaseEndsDuringRenewal(t *testing.T) {
	server := redistest.Start(t)
	network := redistest.StartProxy(t, server.Addr)
	n, _ := joined(t, network.URL())
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
