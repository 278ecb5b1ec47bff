package cluster

import (
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"roost/router"
)

// cache holds the results of lookups, also that there is nothing, until the server reports
// that they have changed, or nobody has needed them for cacheIdle.
//
// The server sends the reply to a read before it reports a change of what was read. But the
// reply goes to the goroutine that waits for it, and the report is handled at once: a report
// can overtake its reply. Therefore each read is noted before it is sent, and its result is
// not stored if a report has come since.
type cache struct {
	values *otter.Cache[string, []router.Place]
	stats  *counters
	shards [cacheShards]cacheShard
}

const (
	cacheShards = 64
	cacheEntry  = 160 // bytes of an entry without its key and places, about
	placeBytes  = 48  // of a place, with a short resource
	cacheIdle   = 30 * time.Second
)

type cacheShard struct {
	mu    sync.Mutex
	reads map[string]*reading
}

// reading is a read that is under way, of one account, by one or more callers.
type reading struct {
	account string // a copy: that of a caller may be borrowed
	callers int
	changed bool // since it began
}

func newCache(bytes int64, stats *counters) *cache {
	c := &cache{stats: stats}
	c.values = otter.Must(&otter.Options[string, []router.Place]{
		MaximumWeight: uint64(bytes),
		Weigher: func(account string, places []router.Place) uint32 {
			return uint32(cacheEntry + len(account) + placeBytes*len(places))
		},
		// A login looks up all contacts, and an idle client needs none of them.
		ExpiryCalculator: otter.ExpiryAccessing[string, []router.Place](cacheIdle),
	})
	for i := range c.shards {
		c.shards[i].reads = make(map[string]*reading)
	}
	return c
}

// close ends the goroutine of the cache.
func (c *cache) close() { c.values.StopAllGoroutines() }

func (c *cache) shard(account string) *cacheShard { return &c.shards[hash32(account)%cacheShards] }

func (c *cache) get(account string) ([]router.Place, bool) { return c.values.GetIfPresent(account) }

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
		c.values.Set(r.account, places)
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
	c.values.Invalidate(account)
}

// clear handles that everything may have changed.
func (c *cache) clear() {
	for i := range c.shards {
		c.shards[i].mu.Lock()
	}
	for i := range c.shards {
		for _, r := range c.shards[i].reads {
			r.changed = true
		}
	}
	c.values.InvalidateAll()
	for i := range c.shards {
		c.shards[i].mu.Unlock()
	}
}
