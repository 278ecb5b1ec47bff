package xep

import (
	"net/netip"
	"sync"
	"time"

	"roost/internal/peernet"
)

// limiter bounds how often the clients of one address may do something in an
// hour, in bounded memory.
type limiter struct {
	every time.Duration // one event is forgiven in this time
	bound int           // addresses that are remembered; further ones share one entry

	mu   sync.Mutex
	busy map[peernet.Network]time.Time // when everything is forgiven
	next time.Time                     // the next sweep
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
		busy:  make(map[peernet.Network]time.Time),
	}
}

// allow counts an event and reports whether it may happen. Clients on the same
// machine, tests and the operator's own, are not counted.
func (l *limiter) allow(from netip.Addr, now time.Time) bool {
	of := peernet.Of(from)
	if l == nil || of == peernet.Loopback {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := l.key(of, now)
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

// others is the entry that networks share when there is no space for one more.
const others = ^peernet.Network(0)

// key returns the entry that a network is counted under.
func (l *limiter) key(of peernet.Network, now time.Time) peernet.Network {
	if _, known := l.busy[of]; known || len(l.busy) < l.bound {
		return of
	}
	l.sweep(now)
	if len(l.busy) < l.bound {
		return of
	}
	return others
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
