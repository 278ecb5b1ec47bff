package xep

import (
	"net/netip"
	"sync"
	"time"
)

// limiter bounds how often the clients of one address may do something in an
// hour, in bounded memory.
type limiter struct {
	every time.Duration // one event is forgiven in this time
	bound int           // addresses that are remembered; further ones share one entry

	mu   sync.Mutex
	busy map[netip.Prefix]time.Time // when everything is forgiven
	next time.Time                  // the next sweep
}

// limiterBound is the number of addresses that a limiter remembers: about 2 MB.
const limiterBound = 16384

// newLimiter returns a limiter of n events an hour; nil, which allows
// everything, for a negative n.
func newLimiter(n int) *limiter {
	if n < 0 {
		return nil
	}
	return &limiter{
		every: time.Hour / time.Duration(max(n, 1)),
		bound: limiterBound,
		busy:  make(map[netip.Prefix]time.Time),
	}
}

// allow counts an event and reports whether it may happen. Clients on the same
// machine, tests and the operator's own, are not counted.
func (l *limiter) allow(from netip.Addr, now time.Time) bool {
	from = from.Unmap()
	if l == nil || from.IsLoopback() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := l.key(from, now)
	until := l.busy[key]
	if until.Before(now) {
		until = now
	}
	if until = until.Add(l.every); until.Sub(now) > time.Hour {
		return false
	}
	l.busy[key] = until
	return true
}

// key is what an address is counted under. One customer has a /64 of IPv6
// addresses. When there is no room for one more, it shares an entry with all
// the others for which there is none.
func (l *limiter) key(from netip.Addr, now time.Time) netip.Prefix {
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	key, _ := from.WithZone("").Prefix(bits)
	if _, known := l.busy[key]; known || len(l.busy) < l.bound {
		return key
	}
	l.sweep(now)
	if len(l.busy) < l.bound {
		return key
	}
	return netip.Prefix{}
}

// sweep forgets addresses that are forgiven, once a minute at most.
func (l *limiter) sweep(now time.Time) {
	if now.Before(l.next) {
		return
	}
	l.next = now.Add(time.Minute)
	for key, until := range l.busy {
		if until.Before(now) {
			delete(l.busy, key)
		}
	}
}
