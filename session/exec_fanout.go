package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// fanoutBurst is the burst of the limit: an account may cause as many deliveries at once as
// its rate permits in this time. A client with 5,000 contacts may change its presence a few
// times in a row.
const fanoutBurst = 5 * time.Second

// refillEvery is the interval of the check for sessions that may resume.
const refillEvery = 100 * time.Millisecond

// freeCost is the cost of one stanza that is delivered once and replied to once. It is
// never charged: sending it costs the client as much as the server.
const freeCost = costStanza + 2*costDelivery

// fanout limits the deliveries that the clients of an account cause: one token bucket per
// account, shared by all of its sessions, whatever their loops. An account has an entry
// only while its bucket is not full.
type fanout struct {
	each    atomic.Int64 // nanoseconds in which a cost of 1 is forgiven; 0: no limit
	started time.Time
	armed   atomic.Bool // a refill is scheduled
	shards  [32]fanoutShard
}

type fanoutShard struct {
	mu      sync.Mutex
	buckets map[uint64]bucket // by the hash of the bare JID; nil while there are none
}

type bucket struct {
	full    time.Duration // when it will be full again, as time since fanout.started
	waiting []*Session    // sessions whose reading is paused
}

func (f *fanout) prepare(rate int) {
	f.started = time.Now()
	f.setRate(rate)
}

// setRate sets the limit in deliveries per second; 0 or less is no limit. What was charged
// remains, so that sessions that wait resume as they would have.
func (f *fanout) setRate(rate int) {
	each := int64(0)
	if rate > 0 {
		each = int64(time.Second / costDelivery / time.Duration(rate))
	}
	f.each.Store(each)
}

// take charges a cost to an account's bucket. If that exceeds the burst, s must wait until
// enough is forgiven, unless it is nil or already waiting; take then returns true and the
// caller must pause it.
func (f *fanout) take(account uint64, now time.Time, cost int64, s *Session) (waits bool) {
	each := time.Duration(f.each.Load())
	if each == 0 {
		return false
	}
	shard := &f.shards[account%uint64(len(f.shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	b, found := shard.buckets[account]
	if !found && cost == 0 {
		return false
	}
	at := now.Sub(f.started)
	b.full = max(b.full, at) + time.Duration(cost)*each
	if b.full-at > fanoutBurst && s != nil && s.set(flagThrottled) {
		b.waiting = append(b.waiting, s)
		waits = true
	}
	if shard.buckets == nil {
		shard.buckets = make(map[uint64]bucket)
	}
	shard.buckets[account] = b
	f.arm()
	return waits
}

// arm schedules one call of refill.
func (f *fanout) arm() {
	if f.armed.CompareAndSwap(false, true) {
		time.AfterFunc(refillEvery, f.refill)
	}
}

// refill resumes sessions that have waited long enough, and removes accounts whose bucket
// is full again.
func (f *fanout) refill() {
	f.armed.Store(false) // first: a take from here on schedules the next refill
	now := time.Since(f.started)
	for i := range f.shards {
		if f.shards[i].refill(now) {
			f.arm()
		}
	}
}

// refill reports whether any bucket is not full.
func (shard *fanoutShard) refill(now time.Duration) bool {
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for account, b := range shard.buckets {
		if b.full-now > fanoutBurst {
			continue
		}
		for _, s := range b.waiting {
			s.Conn().Post(s.unthrottle)
		}
		if b.full <= now {
			delete(shard.buckets, account)
		} else if b.waiting != nil {
			shard.buckets[account] = bucket{full: b.full}
		}
	}
	if len(shard.buckets) == 0 {
		shard.buckets = nil // a map does not shrink
	}
	return shard.buckets != nil
}

// uncharged returns the cost since its last call or since the turn began.
func (t *Turn) uncharged() int64 {
	cost := t.cost - t.charged
	t.charged = t.cost
	return cost
}

// charge charges the cost since the last charge to the session's account. Only the
// session's loop may call it.
func (s *Session) charge(t *Turn) { s.chargeCost(t, t.uncharged()) }

// chargeCost charges a cost to the session's account. If the account exceeds its burst, the
// session is not read until enough is forgiven. Only the session's loop may call it, unless
// the session has ended. A client that has not bound a resource is not charged: it causes
// no deliveries to others.
func (s *Session) chargeCost(t *Turn, cost int64) {
	if cost > 0 && s.has(flagBound) && !s.mgr.stopping.Load() {
		s.take(t, cost)
	}
}

func (s *Session) take(t *Turn, cost int64) {
	waits := s
	if s.has(flagClosing | flagGone | flagLeft) {
		waits = nil
	}
	if s.mgr.fanout.take(s.accountHash(), t.Now(), cost, waits) {
		countEvents.Add(t, eventThrottled, 1)
		s.Conn().Pause()
	}
}

// unthrottle is called on the loop when enough is forgiven.
func (s *Session) unthrottle(loop int) {
	s.unset(flagThrottled)
	if !s.has(flagGone) {
		s.resume(s.mgr.turns[loop])
	}
}
