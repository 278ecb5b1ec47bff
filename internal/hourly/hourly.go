// Package hourly limits events per hour for each of many keys, such as networks or accounts.
// Only keys with recent events take memory, and that is limited.
package hourly

import (
	"sync"
	"time"
)

// Parties is the number of parties that a Limit tracks: about 1 MB.
const Parties = 16384

// sweepEvery is how often those are forgotten of whom nothing counts any more.
const sweepEvery = time.Minute

// Limit counts the events of parties, which have keys. Each may cause a number of them in an
// hour, in any distribution over the hour. Its methods may be called from any goroutine.
type Limit[K comparable] struct {
	others  K   // the entry of all parties for which there is no space
	parties int // Parties, but for tests

	mu    sync.Mutex
	every time.Duration   // one event expires in this time; 0: no limit
	busy  map[K]time.Time // when all events of a party have expired; nil: there are none
	next  time.Time       // time of the next sweep
}

// New returns a Limit that limits nothing. others is a key that no party has.
func New[K comparable](others K) *Limit[K] { return &Limit[K]{others: others, parties: Parties} }

// Set sets the limit to n events an hour, or to none if n is 0 or negative. What was counted
// remains.
func (l *Limit[K]) Set(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.every = 0; n > 0 {
		l.every = time.Hour / time.Duration(n)
	}
}

// Allow counts an event and reports whether it is allowed. One that is not does not count.
func (l *Limit[K]) Allow(of K, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, until, ok := l.after(of, now)
	if !ok || l.every == 0 {
		return ok
	}
	if l.busy == nil {
		l.busy = make(map[K]time.Time)
	}
	l.busy[key] = until
	return true
}

// Refuses reports whether Allow would return false. It counts nothing.
func (l *Limit[K]) Refuses(of K, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _, ok := l.after(of, now)
	return !ok
}

// after returns the party's entry after one more event, and whether that is allowed. The caller holds
// mu.
func (l *Limit[K]) after(of K, now time.Time) (key K, until time.Time, ok bool) {
	if l.every == 0 {
		return of, now, true
	}
	l.sweep(now)
	if _, known := l.busy[of]; !known && len(l.busy) >= l.parties {
		of = l.others
	}
	if until = l.busy[of]; until.Before(now) {
		until = now
	}
	until = until.Add(l.every)
	return of, until, until.Sub(now) <= time.Hour
}

// sweep forgets parties whose events have expired, at most once in sweepEvery.
func (l *Limit[K]) sweep(now time.Time) {
	if now.Before(l.next) {
		return
	}
	l.next = now.Add(sweepEvery)
	for key, until := range l.busy {
		if until.Before(now) {
			delete(l.busy, key)
		}
	}
	if len(l.busy) == 0 {
		l.busy = nil // a map does not shrink
	}
}
