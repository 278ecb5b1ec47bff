package cluster

import (
	"context"
	"testing"

	"roost/internal/redistest"
	"roost/router"
)

// TestRegisterDead: a registration takes the place of an entry of a node that has died, which the
// cleanup does not find any more, and says so. The account's other entries of that node do not count,
// and stay: the cleanup finds them.
// Bug: they were removed, so that nobody was told of their ends.
func TestRegisterDead(t *testing.T) {
	server := redistest.Start(t)
	n, _ := open(t, server.URL(), "a")
	const dead = 1 // as any number that is older than that of the node and not alive
	client, key := n.engine.client, accountKey("a@x")
	entry := string([]byte{flagAvailable, 5}) + epochBytes(dead)
	for _, resource := range []string{"r", "s", "t"} {
		if err := client.Do(t.Context(), client.B().Hset().Key(key).FieldValue().FieldValue(resource, entry).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	for resource, r := range map[string]router.Registration{"r": {MaxResources: 2, Here: 1}, "s": {Replace: true}} {
		got, err := n.Register(context.Background(), "a@x", resource, r)
		want := router.Place{Resource: resource, Node: dead, Available: true, Priority: 5}
		if err != nil || got.Taken || got.Full || got.Replaced.Node != 0 || got.Died != want {
			t.Errorf("%s: %+v, %v, want one that has replaced %+v", resource, got, err, want)
		}
	}
	if found, err := client.Do(t.Context(), client.B().Hget().Key(key).Field("t").Build()).ToString(); err != nil || found != entry {
		t.Errorf("the other entry is %q, %v, want %q", found, err, entry)
	}
	// Known to the node, it is not one of a node that has died.
	if got, err := n.Register(context.Background(), "a@x", "r", router.Registration{}); err != nil || !got.Known || got.Died.Node != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
