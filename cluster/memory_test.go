package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/router"
)

// limitMemory limits the memory of a server, in bytes; 0 is no limit.
func limitMemory(t *testing.T, server *redistest.Server, bytes int) {
	t.Helper()
	if got := command(t, server.Addr, fmt.Sprint("CONFIG SET maxmemory ", bytes)); got != "+OK" {
		t.Fatal(got)
	}
}

// TestNoMemory: while the server has no memory left, nodes keep their leases, handle what is in their
// streams, change and remove entries, and clean up after one that dies: all of that frees memory. Bug: all of that
// ended with the leases, which were refused, too.
func TestNoMemory(t *testing.T) {
	server := redistest.Start(t)
	nodes, handlers := pair(t, server.URL(), server.URL())
	held, release := hold(t)
	handlers[1].Hold = func(string) { <-held }
	registered(t, nodes[0], "a@x", "r")
	registered(t, nodes[0], "b@x", "r")
	nodes[0].Send(nodes[1].Self(), "a@x", []byte("item"))
	xmpptest.Eventually(t, "the item is received", func() bool { return nodes[1].Stats().ReceivedItems == 1 })
	limitMemory(t, server, 1)
	if _, err := nodes[0].Register(context.Background(), "c@x", "r", router.Registration{}); !refused(err) {
		t.Fatalf("%v: the server has memory left", err)
	}
	xmpptest.Eventually(t, "the refusal is noted", func() bool {
		_, _ = nodes[0].Register(context.Background(), "c@x", "r", router.Registration{})
		return nodes[0].full.Load()
	})
	batches := nodes[0].Stats().WriteBatches
	nodes[0].full.Store(true) // a renewal may have come between
	if _, err := nodes[0].Register(context.Background(), "c@x", "r", router.Registration{}); !errors.Is(err, router.ErrNoDirectory) || nodes[0].Stats().WriteBatches > batches {
		t.Errorf("%v: a registration after one that was refused was sent", err)
	}
	release()
	xmpptest.Eventually(t, "the item is acknowledged", func() bool { return nodes[0].Stats().QueueBytes == 0 })
	for _, n := range nodes {
		before := n.renewed.Load()
		xmpptest.Eventually(t, "the lease is renewed", func() bool { return n.renewed.Load() > before })
	}
	nodes[0].Unregister("b@x", "r")
	waitPlaces(t, nodes[1], "b@x", 0)
	nodes[0].Update("a@x", "r", true, 5)
	xmpptest.Eventually(t, "the other node knows that the resource is available", func() bool {
		places, err := nodes[1].Current(context.Background(), "a@x")
		return err == nil && len(places) == 1 && places[0].Available && places[0].Priority == 5
	})
	kill(nodes[0])
	xmpptest.Eventually(t, "the node is cleaned up", func() bool { return nodes[1].Stats().CleanedNodes == 1 })
	if got := handlers[1].Deaths(); len(got) != 1 || got[0].Account != "a@x" {
		t.Errorf("%v", got)
	}
	limitMemory(t, server, 0)
	xmpptest.Eventually(t, "registrations are accepted again", func() bool {
		_, err := nodes[1].Register(context.Background(), "c@x", "r", router.Registration{})
		return err == nil
	})
}

// TestReadWithoutAck: what a node has read is handled although the server refuses to note what was
// handled before. Bug: it was thrown away, and read again and again.
func TestReadWithoutAck(t *testing.T) {
	server := redistest.Start(t)
	n, _ := open(t, server.URL(), "a")
	n.stopTaking()
	n.takers.Wait()
	n.taking, n.stopTaking = context.WithCancel(n.ctx)
	n.resetInbox()
	if err := n.engine.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	to := streamKeys(n.epoch.Load())
	batch := appendBatch(nil, 7, 7, 1, appendItem(nil, "a@x", []byte("item")))
	client := n.engine.client
	if err := client.Do(t.Context(), client.B().Xadd().Key(to[0]).Id("*").FieldValue().FieldValue("b", string(batch)).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	refuseWrites(t, server, true)
	n.in.ack.numbers = map[uint64]uint64{7: 1}
	if got := n.readStream(); len(got) != 1 {
		t.Errorf("%d entries were read", len(got))
	}
	if a := n.in.takeAck(); !slices.Equal(a.args(), []string{"", "7", "1"}) {
		t.Errorf("%q is to be acknowledged", a.args())
	}
	refuseWrites(t, server, false)
}
