package cluster

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"roost/router"
)

// TestCacheRace: the result of a read is not stored if a change was reported since the read
// began, whichever comes first.
func TestCacheRace(t *testing.T) {
	f := func(desc string, change func(*cache), want bool) {
		t.Helper()
		c := newCache(1<<20, new(counters))
		defer c.close()
		c.end(c.begin("b@x"), nil, true)
		r := c.begin("a@x")
		if change != nil {
			change(c)
		}
		c.end(r, []router.Place{{Resource: "r"}}, true)
		if _, ok := c.get("a@x"); ok != want {
			t.Errorf("%s: in memory: %t, want %t", desc, ok, want)
		}
		if reads := len(c.shard("a@x").reads); reads != 0 {
			t.Errorf("%s: %d reads are left", desc, reads)
		}
	}
	f("no change", nil, true)
	f("another account", func(c *cache) { c.remove("b@x") }, true)
	f("the account", func(c *cache) { c.remove("a@x") }, false)
	f("everything", (*cache).clear, false)
	f("the account, and a second reader", func(c *cache) {
		c.remove("a@x")
		c.end(c.begin("a@x"), nil, true)
	}, false)
}

// TestCacheChanged: a report removes what is in memory, whether it was needed lately or not.
func TestCacheChanged(t *testing.T) {
	f := func(desc string, turns int, change func(*cache), want bool) {
		t.Helper()
		c := newCache(1<<20, new(counters))
		defer c.close()
		c.end(c.begin("a@x"), nil, true)
		s := c.shard("a@x")
		s.mu.Lock()
		for range turns {
			s.turn()
		}
		s.mu.Unlock()
		change(c)
		if _, ok := c.get("a@x"); ok != want {
			t.Errorf("%s, after %d turns: in memory: %t, want %t", desc, turns, ok, want)
		}
	}
	for turns := range 2 {
		f("another account", turns, func(c *cache) { c.remove("b@x") }, true)
		f("the account", turns, func(c *cache) { c.remove("a@x") }, false)
		f("everything", turns, (*cache).clear, false)
	}
}

// TestCacheBorrowed: the memory of an address belongs to the stanza that it is from, and is used
// again when the result is in memory.
func TestCacheBorrowed(t *testing.T) {
	c := newCache(1<<20, new(counters))
	defer c.close()
	memory := []byte("romeo@example.org")
	borrowed := unsafe.String(&memory[0], len(memory))
	r := c.begin(borrowed)
	second := c.begin(borrowed)
	copy(memory, "paris")
	c.end(r, []router.Place{{Resource: "orchard"}}, true)
	c.end(second, []router.Place{{Resource: "orchard"}}, true)
	s := c.shard("romeo@example.org")
	s.mu.Lock()
	s.turn()
	s.mu.Unlock()
	copy(memory, "romeo")
	c.get(borrowed) // moves it to the recent generation
	copy(memory, "paris")
	if _, ok := c.get("romeo@example.org"); !ok {
		t.Error("the result is not in memory")
	}
	if _, ok := c.get("paris@example.org"); ok {
		t.Error("another account has the result")
	}
	if n := len(s.reads); n != 0 {
		t.Errorf("%d reads are left", n)
	}
}

// TestCacheBounded: the cache does not grow beyond its limit.
func TestCacheBounded(t *testing.T) {
	const limit = 100_000
	c := newCache(limit, new(counters))
	defer c.close()
	for i := range 10_000 {
		a := benchAccount(i)
		c.end(c.begin(a), []router.Place{{Resource: "r"}}, true)
	}
	entries, bytes := contents(c)
	if bytes > limit || bytes < limit/3 {
		t.Errorf("%d entries have %d bytes, want at most %d", entries, bytes, limit)
	}
}

// contents returns the number of entries, and their size.
func contents(c *cache) (entries int, bytes int64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, g := range []*generation{&s.recent, &s.older} {
			for account, places := range g.entries {
				entries++
				bytes += entryCost(account, places)
			}
		}
		s.mu.Unlock()
	}
	return entries, bytes
}

// TestCacheIdle: what nobody asks for is dropped.
func TestCacheIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(1<<20, new(counters))
		defer c.close()
		for _, a := range []string{"idle", "used"} {
			c.end(c.begin(a), nil, true)
		}
		for range 4 {
			time.Sleep(cacheIdle/2 - time.Second)
			if _, ok := c.get("used"); !ok {
				t.Error("an entry that is used was dropped")
			}
		}
		synctest.Wait()
		if got, _ := contents(c); got != 1 {
			t.Errorf("%d entries are in memory", got)
		}
	})
}

// TestLevels: a bucket of the index is for about 64 entries, at any number of them.
func TestLevels(t *testing.T) {
	f := func(count int64, want int) {
		t.Helper()
		if got := levelFor(count, maxLevel-1); got != want {
			t.Errorf("%d entries: level %d, want %d", count, got, want)
		}
	}
	f(0, 0)
	f(63, 0)
	f(64, 1)
	f(127, 1)
	f(128, 2)
	f(1_000_000, 14)
	counts := make([]int, 1<<8)
	for i := range 64 << 8 {
		counts[bucket(benchAccount(i), 8)]++
	}
	for b, n := range counts {
		if n > 128 {
			t.Errorf("bucket %d has %d entries: Redis stores more than 128 in a large form", b, n)
		}
	}
}
