// Package events is a bus for events in the server. Readers get the events from the moment at
// which they begin to read; nothing is stored. Without a reader, an event costs one atomic
// load.
package events

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is a kind of events, or several of them.
type Kind uint32

// The kinds of events.
const (
	Login       Kind = 1 << iota // a session was bound
	LoginFailed                  // an attempt to authenticate has failed
	End                          // a session of an account has ended
	Account                      // an account was created, changed or deleted
	Admin                        // an administrator has changed something, or has tried to
	Log                          // a line of the log
	Detached                     // a session has lost its connection, and waits for its client to resume it
	Resumed                      // the client has resumed it
	All         = 1<<iota - 1
)

// Event is one event. Which fields it has depends on the kind.
type Event struct {
	Time      time.Time      // set by Publish
	Kind      Kind           // one; set by Publish
	JID       string         // full JID of the session, or bare JID of the account; empty: not known
	Peer      netip.AddrPort // address of the client
	From      string         // address of an administrator who uses TCP
	Mechanism string         // SASL mechanism
	Reason    string         // why the session ended or the login failed
	Err       string         // the error of its connection
	Actor     string         // administrator
	Action    string         // what was done
	Object    string         // with what
	Result    string         // and what came of it
	Level     string         // of a line of the log
	Text      string         // its message
	Fields    string         // its fields
}

// Filter selects events.
type Filter struct {
	Kinds   Kind
	Account string // bare JID; empty: of all accounts, and those without an account
}

// selects reports whether the event is selected.
func (f *Filter) selects(e *Event) bool {
	return f.Kinds&e.Kind != 0 && (f.Account == "" || of(e.JID, f.Account) || of(e.Object, f.Account))
}

// of reports whether an address is of an account.
func of(address, account string) bool {
	rest, ok := strings.CutPrefix(address, account)
	return ok && (rest == "" || rest[0] == '/')
}

// Bus passes on events. Its methods may be called from any goroutine, and never wait for a
// subscriber. Event loops use it: keep the code that its lock is held for short.
type Bus struct {
	wanted atomic.Uint32 // the kinds that somebody follows

	mu   sync.Mutex
	subs map[*Subscription]bool
}

// Wants reports whether somebody follows one of these kinds.
func (b *Bus) Wants(k Kind) bool { return b.wanted.Load()&uint32(k) != 0 }

// Publish passes on an event of a kind, which build returns without its time and kind. If
// nobody follows the kind, Publish loads a number and does not call build.
func (b *Bus) Publish(k Kind, build func() Event) {
	if !b.Wants(k) {
		return
	}
	e := build()
	e.Kind, e.Time = k, time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		if s.filter.selects(&e) {
			s.put(e)
		}
	}
}

// Buffered is how many events wait for a subscriber.
const Buffered = 1000

// Subscribe returns a subscription, which has to be closed.
func (b *Bus) Subscribe(f Filter) *Subscription {
	s := &Subscription{bus: b, filter: f, ready: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = make(map[*Subscription]bool)
	}
	b.subs[s] = true
	b.update()
	return s
}

// update notes what is wanted. Under mu.
func (b *Bus) update() {
	var all Kind
	for s := range b.subs {
		all |= s.filter.Kinds
	}
	b.wanted.Store(uint32(all))
}

// Subscription receives events.
type Subscription struct {
	bus    *Bus
	filter Filter
	ready  chan struct{} // has an element if there is something to take

	// Under the lock of bus.
	waiting []Event
	lost    int
}

// put adds an event. Under the lock of the bus.
func (s *Subscription) put(e Event) {
	if len(s.waiting) == Buffered {
		s.lost++
	} else {
		s.waiting = append(s.waiting, e)
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Ready returns a channel that has an element when there is something to take.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// Take returns the events that have happened since the last call, oldest first, and how
// many were lost after them because Buffered events were waiting.
func (s *Subscription) Take() (all []Event, lost int) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	all, lost = s.waiting, s.lost
	s.waiting, s.lost = nil, 0
	return all, lost
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.subs, s)
	s.bus.update()
}
