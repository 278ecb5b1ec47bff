package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/router"
)

// indexed returns the fields of the index of a node, when it has nothing left to write.
func indexed(t *testing.T, n *Node) (fields []string) {
	t.Helper()
	for i := range 10 { // a removal follows the reply to an operation
		n.writes.drain(t.Context())
		client := n.engine.client
		keys, err := client.Do(t.Context(), client.B().Keys().Pattern(strings.TrimSuffix(indexKey(uint64(n.Self()), 0, 0), "0:0")+"*").Build()).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		if len(keys) > 0 {
			if found, err = n.readBuckets(t.Context(), keys); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(found)
		if i > 0 && slices.Equal(found, fields) {
			break
		}
		fields = found
	}
	return fields
}

// TestIndexMoved: when another node has taken the entry of a resource, the index and the number
// of entries of its former node are without it.
func TestIndexMoved(t *testing.T) {
	server := redistest.Start(t)
	a, _ := open(t, server.URL(), "a")
	b, _ := open(t, server.URL(), "b")
	waitAlive(t, a, b)
	waitAlive(t, b, a)
	for range 3 {
		registered(t, a, "romeo@x", "r")
		registered(t, a, "juliet@x", "r")
		for _, r := range []router.Registration{{Replace: true}, {From: a.Self()}} {
			account := map[bool]string{true: "romeo@x", false: "juliet@x"}[r.Replace]
			if got, err := b.Register(context.Background(), account, "r", r); err != nil || got.Replaced.Node != a.Self() {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		a.Unregister("romeo@x", "r")
		a.Unregister("juliet@x", "r")
		if fields, entries := indexed(t, a), a.Stats().Entries; len(fields) != 0 || entries != 0 {
			t.Errorf("the former node has %q in its index, and counts %d entries", fields, entries)
		}
		if fields, entries := indexed(t, b), b.Stats().Entries; len(fields) != 2 || entries != 2 {
			t.Errorf("the node has %q in its index, and counts %d entries", fields, entries)
		}
		b.Unregister("romeo@x", "r")
		b.Unregister("juliet@x", "r")
		if fields, entries := indexed(t, b), b.Stats().Entries; len(fields) != 0 || entries != 0 {
			t.Errorf("at the end, the index has %q, and %d entries are counted", fields, entries)
		}
	}
}

// TestIndexRegisteredAgain: the index keeps a resource that is registered again before the
// removal of its former entry was written.
func TestIndexRegisteredAgain(t *testing.T) {
	server := redistest.Start(t)
	n, _ := open(t, server.URL(), "n")
	var want []string
	for i := range 50 {
		account := fmt.Sprintf("u%d@x", i)
		want = append(want, account+"/r")
		registered(t, n, account, "r")
		n.Unregister(account, "r")
		registered(t, n, account, "r")
	}
	slices.Sort(want)
	if fields := indexed(t, n); !slices.Equal(fields, want) {
		t.Errorf("the index has %q", fields)
	}
	if got := n.Stats().Entries; got != 50 {
		t.Errorf("%d entries are counted", got)
	}
	waiting := func() int {
		n.writes.mu.Lock()
		defer n.writes.mu.Unlock()
		return len(n.writes.entered)
	}
	xmpptest.Eventually(t, "no registration is noted", func() bool { return waiting() == 0 })
}

// TestAccountKey: the account can be read from its key.
func TestAccountKey(t *testing.T) {
	for _, account := range []string{"juliet@example.org", "a@b", "example.org"} {
		if got := accountOf(accountKey(account)); got != account {
			t.Errorf("the key of %s is that of %s", account, got)
		}
	}
	if got := accountKey("juliet@example.org"); got != "roost:a:example.org@juliet" {
		t.Error(got)
	}
}
