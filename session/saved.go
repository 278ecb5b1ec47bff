package session

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"roost/internal/sessiondata"
	"roost/jid"
)

// In a cluster, the sessions that a node saved when it was stopped (suspend.go) are available
// to the others: the node that a client reaches takes the session that the client resumes,
// and when the time of a session is over, any node ends it.

// SavedUnit is data for Restore: several sessions, or, with Keep.Each, one.
type SavedUnit struct {
	Key   string    // key of the only session, see Fetch.Key; "" if there are several
	Until time.Time // until when the only session waits for its client; zero if there are several
	Data  []byte
}

// savedUnit returns a unit for a session of an account, without its data.
func savedUnit(account string, d *sessiondata.Session) SavedUnit {
	return SavedUnit{Key: savedKey(account, d.Number), Until: time.Unix(d.Until, 0)}
}

// savedKey is the key by which a session is found among those that were saved. It is no
// secret: a client has to present the resumption ID, too.
func savedKey(account string, number uint32) string {
	return account + " " + strconv.FormatUint(uint64(number), 10)
}

// Key is the SavedUnit.Key of the session, if it was saved.
func (f *Fetch) Key() string { return savedKey(f.Account(), f.number) }

// Errors of ArriveSaved.
var (
	ErrNobodyWaits = errors.New("its client no longer waits for it")
	errTimeOver    = errors.New("its time is over")
)

// ArriveSaved is Arrive for the data of a SavedUnit with one session. After ErrNobodyWaits the
// client may come back for it; after another error it has to be ended.
func (f *Fetch) ArriveSaved(t *Turn, data []byte) (*Session, error) {
	d, err := parseSaved(data)
	if err != nil {
		return nil, err
	}
	return f.arrive(t, &d, d.Event, func(*Session) {})
}

// parseSaved reads a session that can be resumed from the data of a SavedUnit.
func parseSaved(data []byte) (d sessiondata.Session, err error) {
	var r Restored
	for b := range sessiondata.Units(data) {
		switch kind, err := sessiondata.KindOf(b); {
		case err != nil:
			return d, err
		case kind == sessiondata.ServerKind:
			if err := restoreServer(b, &r); err != nil {
				return d, err
			}
			continue
		}
		if d, err = sessiondata.ParseSession(b); err == nil && (!r.Server || d.Until <= time.Now().Unix()) {
			err = errTimeOver
		}
		return d, err
	}
	return d, sessiondata.ErrDamaged
}

// EndSaved ends a session that was saved and can no longer be resumed: it hands its stanzas
// on. data is that of a SavedUnit with one session. EndSaved returns the session's address,
// and whether it was available: then its contacts have to be notified. After an error, some
// stanzas are lost, or all if full is zero. Only a worker for writes may call it.
func (m *Manager) EndSaved(t *Turn, data []byte) (full jid.JID, available bool, err error) {
	err = sessiondata.ErrDamaged
	for b := range sessiondata.Units(data) {
		if kind, _ := sessiondata.KindOf(b); kind != sessiondata.ServerKind {
			full, available, err = m.endSaved(t, b)
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("session: end a saved session: %w", err)
	}
	return full, available, err
}

func (m *Manager) endSaved(t *Turn, b []byte) (full jid.JID, available bool, err error) {
	d, err := sessiondata.ParseSession(b)
	if err != nil && !errors.Is(err, sessiondata.ErrLoss) {
		return full, false, err
	}
	full, e := jid.ParseBytes(d.Address)
	if e != nil || !full.IsFull() || full.Local() == "" {
		return jid.JID{}, false, errAddress
	}
	full = full.Clone()
	forgetCopies(d.Stanzas)
	s := &Session{mgr: m, jid: full.Compact()} // in no table, and without a connection
	s.event.Store(d.Event)
	s.set(flagOpen | flagAuthed | flagBound | flagManaged | flagClosing | flagGone | flagLeft)
	x := &coldState{handled: d.Handled, sent: d.Sent, number: d.Number}
	s.cold.Store(x)
	if !x.restoreQueue(m, &d) {
		err = sessiondata.ErrLoss
	}
	m.past.add(s.BareJID(), d.Number, d.Handled)
	s.handOnAll(t)
	return full, len(d.Presence) > 0, err
}

// saving holds functions that wait until it is known whether sessions were saved.
type saving struct {
	mu     sync.Mutex
	active bool
	recent []func() // since the last block was written: the sessions may be in the block after that
	older  []func() // they are in the block that is being written, or before
}

func (w *saving) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active = true
}

// after calls f when it is known whether the sessions that are being saved at this moment
// were saved, or at once if none are. f must not block.
func (w *saving) after(f func()) {
	w.mu.Lock()
	active := w.active
	if active {
		w.recent = append(w.recent, f)
	}
	w.mu.Unlock()
	if !active {
		f()
	}
}

// written is called when it is known what has become of a block of sessions.
func (w *saving) written() {
	w.mu.Lock()
	now := w.older
	w.older, w.recent = w.recent, nil
	w.mu.Unlock()
	for _, f := range now {
		f()
	}
}

func (w *saving) end() {
	w.mu.Lock()
	w.active = false
	w.mu.Unlock()
	w.written()
	w.written()
}

// SavedUntil is the SavedUnit.Until of data with one session; zero if that is damaged.
func SavedUntil(data []byte) time.Time {
	d, err := parseSaved(data)
	if err != nil && !errors.Is(err, errTimeOver) {
		return time.Time{}
	}
	return time.Unix(d.Until, 0)
}
