package session

import (
	"slices"
	"sync"
)

// coldState holds what only some sessions need. A session with stream management has one even
// while it is idle, so every field counts; a test limits the size.
type coldState struct {
	mu sync.Mutex // guards all other fields except handled

	// Stream management; see acks.go.
	handled uint32    // stanzas from the client that were handled, modulo 2^32; owned by the goroutine that handles its input
	sent    uint32    // stanzas sent to the client, modulo 2^32
	number  uint32    // of the session, for its resumption ID; 0: it cannot be resumed
	until   uint16    // the second (Manager.second) in which the time of a detached session is over
	wait    uint8     // how long it waits when it is detached: see mayWait
	marks   coldMarks // see there

	rare *rareState // nil while it would be empty; the lock guards it, too
}

// coldMarks are bits of a coldState.
type coldMarks uint8

const (
	coldListed   coldMarks = 1 << iota // in Manager.awaited
	coldWaiting                        // in Manager.detached
	coldPaced                          // in Manager.paced
	coldHanding                        // handOn was called
	coldDisowned                       // the queue was handed on: the session takes no more stanzas
	coldSettled                        // Suspend has detached it, or found it detached: all input is handled
	coldArriving                       // it has come from another node, and what arrived there meanwhile is missing: see fetch.go
	coldRestored                       // Restore has made it, and its client has not resumed it yet
)

func (x *coldState) is(m coldMarks) bool { return x.marks&m != 0 }
func (x *coldState) mark(m coldMarks)    { x.marks |= m }
func (x *coldState) unmark(m coldMarks)  { x.marks &^= m }

// rareState holds what most sessions need only for a short time.
type rareState struct {
	negotiation *negotiation // its fields are owned by the loop or worker; nil once bound
	slots       *slotValue   // values of Slots
	onDrain     []onDrain
	unacked     *ackQueue // stanzas that the client has not acknowledged; nil: none
}

// rareStates holds unused values: a client that acknowledges each message at once needs one
// again and again, for a moment.
var rareStates = sync.Pool{New: func() any { return new(rareState) }}

// needRare returns x.rare, which it makes if necessary. Under mu.
func (x *coldState) needRare() *rareState {
	if x.rare == nil {
		x.rare = rareStates.Get().(*rareState)
	}
	return x.rare
}

// dropRare is called after something was removed from x.rare. Under mu.
func (x *coldState) dropRare() {
	if r := x.rare; r != nil && r.negotiation == nil && r.slots == nil && r.onDrain == nil && r.unacked == nil {
		x.rare = nil
		rareStates.Put(r)
	}
}

// negotiation returns the state of the stream negotiation, nil after binding. Only the
// goroutine that handles the session's input may call it.
func (s *Session) negotiation() *negotiation {
	x := s.cold.Load()
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rare == nil {
		return nil
	}
	return x.rare.negotiation
}

// onDrain is a function that waits until the client has read.
type onDrain struct {
	f     func(*Turn)
	limit int // with stream management: and until fewer bytes are unacknowledged; 0: it need not wait for that
}

// ready reports whether the client has acknowledged enough. Under mu.
func (w *onDrain) ready(m *Manager, x *coldState) bool { return w.limit == 0 || !m.mustAck(x, w.limit) }

// OnDrain registers f to be called once, by the goroutine that handles the session's input,
// after functions registered earlier: when the socket has accepted all queued bytes, or
// soon if it already has.
func (s *Session) OnDrain(f func(*Turn)) { s.whenDrained(onDrain{f, 0}) }

// OnAcked is OnDrain for a function that also has to wait until MustAck(limit) returns false.
// It may be called after functions that were registered later.
func (s *Session) OnAcked(limit int, f func(*Turn)) { s.whenDrained(onDrain{f, limit}) }

func (s *Session) whenDrained(w onDrain) {
	x := s.ensureCold()
	x.mu.Lock()
	r := x.needRare()
	r.onDrain = append(r.onDrain, w)
	x.mu.Unlock()
	if !s.Conn().Flush() {
		s.Conn().Post(s.Drained) // it is called by itself only if the socket was full; it also requests the acknowledgement
	}
}

// takeOnDrain removes and returns the functions that need not wait for an acknowledgement.
func (s *Session) takeOnDrain() (ready []func(*Turn)) {
	x := s.cold.Load()
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rare == nil {
		return nil
	}
	var wait []onDrain
	for _, w := range x.rare.onDrain {
		if w.ready(s.mgr, x) {
			ready = append(ready, w.f)
		} else {
			wait = append(wait, w)
		}
	}
	x.rare.onDrain = wait
	x.dropRare()
	return ready
}

// acked reports whether a function need no longer wait for an acknowledgement. Under mu.
func (x *coldState) acked(m *Manager) bool {
	return x.rare != nil && slices.ContainsFunc(x.rare.onDrain, func(w onDrain) bool { return w.limit != 0 && w.ready(m, x) })
}

func (s *Session) ensureCold() *coldState {
	if x := s.cold.Load(); x != nil {
		return x
	}
	s.cold.CompareAndSwap(nil, new(coldState))
	return s.cold.Load()
}
