package xep

import (
	"net/netip"
	"sync"
	"time"

	"roost/internal/peernet"
)

// limiter limits how often the clients of one network may do something in an hour. Its
// memory is bounded.
type limiter struct {
	maxNetworks int // networks that are tracked; any others share one entry

	mu    sync.Mutex
	every time.Duration                 // one event expires in this time; 0: no limit
	busy  map[peernet.Network]time.Time // when all events of a network have expired
	next  time.Time                     // time of the next sweep
}

// defaultMaxNetworks is the number of networks that a limiter tracks: about 2 MB.
const defaultMaxNetworks = 16384

// set sets the limit to n events an hour, or to none if n is negative. What was counted
// remains.
func (l *limiter) set(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy == nil {
		l.busy, l.maxNetworks = make(map[peernet.Network]time.Time), defaultMaxNetworks
	}
	if l.every = 0; n >= 0 {
		l.every = time.Hour / time.Duration(max(n, 1))
	}
}

// allow counts an event and reports whether it is allowed. Clients on the same machine,
// such as tests and the operator's own, are not limited.
func (l *limiter) allow(from netip.Addr, now time.Time) bool {
	of := peernet.Of(from)
	if of == peernet.Loopback {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.every == 0 {
		return true
	}
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

// others is the entry that networks share when the table is full.
const others = ^peernet.Network(0)

// key returns the entry that counts a network's events.
func (l *limiter) key(of peernet.Network, now time.Time) peernet.Network {
	if _, known := l.busy[of]; known || len(l.busy) < l.maxNetworks {
		return of
	}
	l.sweep(now)
	if len(l.busy) < l.maxNetworks {
		return of
	}
	return others
}

// sweep removes networks whose events have expired, at most once a minute.
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
