package session

import (
	"sync"
	"time"
)

// When a client binds a resource again instead of resuming its session, the stanzas that it
// has not acknowledged in the earlier session are handed on first: a message that is sent to
// the new session must not overtake them. So Bind ends the earlier session, and its caller
// tries again when that session has left. Until then the earlier session has the resource, and
// what is sent to it follows in its queue.

// successionLimit is how long a client that binds a resource waits for the earlier session to
// leave. Normally that takes one commit. After this time, the order is no longer guaranteed.
const successionLimit = 10 * time.Second

// successions are the sessions that are being replaced and have not left yet.
type successions struct {
	mu  sync.Mutex
	all map[*Session][]*succession
}

// succession waits until a session has left. Its fields are guarded by successions.mu.
type succession struct {
	of    *successions
	left  bool
	then  func()
	timer *time.Timer
}

// expect returns the succession that waits for a session in the tables. It must be called
// before the session is removed from them.
func (w *successions) expect(old *Session) *succession {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = make(map[*Session][]*succession)
	}
	x := &succession{of: w}
	w.all[old] = append(w.all[old], x)
	return x
}

// after calls f once: when the session has left, or at the end of limit. f must not block.
// after may be called once.
func (x *succession) after(limit time.Duration, f func()) {
	x.of.mu.Lock()
	if !x.left {
		x.then = f
		x.timer = time.AfterFunc(limit, x.run)
		f = nil
	}
	x.of.mu.Unlock()
	if f != nil {
		f()
	}
}

// run calls the function that after was given, unless it was called before.
func (x *succession) run() {
	x.of.mu.Lock()
	f := x.then
	x.then = nil
	x.of.mu.Unlock()
	if f != nil {
		f()
	}
}

// leave is called when a session was removed from the tables and its end was announced.
func (w *successions) leave(s *Session) {
	w.mu.Lock()
	waiting := w.all[s]
	delete(w.all, s)
	for _, x := range waiting {
		x.left = true
		if x.timer != nil {
			x.timer.Stop()
		}
	}
	w.mu.Unlock()
	for _, x := range waiting {
		x.run()
	}
}

// Replaced reports whether a client waits for the end of the session to have its resource, or
// its place among those that the account may have. Any goroutine may call it.
func (s *Session) Replaced() bool {
	w := &s.mgr.successions
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all[s]) > 0
}

// yields makes a session refuse stanzas from now on, unless it has some that must be handed
// on; then it returns false. Any goroutine may call it.
func (s *Session) yields() bool {
	if !s.has(flagManaged) {
		return true
	}
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.queue() != nil {
		return false
	}
	x.mark(coldDisowned)
	return true
}
