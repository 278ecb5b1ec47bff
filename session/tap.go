package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"roost/parser"
	"roost/stanza"
)

// A Tap gets copies of what one session sends and receives, so that an administrator can look
// for a fault. A session without a Tap pays one test of a flag per unit, and no memory. The
// copies wait in a queue that is limited in bytes: the loops and workers that fill it never
// wait for its reader.
type Tap struct {
	taps *taps
	of   *Session
	wake chan struct{} // has an element when there may be an event

	// Under taps.mu.
	queue  []TapEvent
	bytes  int    // memory of queue
	lost   int    // units that were not queued since the last one that was
	reason string // of the session's end, once that has begun
}

// TapEvent is a unit of the stream (see Session.SendBytes), or the end of the session. It
// must not be changed.
type TapEvent struct {
	Time  time.Time
	Sent  bool   // by the server; otherwise it is from the client
	Size  int    // bytes of the unit
	XML   []byte // the unit, or its first 64 KiB
	Scope []byte // what is declared outside it, as attributes of a start tag
	Lost  int    // units before this event for which there was no memory
	Ended string // this is the last event, no unit: the reason for the session's end (see Ended), or that of Tap.End
}

// MaxTaps is the maximum number of Taps of all sessions together.
const MaxTaps = 8

const (
	maxTapUnit   = 64 << 10 // bytes copied of a unit
	maxTapBytes  = 1 << 20  // bytes queued for the reader of a Tap
	maxTapRead   = 64 << 10 // bytes at which Next returns no further events
	tapEventSize = 160      // approximate memory of an event without its bytes
)

// ErrTooManyTaps says that there are MaxTaps already.
var ErrTooManyTaps = errors.New("session: there are too many taps")

// ErrEnded says that a session has ended.
var ErrEnded = errors.New("session: the session has ended")

// taps are all Taps of a manager.
type taps struct {
	mu    sync.Mutex
	of    map[*Session][]*Tap
	count int
}

// Tap begins to copy what a bound session sends and receives, until its end or Close. Any
// goroutine may call it. The caller must close the Tap.
func (m *Manager) Tap(s *Session) (*Tap, error) {
	x := &m.taps
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.count >= MaxTaps {
		return nil, ErrTooManyTaps
	}
	if x.of == nil {
		x.of = make(map[*Session][]*Tap)
	}
	p := &Tap{taps: x, of: s, wake: make(chan struct{}, 1)}
	x.of[s] = append(x.of[s], p)
	s.set(flagTapped)
	// A session that ends sets flagClosing first and then looks for taps. So either it
	// sees this one, or this sees the flag.
	if s.has(flagClosing | flagGone) {
		x.remove(p)
		return nil, ErrEnded
	}
	x.count++
	return p, nil
}

// Taps returns the number of Taps that are not closed.
func (m *Manager) Taps() int {
	m.taps.mu.Lock()
	defer m.taps.mu.Unlock()
	return m.taps.count
}

// Close ends the copying and releases the queue. It must be called for each Tap, once.
func (p *Tap) Close() {
	x := p.taps
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(p)
	x.count--
	p.queue, p.bytes = nil, 0
}

// remove ends the copying, unless it has ended. Under mu.
func (x *taps) remove(p *Tap) {
	rest := slices.DeleteFunc(x.of[p.of], func(other *Tap) bool { return other == p })
	if len(rest) > 0 {
		x.of[p.of] = rest
		return
	}
	delete(x.of, p.of)
	p.of.unset(flagTapped)
}

// End ends the copying as the end of the session does, for a reason of the caller. Any
// goroutine may call it; after the session's end it does nothing.
func (p *Tap) End(reason string) {
	x := p.taps
	x.mu.Lock()
	defer x.mu.Unlock()
	if slices.Contains(x.of[p.of], p) {
		p.end(reason)
	}
}

// end queues the last event. Under mu.
func (p *Tap) end(reason string) {
	p.add(TapEvent{Time: time.Now(), Ended: reason})
	p.taps.remove(p)
}

// Next waits for events and returns at least one of them, and some more if they are small.
// It returns the error of ctx if that ends first. It must not be called after the last
// event. One goroutine may call it at a time.
func (p *Tap) Next(ctx context.Context) ([]TapEvent, error) {
	for {
		if all := p.take(); len(all) > 0 {
			return all, nil
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take takes events from the queue.
func (p *Tap) take() []TapEvent {
	p.taps.mu.Lock()
	defer p.taps.mu.Unlock()
	n, size := 0, 0
	for ; n < len(p.queue) && size < maxTapRead; n++ {
		size += p.queue[n].memory()
	}
	all := slices.Clone(p.queue[:n])
	p.queue = slices.Delete(p.queue, 0, n)
	p.bytes -= size
	return all
}

func (e *TapEvent) memory() int { return tapEventSize + len(e.XML) + len(e.Scope) }

// unit copies a unit of a session's stream to its Taps.
func (x *taps) unit(s *Session, sent bool, xml, scope []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := TapEvent{Time: time.Now(), Sent: sent, Size: len(xml), XML: xml[:min(len(xml), maxTapUnit)], Scope: scope}
	copied := false
	for _, p := range x.of[s] {
		if p.bytes+e.memory() > maxTapBytes {
			p.lost++
			continue
		}
		if !copied {
			e.XML, copied = slices.Clone(e.XML), true
		}
		p.add(e)
	}
}

// add queues an event. Under mu.
func (p *Tap) add(e TapEvent) {
	e.Lost, p.lost = p.lost, 0
	p.queue = append(p.queue, e)
	p.bytes += e.memory()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// because records why a session ends. What is sent to it until then is still copied.
func (x *taps) because(s *Session, reason string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range x.of[s] {
		p.reason = reason
	}
}

// end gives the Taps of a session their last event, and removes them.
func (x *taps) end(s *Session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range slices.Clone(x.of[s]) {
		p.end(cmp.Or(p.reason, endedLost))
	}
}

// serverScope are the namespaces that our stream header declares.
var serverScope = []byte(" xmlns='" + stanza.NSClient + "' xmlns:stream='" + stanza.NSStreams + "'")

// tapSent copies a unit that was sent.
func (s *Session) tapSent(b []byte) { s.mgr.taps.unit(s, true, b, serverScope) }

// tapReceived copies an element that was received.
func (s *Session) tapReceived(d *parser.Tape) {
	scope := []byte(" xmlns='" + stanza.NSClient + "'") // or that of streams: neither says what to hide
	d.Inherited(func(prefix, uri []byte) {
		scope = append(scope, " xmlns:"...)
		scope = append(scope, prefix...)
		scope = append(scope, "='"...)
		scope = append(parser.AppendEscaped(scope, uri), '\'')
	})
	s.mgr.taps.unit(s, false, d.Raw(), scope)
}

// tapClosed records that the client has closed its stream.
func (s *Session) tapClosed() { s.mgr.taps.unit(s, false, []byte("</stream:stream>"), serverScope) }
