package router

import (
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

// lastWriter gathers when accounts were last available and writes that down in
// batches: when a network of a hundred thousand phones goes away, this is one
// transaction and not a hundred thousand.
type lastWriter struct {
	r         *Router
	mu        sync.Mutex
	batch     []store.Last // to be written
	writing   []store.Last // being written
	scheduled bool
}

// noteLast records that a resource goes now, with the status text of its
// unavailable presence if it sent one.
func (r *Router) noteLast(s *session.Session, st *stanza.Stanza) {
	last := store.Last{Owner: s.JID().Bare(), At: time.Now().UTC()}
	if st != nil {
		if el := st.Root.Child(stanza.NSClient, "status"); el.OK() {
			if text := el.AppendText(nil); len(text) <= maxStatus {
				last.Status = text
			}
		}
	}
	r.lasts.add(last)
}

func (w *lastWriter) add(l store.Last) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batch = append(w.batch, l)
	if !w.scheduled {
		w.scheduled = true
		w.r.sessions.Go(w.write)
	}
}

// write writes batches until there is nothing to write; one at a time.
func (w *lastWriter) write(*session.Turn) {
	for {
		w.mu.Lock()
		w.writing, w.batch = w.batch, nil
		w.scheduled = len(w.writing) > 0
		batch := w.writing
		w.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if err := w.r.cfg.Store.SetLast(w.r.ctx, batch); err != nil {
			w.r.cfg.Logger.Error("last activity could not be written", "accounts", len(batch), "err", err)
		}
	}
}

// find is what was noted last of an account and may not be in the store yet.
func (w *lastWriter) find(owner jid.JID) (store.Last, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range [][]store.Last{w.batch, w.writing} {
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].Owner == owner {
				return list[i], true
			}
		}
	}
	return store.Last{}, false
}

// appendStatus appends the status text that was kept.
func appendStatus(b []byte, last store.Last) []byte {
	if len(last.Status) == 0 {
		return b
	}
	b = append(b, "<status>"...)
	b = parser.AppendEscaped(b, last.Status)
	return append(b, "</status>"...)
}

// LastOf is when the last resource of an account went, or store.ErrNotFound. It
// may wait for the store.
func (r *Router) LastOf(owner jid.JID) (store.Last, error) {
	if last, ok := r.lasts.find(owner); ok {
		return last, nil
	}
	return r.cfg.Store.Last(r.ctx, owner)
}
