package session

import (
	"errors"

	"roost/internal/sessiondata"
	"roost/jid"
)

// A session moves to another node of a cluster when its client resumes it there.
//
// This node ends the connection that the session may still have, waits until everything that
// its client has sent is handled, and then passes the session's data on. From that moment the
// session cannot be resumed or end here, but it stays in the tables, and takes stanzas as
// every detached session does. When the other node has taken it, those stanzas follow, and
// the session leaves without being announced. If the other node does not take it, it is
// detached as before.

// Departure is a session that is moving to another node.
type Departure struct {
	s    *Session
	sent uint32 // number of entries, the oldest of the queue, that the other node has received
}

// Depart prepares the session of an account that has this resumption ID for its move to
// another node, and then calls ready with the session's data, which is borrowed, on the
// session's loop. If there is no such session, Depart calls none with what the client has to
// be told: h, the number of its stanzas that were handled, if that is known. If the session
// is moving already, Depart calls none with the session. Any goroutine may call Depart.
func (m *Manager) Depart(account, id string, ready func(t *Turn, d *Departure, data []byte), none func(h uint32, known bool, moving *Session)) {
	number, ok := m.readResumeID([]byte(id), account)
	if !ok {
		none(0, false, nil)
		return
	}
	s := m.resumable(account, number)
	if s == nil {
		h, known := m.past.get(account, number)
		none(h, known, nil)
		return
	}
	settled := false // what was posted because of the earlier connection has run
	var step func(t *Turn)
	step = func(t *Turn) {
		switch {
		case s.has(flagMoving):
			none(0, false, s)
		case s.has(flagClosing|flagGone|flagLeft) && m.stopping.Load():
			// It may be one of those that are being saved. The client's node looks for it
			// in the store when it gets the reply.
			m.saving.after(func() { none(0, false, nil) })
		case s.has(flagClosing | flagGone | flagLeft):
			none(s.cold.Load().handled, true, nil)
		case !s.has(flagDetached):
			s.supersede(t, ErrConflict)
			s.runOnLoop(step)
		case !settled:
			settled = true
			s.runOnLoop(step)
		case s.whenComplete(step):
		default:
			s.freeze(t, ready)
		}
	}
	s.runOnLoop(step)
}

// freeze keeps the detached session unchanged until its Departure is over.
func (s *Session) freeze(t *Turn, ready func(t *Turn, d *Departure, data []byte)) {
	s.mgr.config().Router.Departing(t, s)
	s.state.Or(flagClosing | flagMoving)
	var data sessiondata.Session
	s.describe(nil, &data)
	x := s.cold.Load()
	x.mu.Lock()
	b := s.encode(nil, &data, x)
	x.mu.Unlock()
	ready(t, &Departure{s: s, sent: uint32(len(data.Stanzas))}, b)
}

// Moving reports whether the session has been sent to another node, which has it or is about to
// take it. Such a session is Ending, too. Any goroutine may call it.
func (s *Session) Moving() bool { return s.has(flagMoving) }

// Session is the session that is moving.
func (d *Departure) Session() *Session { return d.s }

// departBatch is the size of the stanzas that Leave passes on at once, in bytes, without the
// last one.
const departBatch = 64 << 10

// Leave is called when the other node has taken the session. It passes the stanzas that have
// arrived here since then to send, in order and borrowed, and removes the session. From then
// on, Router.Relay gets what is sent to it. Leave returns false if another session has taken
// its address in the meantime.
func (d *Departure) Leave(t *Turn, send func(data []byte)) bool {
	s := d.s
	for d.sendMore(send) {
	}
	x := s.cold.Load()
	x.mu.Lock()
	x.noLongerRestored(&s.mgr.restored.resumed)
	x.mu.Unlock()
	s.mgr.ended.add(endedMoved)
	s.publishEnd(endedMoved, nil)
	if s.has(flagTapped) {
		s.mgr.taps.end(s)
	}
	kept := s.has(flagLeft)
	s.written()
	s.mgr.successions.leave(s)
	countEvents.Add(t, eventMovedAway, 1)
	return !kept
}

// sendMore passes a batch on. If there is none, the session takes no more stanzas, and
// sendMore returns false.
func (d *Departure) sendMore(send func(data []byte)) bool {
	data := sessiondata.Session{Address: []byte(d.s.FullJID())}
	b := func() []byte {
		x := d.s.cold.Load()
		x.mu.Lock()
		defer x.mu.Unlock()
		size := 0
		if q := x.queue(); q != nil && q.len > d.sent {
			skip := d.sent
			for e := range q.all() {
				if skip > 0 {
					skip--
					continue
				}
				data.Stanzas = append(data.Stanzas, e.data())
				if size += e.size(); size >= departBatch {
					break
				}
			}
		}
		if len(data.Stanzas) == 0 {
			x.mark(coldDisowned)
			return nil
		}
		return sessiondata.AppendSession(nil, &data) // under the lock: the stanzas are parts of the queue
	}()
	if b == nil {
		return false
	}
	d.sent += uint32(len(data.Stanzas))
	send(b)
	return true
}

// Undo makes the session wait for its client again, because the other node has not taken it,
// and then calls stays on the session's loop. If another session has taken its address in the
// meantime, or is about to, the session ends instead. Any goroutine may call it.
func (d *Departure) Undo(stays func(t *Turn)) {
	s := d.s
	s.endOnLoop(func(t *Turn) {
		if s.has(flagLeft|flagSlow) || s.Replaced() || s.mgr.endsAll() {
			s.endDeparted(t)
			return
		}
		x := s.cold.Load()
		x.mu.Lock()
		s.await(x)
		x.mu.Unlock()
		s.unset(flagClosing | flagMoving)
		stays(t)
	})
}

// End ends the session, because the other node has died and may have taken it. Any goroutine
// may call it.
func (d *Departure) End() { d.s.endOnLoop(d.s.endDeparted) }

func (s *Session) endDeparted(t *Turn) {
	s.unset(flagMoving)
	s.endedBecause(endedLost, nil)
	s.release(t)
}

// StanzasOf returns the address and the stanzas in the data of a session. They are parts of
// it.
func StanzasOf(data []byte) (full jid.JID, all []Unacked, err error) {
	d, err := sessiondata.ParseSession(data)
	if err != nil && !errors.Is(err, sessiondata.ErrLoss) {
		return full, nil, err
	}
	if full, err = jid.ParseBytes(d.Address); err != nil {
		return full, nil, err
	}
	for i := range d.Stanzas {
		all = append(all, unackedOf(&d.Stanzas[i]))
	}
	return full.Clone(), all, nil
}
