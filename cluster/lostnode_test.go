package cluster

import (
	"strings"
	"testing"

	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// TestDataLostWithNode: what is on its way to the newest node is returned if that dies at the same
// time as Redis loses its data, and its stream is removed. Bug: the others did not know that it had
// died, and sent it the same again for ever.
func TestDataLostWithNode(t *testing.T) {
	server := redistest.Start(t)
	nodes, handlers := pair(t, server.URL(), server.URL())
	held, _ := hold(t)
	handlers[1].Hold = func(string) { <-held }
	nodes[0].Send(nodes[1].Self(), "a@x", []byte("item"))
	xmpptest.Eventually(t, "the item is received", func() bool { return nodes[1].Stats().ReceivedItems == 1 })
	kill(nodes[1])
	if got := command(t, server.Addr, "FLUSHALL"); got != "+OK" {
		t.Fatal(got)
	}
	xmpptest.Eventually(t, "the item is returned", func() bool { return len(handlers[0].Returned()) == 1 })
	if got := handlers[0].Returned()[0]; !got.Again {
		t.Errorf("%+v", got)
	}
	if got := command(t, server.Addr, "EXISTS "+strings.Join(streamKeys(nodes[1].epoch.Load()), " ")); got != ":0" {
		t.Errorf("the stream is left: %s", got)
	}
	next, _ := open(t, server.URL(), "c")
	if next.Self() <= nodes[1].Self() {
		t.Error("an epoch is used again")
	}
}
