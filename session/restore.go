package session

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"roost/internal/sessiondata"
	"roost/jid"
)

// Restored counts what Restore has done.
type Restored struct {
	Sessions int   // sessions that were restored, including those in Over
	Over     int   // sessions whose time was over, and that end at once
	Damaged  int   // sessions that were lost, or of which stanzas were lost
	Err      error // why one of those was damaged
	Event    int64 // the last account event that all servers which saved the sessions had processed
	Server   bool  // the server that saved the sessions which follow is known; otherwise they cannot be resumed
	known    bool  // Event is set
}

// Restore restores sessions from what Suspend has written, in its order, and adds to r. They
// wait for their clients for the rest of their time. vacant returns the result of Conn.Vacant
// for any loop. Restore must be called before any client connects.
func (m *Manager) Restore(units [][]byte, r *Restored, vacant func() Conn) {
	for _, unit := range units {
		for b := range sessiondata.Units(unit) {
			if err := m.restoreUnit(b, r, vacant); err != nil {
				r.Damaged++
				r.Err = err
			}
		}
	}
}

func (m *Manager) restoreUnit(b []byte, r *Restored, vacant func() Conn) error {
	kind, err := sessiondata.KindOf(b)
	switch {
	case err != nil:
		return err
	case kind == sessiondata.ServerKind:
		return restoreServer(b, r)
	}
	return m.restore(vacant(), b, r)
}

// maxStop is how long a server may have been stopped so that its sessions can be resumed. It
// is less than the time for which the store keeps account events: what happened to accounts
// meanwhile must be known.
const maxStop = 50 * time.Minute

// restoreServer reads what is known of the server that was stopped.
func restoreServer(b []byte, r *Restored) error {
	d, err := sessiondata.ParseServer(b)
	if err != nil {
		return err
	}
	if !r.known || d.Event < r.Event {
		r.Event, r.known = d.Event, true
	}
	r.Server = time.Since(time.Unix(d.Stopped, 0)) <= maxStop
	return nil
}

// Errors of Restore.
var (
	errAddress = errors.New("the address is not valid")
	errTwice   = errors.New("another session has the address")
)

// restore makes a session.
func (m *Manager) restore(c Conn, b []byte, r *Restored) error {
	d, err := sessiondata.ParseSession(b)
	if err != nil && !errors.Is(err, sessiondata.ErrLoss) {
		return err
	}
	full, e := jid.ParseBytes(d.Address)
	if e != nil || !full.IsFull() || full.Local() == "" {
		return errAddress
	}
	s, e := m.remake(c, full, &d)
	if err == nil {
		err = e
	}
	x := s.cold.Load()
	wait := min(d.Until-time.Now().Unix(), int64(x.mayWait(m)/time.Second))
	over := wait <= 0 || err != nil || !r.Server || !m.Serves(s.Host())
	if over {
		m.past.add(s.BareJID(), x.number, x.handled)
		x.number, wait = 0, 0 // it cannot be resumed
	}
	if !m.relink(s) {
		s.discardRestored()
		return errTwice
	}
	x.mu.Lock()
	x.mark(coldRestored)
	m.restored.all.Add(1)
	x.until = m.second() + uint16(wait)
	m.detached.add(s, x)
	m.large.grew(s, x)
	x.mu.Unlock()
	r.Sessions++
	if over {
		r.Over++
	}
	return err
}

// RestoredCounts says what has become of the sessions that were restored.
type RestoredCounts struct {
	Waiting int // sessions that wait for their clients
	Resumed int // sessions that their clients have resumed at least once, perhaps on another node
	Ended   int // sessions that ended without that: their time was over, or their clients have new ones
}

// RestoredCounts returns a snapshot.
func (m *Manager) RestoredCounts() RestoredCounts { return m.restored.snapshot() }

// restoredCounts counts what has become of restored sessions.
type restoredCounts struct{ all, resumed, ended atomic.Int64 }

// noLongerRestored is called when a session is resumed or ends. If the session was restored
// and this is the first time, noLongerRestored counts it in now and returns true. Under mu.
func (x *coldState) noLongerRestored(now *atomic.Int64) (first bool) {
	if first = x.is(coldRestored); first {
		x.unmark(coldRestored)
		now.Add(1)
	}
	return first
}

func (c *restoredCounts) snapshot() RestoredCounts {
	r := RestoredCounts{Resumed: int(c.resumed.Load()), Ended: int(c.ended.Load())} // first: Waiting must not be negative
	r.Waiting = int(c.all.Load()) - r.Resumed - r.Ended
	return r
}

// remake makes a detached session, which is in no table yet. After an error it cannot be
// resumed, but its stanzas can be handed on.
func (m *Manager) remake(c Conn, full jid.JID, d *sessiondata.Session) (s *Session, err error) {
	s = &Session{mgr: m, jid: full.Compact()}
	s.conn.Store(c)
	s.event.Store(d.Event)
	s.set(flagOpen | flagAuthed | flagBound | flagManaged | flagDetached)
	m.detached.count.Add(1)
	x := &coldState{handled: d.Handled, sent: d.Sent, number: d.Number, wait: d.Wait}
	s.cold.Store(x)
	if !x.restoreQueue(m, d) {
		err = sessiondata.ErrLoss
	}
	for _, a := range d.Additions {
		if e := m.config().Router.RestoreState(s, a.Name, a.Data); e != nil && err == nil {
			err = fmt.Errorf("%s: %w", a.Name, e)
		}
	}
	if bytes.HasPrefix(d.Presence, []byte("<presence")) {
		s.SetPresence(m.presences.share(d.Presence), d.Priority)
	}
	return s, err
}

// discardRestored undoes what was counted for a session that is in no table.
func (s *Session) discardRestored() {
	s.set(flagClosing | flagGone | flagLeft)
	s.attached()
	s.discardUnacked()
	s.SetPresence(nil, 0)
}

// restoreQueue puts the stanzas in the queue. It returns false if some are not valid.
func (x *coldState) restoreQueue(m *Manager, d *sessiondata.Session) (whole bool) {
	if len(d.Stanzas) == 0 {
		return true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	q := ackQueues.Get().(*ackQueue)
	whole = true
	sent := len(d.Stanzas) - min(int(d.Unsent), len(d.Stanzas))
	for i, e := range d.Stanzas {
		if i == sent {
			q.next = len(q.buf)
		}
		flags := ackFlags(e.Flags) << ackFlagShift & ackFlagBits
		if !isStanza(e.Text) || len(e.Text) > maxRestored || flags&ackHasID == ackHasID {
			whole = false
			continue
		}
		if flags&ackCopied != 0 {
			m.copiesUsed(Copies(e.ID).number())
		}
		q.add(ackEntry{stanza: e.Text, at: e.At, id: e.ID, flags: flags})
		if i >= sent {
			q.unsent++
		}
	}
	if q.len == 0 {
		q.release()
		return whole
	}
	q.fit()
	x.needRare().unacked = q
	m.unackedBytes.Add(int64(q.bytes()))
	return whole
}

// maxRestored is the size of the largest stanza that is restored, in bytes: the length in a
// queue has 27 bits.
const maxRestored = 1<<27 - 1

// relink puts a restored session in the tables, unless there is one with its address.
func (m *Manager) relink(s *Session) (linked bool) {
	m.table.update(s.BareJID(), func(head *Session) *Session {
		for x := head.from(s.BareJID()); x != nil; x = x.Next() {
			if x.Resource() == s.Resource() {
				return head
			}
		}
		s.next.Store(head)
		linked = true
		return s
	})
	if linked {
		m.bound.Add(1)
	}
	return linked
}
