package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// fanoutBurst is how much the clients of an account may cause at once, in the time in
// which that is forgiven: one with 5,000 contacts may change its presence a few times
// in a row.
const fanoutBurst = 5 * time.Second

// refillEvery is how often clients are looked for that may go on.
const refillEvery = 100 * time.Millisecond

// freeCost is what a stanza costs that is delivered once and answered once. It is
// never held against a client: who sends so much pays as much as the server.
const freeCost = costStanza + 2*costDelivery

// fanout is the accounts whose clients have caused many deliveries in the last
// seconds: a token bucket for each, which all sessions of the account share, on
// whatever loops they are. An account is in it only while its bucket is not full.
type fanout struct {
	each    time.Duration // in which a cost of 1 is forgiven; 0: no limit
	started time.Time
	armed   atomic.Bool // a refill is to come
	shards  [32]fanoutShard
}

type fanoutShard struct {
	mu      sync.Mutex
	buckets map[uint64]bucket // by the hash of the bare JID; nil while there are none
}

type bucket struct {
	full    time.Duration // when it is full again, since fanout.started
	waiting []*Session    // their reading is paused
}

func (f *fanout) prepare(rate int) {
	if rate > 0 {
		f.each = time.Second / costDelivery / time.Duration(rate)
	}
	f.started = time.Now()
}

// take takes a cost out of an account's bucket. If more is taken out than there was,
// s waits until enough is forgiven, unless it is nil or waits already; then take
// returns true and the caller pauses it.
func (f *fanout) take(account uint64, now time.Time, cost int64, s *Session) (waits bool) {
	if f.each == 0 {
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
	b.full = max(b.full, at) + time.Duration(cost)*f.each
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

// arm has refill called soon, once.
func (f *fanout) arm() {
	if f.armed.CompareAndSwap(false, true) {
		time.AfterFunc(refillEvery, f.refill)
	}
}

// refill lets sessions go on that have waited long enough, and forgets accounts
// whose bucket is full again.
func (f *fanout) refill() {
	f.armed.Store(false) // first: what is taken from now on arms it again
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
			s.conn.Post(s.unthrottle)
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

// uncharged returns what was done since it was called last, or since the turn
// began.
func (t *Turn) uncharged() int64 {
	cost := t.cost - t.charged
	t.charged = t.cost
	return cost
}

// charge holds what was done since the last charge against the session's account.
// Only the session's loop may call it.
func (s *Session) charge(t *Turn) { s.chargeCost(t, t.uncharged()) }

// chargeCost holds a cost against the session's account. Past what that may cause at
// once, the session is not read until enough is forgiven, unless it has ended: only
// then another goroutine than the session's loop may call chargeCost. A client that
// has bound no resource is not charged: it causes nothing for others.
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
		s.conn.Pause()
	}
}

// unthrottle is called on the loop when enough was forgiven.
func (s *Session) unthrottle(loop int) {
	s.unset(flagThrottled)
	if !s.has(flagGone) {
		s.resume(s.mgr.turns[loop])
	}
}
