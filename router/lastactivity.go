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

// maxStatus is the longest status text of an unavailable presence that is kept,
// in bytes.
const maxStatus = 1024

// lastActivityDelay is how long it is gathered when accounts were last available. A
// crash loses so much of it; nobody was told that it is kept.
const lastActivityDelay = time.Second

// lastActivityBatch is how many accounts are written in one transaction, so that others'
// writes have their turn between them.
const lastActivityBatch = 1000

// lastActivity gathers when accounts were last available and writes that down
// together: when a network of a hundred thousand phones goes away, this is a
// hundred transactions and not a hundred thousand, and a client that comes and
// goes causes none of its own.
type lastActivity struct {
	r       *Router
	mu      sync.Mutex
	noted   map[jid.JID]store.LastActivity // to be written; nil: nothing, and no timer runs
	writing map[jid.JID]store.LastActivity // being written
	one     sync.Mutex                     // held while there is something in writing
}

// noteLastActivity records that a resource goes now, with the status text of its
// unavailable presence if it sent one.
func (r *Router) noteLastActivity(s *session.Session, st *stanza.Stanza) {
	last := store.LastActivity{Owner: s.JID().Bare(), At: time.Now().UTC(), Event: s.Event()}
	if st != nil {
		if el := st.Root.Child(stanza.NSClient, "status"); el.OK() {
			if text := el.AppendText(nil); len(text) <= maxStatus {
				last.Status = text
			}
		}
	}
	r.lastActivity.add(last)
}

func (w *lastActivity) add(l store.LastActivity) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noted == nil {
		w.noted = make(map[jid.JID]store.LastActivity)
		time.AfterFunc(lastActivityDelay, func() {
			w.r.sessions.Go(session.Write, func(*session.Turn) { w.write(w.r.ctx) })
		})
	}
	w.noted[l.Owner] = l
}

// write writes what is noted.
func (w *lastActivity) write(ctx context.Context) {
	w.one.Lock()
	defer w.one.Unlock()
	w.mu.Lock()
	w.writing, w.noted = w.noted, nil
	all := slices.Collect(maps.Values(w.writing))
	w.mu.Unlock()
	for batch := range slices.Chunk(all, lastActivityBatch) {
		if err := w.r.cfg.Store.SetLast(ctx, batch); err != nil {
			w.r.cfg.Logger.Error("last activity could not be written", "accounts", len(batch), "err", err)
		}
	}
	w.mu.Lock()
	w.writing = nil
	w.mu.Unlock()
}

// find is what was noted last of an account and may not be in the store yet.
func (w *lastActivity) find(owner jid.JID) (last store.LastActivity, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, ok = w.noted[owner]; !ok {
		last, ok = w.writing[owner]
	}
	return last, ok
}

// forget drops what is noted of an account that was deleted: one of the same name
// is another.
func (w *lastActivity) forget(owner jid.JID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.noted, owner)
	delete(w.writing, owner)
}

// appendStatus appends the status text that was kept.
func appendStatus(b []byte, last store.LastActivity) []byte {
	if len(last.Status) == 0 {
		return b
	}
	b = append(b, "<status>"...)
	b = parser.AppendEscaped(b, last.Status)
	return append(b, "</status>"...)
}

// LastOf is when the last resource of an account went, or store.ErrNotFound. It
// may wait for the store.
func (r *Router) LastActivity(owner jid.JID) (store.LastActivity, error) {
	if last, ok := r.lastActivity.find(owner); ok {
		return last, nil
	}
	return r.cfg.Store.Last(r.ctx, owner)
}
