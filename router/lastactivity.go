package router

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"roost/jid"
	"roost/parser"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// maxStatus is the length of the longest status text of unavailable presence that is
// stored, in bytes.
const maxStatus = 1024

// lastActivityDelay is how long updates of last activity are collected. A crash loses at
// most that much; the server makes no promise to store it.
const lastActivityDelay = time.Second

// lastActivityBatch is how many accounts are written in one transaction, so that other
// writes are not held up.
const lastActivityBatch = 1000

// lastActivity collects the times when accounts were last available and writes them
// together: when a network of a hundred thousand phones disconnects, this takes a hundred
// transactions instead of a hundred thousand, and a client that connects and disconnects
// causes none of its own.
type lastActivity struct {
	r       *Router
	mu      sync.Mutex
	pending map[jid.JID]store.LastActivity // to be written; nil: nothing to write, nor in used, and no timer is running
	writing map[jid.JID]store.LastActivity // being written
	writeMu sync.Mutex                     // held while writing is not empty
	used    map[jid.JID]store.AccountUse   // to be written; not nil if pending is not

	// What other nodes have announced and may not have written yet: for heardTime, and
	// before that. Nil: nothing; if both are, no timer is running.
	heard, heardBefore map[jid.JID]store.LastActivity
}

// heardTime is how long last activity that another node has announced is kept at least:
// longer than that node needs to write it.
const heardTime = 5 * lastActivityDelay

// noteLastActivity records that a resource is becoming unavailable, with the status text of
// its unavailable presence, if it sent any. The result is for broadcast.last.
func (r *Router) noteLastActivity(s *session.Session, st *stanza.Stanza) store.LastActivity {
	last := store.LastActivity{Owner: s.JID().Bare(), At: time.Now().UTC(), Event: s.Event()}
	if st != nil {
		if el := st.Root.Child(stanza.NSClient, "status"); el.OK() {
			if text := el.AppendText(nil); len(text) <= maxStatus {
				last.Status = text
			}
		}
	}
	r.lastActivity.add(last)
	return last
}

func (w *lastActivity) add(l store.LastActivity) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.later()
	w.pending[l.Owner] = l
}

// addUse notes that an account was used, which is written like last activity.
func (w *lastActivity) addUse(u store.AccountUse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.later()
	w.used[u.Owner] = u
}

// later prepares for what is to be written, and schedules that unless it is scheduled. The caller
// holds mu.
func (w *lastActivity) later() {
	if w.pending == nil {
		w.pending, w.used = make(map[jid.JID]store.LastActivity), make(map[jid.JID]store.AccountUse)
		time.AfterFunc(lastActivityDelay, func() {
			w.r.sessions.Go(session.Write, func(*session.Turn) { w.write(w.r.ctx) })
		})
	}
}

// write writes what is pending.
func (w *lastActivity) write(ctx context.Context) {
	w.writeMu.Lock()
	defer w.writeMu.Unlock()
	w.mu.Lock()
	w.writing, w.pending = w.pending, nil
	all, used := slices.Collect(maps.Values(w.writing)), slices.Collect(maps.Values(w.used))
	w.used = nil
	w.mu.Unlock()
	for batch := range slices.Chunk(all, lastActivityBatch) {
		if err := w.r.config().Store.SetLastActivity(ctx, batch); err != nil {
			w.r.config().Logger.Error("last activity could not be written", "accounts", len(batch), "err", err)
		}
	}
	for batch := range slices.Chunk(used, lastActivityBatch) {
		if err := w.r.config().Store.NoteUse(ctx, batch); err != nil {
			w.r.config().Logger.Error("the use of accounts could not be written", "accounts", len(batch), "err", err)
		}
	}
	w.mu.Lock()
	w.writing = nil
	w.mu.Unlock()
}

// hear keeps what another node has announced. That node writes it.
func (w *lastActivity) hear(l store.LastActivity) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.heard == nil {
		w.heard = make(map[jid.JID]store.LastActivity)
		if w.heardBefore == nil {
			time.AfterFunc(heardTime, w.age)
		}
	}
	w.heard[l.Owner] = l
}

// age drops what was heard before the last heardTime.
func (w *lastActivity) age() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heardBefore, w.heard = w.heard, nil
	if w.heardBefore != nil {
		time.AfterFunc(heardTime, w.age)
	}
}

// find returns the last activity of an account that may not yet be in the store: the newest
// that is known here.
func (w *lastActivity) find(owner jid.JID) (last store.LastActivity, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range []map[jid.JID]store.LastActivity{w.pending, w.writing, w.heard, w.heardBefore} {
		if l, found := m[owner]; found && (!ok || l.At.After(last.At)) {
			last, ok = l, true
		}
	}
	return last, ok
}

// forget drops the last activity of an account that was deleted: a later account of the
// same name is a different one.
func (w *lastActivity) forget(owner jid.JID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending, owner)
	delete(w.used, owner)
	delete(w.writing, owner)
	delete(w.heard, owner)
	delete(w.heardBefore, owner)
}

// appendStatus appends the stored status text.
func appendStatus(b []byte, last store.LastActivity) []byte {
	if len(last.Status) == 0 {
		return b
	}
	b = append(b, "<status>"...)
	b = parser.AppendEscaped(b, last.Status)
	return append(b, "</status>"...)
}

// LastActivity returns when the last resource of an account became unavailable, or
// store.ErrNotFound. It may wait for the store.
func (r *Router) LastActivity(owner jid.JID) (store.LastActivity, error) {
	if last, ok := r.lastActivity.find(owner); ok {
		return last, nil
	}
	return r.config().Store.LastActivity(r.ctx, owner)
}
