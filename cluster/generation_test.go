package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"roost/router"
)

// TestGeneration: a generation returns what was added, whatever of it fits in a block, and after
// the memory of what was added is used for something else.
func TestGeneration(t *testing.T) {
	const accounts = 500
	places := func(i int) (all []router.Place) {
		for j := range i % 5 * (1 + i/100*10) { // up to more than a block
			all = append(all, router.Place{Resource: fmt.Sprintf("resource %d of %d", j, i), Node: router.NodeID(i), Priority: int8(j)})
		}
		return all
	}
	account := func(i int) string { return fmt.Sprintf("account%d%s@example.org", i, strings.Repeat("x", i*3)) }
	var g generation
	for i := range accounts {
		borrowed := []byte(account(i))
		own := places(i)
		var resources [][]byte
		for j := range own {
			r := []byte(own[j].Resource)
			own[j].Resource = unsafe.String(&r[0], len(r))
			resources = append(resources, r)
		}
		g.add(unsafe.String(&borrowed[0], len(borrowed)), own)
		clear(borrowed)
		for _, r := range resources {
			clear(r)
		}
		clear(own)
	}
	if len(g.entries) != accounts {
		t.Errorf("%d entries, want %d", len(g.entries), accounts)
	}
	for i := range accounts {
		if got, ok := g.entries[account(i)]; !ok || !slices.Equal(got, places(i)) {
			t.Errorf("account %d: %v, %t, want %v", i, got, ok, places(i))
		}
	}
}

// TestGenerationBlocks: entries have no objects of their own.
func TestGenerationBlocks(t *testing.T) {
	accounts := make([]string, 1000)
	for i := range accounts {
		accounts[i] = benchAccount(i)
	}
	place := []router.Place{{Resource: "phone"}}
	if n := testing.AllocsPerRun(5, func() {
		var g generation
		for _, a := range accounts {
			g.add(a, place)
		}
	}); n > float64(len(accounts)/5) {
		t.Errorf("%d entries are %.0f objects", len(accounts), n)
	}
}

// TestCacheChanging: an account that changes again and again does not use more and more memory
// until the next turn.
func TestCacheChanging(t *testing.T) {
	c := newCache(100_000, new(counters))
	defer c.close()
	var last int64
	turns := 0
	for range 10_000 {
		c.end(c.begin("a@x"), []router.Place{{Resource: "r"}}, true)
		c.remove("a@x")
		bytes := c.shard("a@x").recent.bytes
		if bytes < last {
			turns++
		}
		if last = bytes; bytes > c.limit {
			t.Fatalf("a generation has %d bytes, want at most %d", bytes, c.limit)
		}
	}
	if turns < 1000 {
		t.Errorf("the generation was replaced %d times", turns)
	}
}
