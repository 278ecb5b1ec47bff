package session

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"roost/internal/sessiondata"
	"roost/jid"
)

// Fetch is the request of a client to resume a session that is on another node. The session
// moves here, where the client then resumes it like any other.
// docs/decisions/0060-moving-sessions.md has the steps.
//
// The session that has authenticated the client is busy until the Fetch is over.
type Fetch struct {
	r      *resumption
	number uint32
	vacant Conn // of the client's loop, for the session
	h      uint32
	known  bool

	mu      sync.Mutex
	over    bool
	arrived *Session
	at      uint32 // number of entries, in the queue of arrived, before those that were sent to it here
}

// fetch makes the router look for the session with this number on other nodes. It returns
// false if there are no other nodes. h is the number of stanzas that were handled of such a
// session that has ended here, if known. Only the session's loop may call it.
func (s *Session) fetch(r *resumption, number, h uint32, known bool) bool {
	f := &Fetch{r: r, number: number, vacant: s.Conn().Vacant().(Conn), h: h, known: known}
	if !s.mgr.config().Router.Fetch(f) {
		return false
	}
	s.set(flagBusy)
	s.Conn().Pause()
	return true
}

// Account is the client's account, which the session must have.
func (f *Fetch) Account() string { return f.r.from.BareJID() }

// Event is the account's newest event when the client authenticated.
func (f *Fetch) Event() int64 { return f.r.from.Event() }

// ID is the resumption ID.
func (f *Fetch) ID() string { return f.r.id }

// Session is the session that has arrived, nil if none has.
func (f *Fetch) Session() *Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.arrived
}

// NotFound tells the client that there is no such session, unless the client has already been
// told or the session has arrived. h is the number of its stanzas that were handled, if that
// is known. Any goroutine may call it.
func (f *Fetch) NotFound(h uint32, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.arrived != nil {
		return
	}
	f.over = true
	if !known {
		h, known = f.h, f.known
	}
	s := f.r.from
	s.Conn().Post(func(loop int) {
		s.runOrDefer(s.mgr.turns[loop], func(t *Turn) {
			if !s.has(flagClosing) {
				f.r.tellNotFound(t, h, known)
			}
		})
		s.returnToLoop(loop)
	})
}

var errOtherData = errors.New("it is not the one that was requested")

// Arrive puts the session in the tables, as a detached one. Before that, when nobody else can
// have found it, it calls prepare. Only a worker may call Arrive. After an error nothing has
// changed, and the session must remain where it is.
func (f *Fetch) Arrive(t *Turn, data []byte, prepare func(*Session)) (*Session, error) {
	d, err := sessiondata.ParseSession(data)
	if err != nil {
		return nil, err
	}
	return f.arrive(t, &d, f.r.from.event.Load(), prepare) // what happened to the account before has allowed this login
}

func (f *Fetch) arrive(t *Turn, d *sessiondata.Session, event uint32, prepare func(*Session)) (*Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.arrived != nil || f.r.from.has(flagClosing|flagGone) {
		return nil, ErrNobodyWaits
	}
	full, err := jid.ParseBytes(d.Address)
	if err != nil || !full.IsFull() || full.BareString() != f.Account() || d.Number != f.number {
		return nil, errOtherData
	}
	m := f.r.from.mgr
	forgetCopies(d.Stanzas)
	s, err := m.remake(f.vacant, full, d)
	if err != nil {
		s.discardRestored()
		return nil, err
	}
	s.event.Store(event)
	x := s.cold.Load()
	x.mark(coldArriving) // nobody else knows it yet
	prepare(s)
	m.arriving.Store(s, nil)
	if !m.relink(s) {
		m.arriving.Delete(s)
		s.discardRestored()
		return nil, errTwice
	}
	x.mu.Lock()
	m.large.grew(s, x)
	s.await(x)
	x.mu.Unlock()
	f.arrived, f.at = s, uint32(len(d.Stanzas))
	countEvents.Add(t, eventMovedHere, 1)
	return s, nil
}

// forgetCopies makes copies of messages independent of those of other sessions, which are
// still where the session was. Copies that are not to be handed on remain so.
func forgetCopies(all []sessiondata.Stanza) {
	for i := range all {
		if e := &all[i]; ackFlags(e.Flags)<<ackFlagShift&ackCopied != 0 {
			e.Flags &^= uint8(ackCopied >> ackFlagShift)
			e.ID = 0
		}
	}
}

// Fill adds the stanzas that arrived where the session was after its data was made. They come
// before those that have arrived here, unless the client has resumed the session already. Fill
// returns the stanzas that the session does not take, because it has ended, or because they
// are in the store and it may have read them from there. Only a worker may call it, after
// Arrive.
func (f *Fetch) Fill(t *Turn, data []byte) (refused []Unacked, err error) {
	d, err := sessiondata.ParseSession(data)
	if err != nil && !errors.Is(err, sessiondata.ErrLoss) {
		return nil, err
	}
	forgetCopies(d.Stanzas)
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.arrived
	if s == nil {
		return nil, fmt.Errorf("%w: it has not arrived", errOtherData)
	}
	if s.fill(d.Stanzas, &f.at) {
		return nil, err
	}
	for i := range d.Stanzas {
		if u := unackedOf(&d.Stanzas[i]); u.ID != 0 || !s.SendUnacked(t, &u) {
			refused = append(refused, u)
		}
	}
	return refused, err
}

// fill inserts stanzas in the queue. It returns false if it is too late for that.
func (s *Session) fill(all []sessiondata.Stanza, at *uint32) bool {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.is(coldArriving) || x.is(coldHanding|coldDisowned) {
		return false
	}
	if len(all) == 0 {
		return true
	}
	r := x.needRare()
	if r.unacked == nil {
		r.unacked = ackQueues.Get().(*ackQueue)
	}
	q, before := r.unacked, r.unacked.bytes()
	q.insert(*at, all)
	n := uint32(len(all))
	*at += n
	x.sent += n
	s.mgr.unackedBytes.Add(int64(q.bytes() - before))
	s.mgr.large.grew(s, x)
	return true
}

// insert adds entries that were not sent after the first n. The entries after those were not
// sent either. There is no connection; next is set when there is one.
func (q *ackQueue) insert(n uint32, all []sessiondata.Stanza) {
	at := q.head
	for e := range q.first(int(n)) {
		at += e.size()
	}
	rest := slices.Clone(q.buf[at:])
	q.buf = q.buf[:at]
	for i := range all {
		e := &all[i]
		q.add(ackEntry{stanza: e.Text, at: e.At, id: e.ID, flags: ackFlags(e.Flags) << ackFlagShift & ackFlagBits})
		q.unsent++
	}
	q.buf = append(q.buf, rest...)
}

// unackedOf returns an entry as others see it.
func unackedOf(e *sessiondata.Stanza) Unacked {
	flags := ackFlags(e.Flags) << ackFlagShift
	u := Unacked{Stanza: e.Text, Sent: time.UnixMilli(e.At), Stamped: flags&ackStamped != 0}
	if flags&ackStored != 0 {
		u.ID = e.ID
	}
	return u
}

// SendUnacked is SendBytes for a stanza that was sent to the session on another node.
func (s *Session) SendUnacked(t *Turn, u *Unacked) bool {
	return s.sendUnit(t, u.Stanza, units{stamped: u.Stamped, id: u.ID})
}

// Attach makes the client resume the session that has arrived. Any goroutine may call it,
// more than once.
func (f *Fetch) Attach() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.arrived == nil {
		return
	}
	f.over = true
	f.arrived.complete()
	f.r.from.Conn().Post(func(loop int) { f.r.take(f.arrived, loop) })
}

// complete records that all stanzas that arrived where the session was are here now, or are
// no longer waited for.
func (s *Session) complete() {
	x := s.cold.Load()
	x.mu.Lock()
	x.unmark(coldArriving)
	x.mu.Unlock()
	waiting, _ := s.mgr.arriving.LoadAndDelete(s)
	for _, f := range waiting {
		s.runOnLoop(f)
	}
}

// Arriving reports whether stanzas that were sent to the session where it was may still be
// missing.
func (s *Session) Arriving() bool {
	_, missing := s.mgr.arriving.Load(s)
	return missing
}

// whenComplete runs f on the loop once nothing is missing any more, which is soon. It returns
// false, and does nothing, if nothing is missing now.
func (s *Session) whenComplete(f func(*Turn)) (waits bool) {
	s.mgr.arriving.Compute(s, func(all []func(*Turn), missing bool) ([]func(*Turn), bool) {
		waits = missing
		return append(all, f), !missing
	})
	return waits
}

// Cancel undoes Arrive: the session must remain where it was. Stanzas that were sent to it
// here in the meantime are handed on. Only a worker may call it; the caller then has to call
// NotFound.
func (f *Fetch) Cancel() {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.arrived
	f.arrived = nil
	x := s.cold.Load()
	x.mu.Lock()
	if q := x.queue(); x.is(coldArriving) && q != nil {
		x.drop(s.mgr, min(f.at, q.len))
	}
	x.number = 0
	x.mu.Unlock()
	s.complete()
	s.SetPresence(nil, 0) // its end means nothing to others
	s.Close(ErrConflict)
}

// relay sends a stanza to the session where it is now. Under coldState.mu.
func (s *Session) relay(b []byte, u units) (ok bool) {
	r := s.mgr.config().Router
	if u.ends == nil {
		return r.Relay(s, b, u.id, u.stamped)
	}
	begin := 0
	for _, end := range u.ends {
		ok = r.Relay(s, b[begin:end], 0, false) || ok
		begin = end
	}
	return ok
}
