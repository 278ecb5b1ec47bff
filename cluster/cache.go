package cluster

import (
	"context"
	"strings"
	"sync"
	"time"

	"roost/router"
)

// cache holds the results of lookups, including empty ones, until the server reports that they
// have changed, or they were not needed for about cacheIdle (at least half of it): a login looks
// up all contacts, and an idle client needs none of them.
//
// The server sends the reply to a read before it reports a change of what was read. But the
// reply goes to the goroutine that waits for it, and the report is handled at once: a report
// can overtake its reply. Therefore each read is noted before it is sent, and its result is
// not stored if a report has come since.
//
// A message asks several times, so this must be fast: there are two generations, and what is needed
// moves from the older to the recent one. After cacheIdle/2, or when it is full, the recent
// generation replaces the older one.
type cache struct {
	limit  int64 // bytes of one generation of a shard
	stats  *counters
	shards [cacheShards]cacheShard
	ctx    context.Context // of the goroutine
	cancel context.CancelFunc
	task   sync.WaitGroup
}

const (
	cacheShards = 64
	cacheIdle   = 30 * time.Second
)

type cacheShard struct {
	mu            sync.Mutex
	reads         map[string]*reading
	recent, older generation
}

// reading is a read that is under way, of one account, by one or more callers.
type reading struct {
	account string // a copy: that of a caller may be borrowed
	callers int
	changed bool // since it began
}

// newCache returns a cache that uses at most about this many bytes.
func newCache(bytes int64, stats *counters) *cache {
	c := &cache{limit: bytes / cacheShards / 2, stats: stats}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for i := range c.shards {
		c.shards[i].reads = make(map[string]*reading)
	}
	c.task.Go(c.age)
	return c
}

// close ends the goroutine of the cache. It may be called again.
func (c *cache) close() {
	c.cancel()
	c.task.Wait()
}

// age drops what was not needed lately.
func (c *cache) age() {
	tick := time.NewTicker(cacheIdle / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
		for i := range c.shards {
			s := &c.shards[i]
			s.mu.Lock()
			s.turn()
			s.mu.Unlock()
		}
	}
}

func (c *cache) shard(account string) *cacheShard { return &c.shards[hash32(account)%cacheShards] }

// get returns what is in memory. account is borrowed.
func (c *cache) get(account string) ([]router.Place, bool) {
	s := c.shard(account)
	s.mu.Lock()
	defer s.mu.Unlock()
	if places, ok := s.recent.entries[account]; ok {
		return places, true
	}
	places, ok := s.older.entries[account]
	if ok {
		delete(s.older.entries, account)
		c.put(s, account, places)
	}
	return places, ok
}

// put adds an entry that is in no map. The caller holds mu of the shard.
func (c *cache) put(s *cacheShard, account string, places []router.Place) {
	size := entryCost(account, places)
	if size > c.limit {
		return
	}
	if s.recent.bytes+size > c.limit {
		s.turn()
	}
	s.recent.add(account, places)
}

// turn makes the recent entries older, and drops those that were. The caller holds mu.
func (s *cacheShard) turn() { s.recent, s.older = generation{}, s.recent }

// drop removes an entry. The caller holds mu.
func (s *cacheShard) drop(account string) {
	delete(s.recent.entries, account)
	delete(s.older.entries, account)
}

// begin notes a read before it is sent. account is borrowed.
func (c *cache) begin(account string) *reading {
	s := c.shard(account)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.reads[account]
	if r == nil {
		r = &reading{account: strings.Clone(account)}
		s.reads[r.account] = r
	}
	r.callers++
	return r
}

// end stores the result of a read, if there is one and it is not outdated.
func (c *cache) end(r *reading, places []router.Place, ok bool) {
	s := c.shard(r.account)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.callers--; r.callers == 0 {
		delete(s.reads, r.account)
	}
	if ok && !r.changed {
		s.drop(r.account)
		c.put(s, r.account, places)
	}
}

// remove handles the report that an account has changed.
func (c *cache) remove(account string) {
	c.stats.invalidations.Add(1)
	s := c.shard(account)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.reads[account]; r != nil {
		r.changed = true
	}
	s.drop(account)
}

// clear handles that everything may have changed.
func (c *cache) clear() {
	for i := range c.shards {
		c.shards[i].mu.Lock()
	}
	for i := range c.shards {
		s := &c.shards[i]
		for _, r := range s.reads {
			r.changed = true
		}
		s.turn()
		s.turn()
	}
	for i := range c.shards {
		c.shards[i].mu.Unlock()
	}
}
