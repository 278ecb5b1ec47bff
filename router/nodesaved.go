package router

import (
	"context"
	"errors"
	"time"

	"roost/session"
	"roost/stanza"
	"roost/store"
)

// The sessions that a node has saved when it was stopped are in the store that all nodes share:
// any node takes the one that its client resumes there. To take it is to delete it, so of two
// nodes one has it. docs/decisions/0063-saved-sessions-on-nodes.md has the reasons.

// BeginRestore is called before this node joins the others, if it then takes the sessions that
// it has saved: requests for these wait until EndRestore.
func (r *Router) BeginRestore() {
	r.moves.mu.Lock()
	defer r.moves.mu.Unlock()
	r.moves.restoring = true
}

// EndRestore is called when the sessions are in the tables.
func (r *Router) EndRestore() {
	r.moves.mu.Lock()
	waiting := r.moves.waiting
	r.moves.restoring, r.moves.waiting = false, nil
	r.moves.mu.Unlock()
	for _, f := range waiting {
		f()
	}
	r.learnSaved()
	r.askForChanges()
}

// fetchSaved has a session be looked for among those that were saved: when all nodes that were
// asked have refused, and before that if they do not reply soon, for one that has just stopped
// never does.
func (r *Router) fetchSaved(x *fetching, refused bool) {
	switch look, over := r.moves.look(x, refused); {
	case over:
		r.notFetched(x, 0, false)
	case look:
		r.sessions.Go(session.Write, func(t *session.Turn) { r.lookForSaved(t, x) })
	}
}

// lookForSaved is a step of fetchSaved, of which there is one at a time.
func (r *Router) lookForSaved(t *session.Turn, x *fetching) {
	for {
		refused := r.moves.allRefused(x) // what they have saved is in the store now
		data, err := r.config().Store.TakeSession(r.ctx, x.Key())
		switch {
		case err == nil:
			r.moves.end(x) // no node has it
			r.guarded(nil, func() { r.resumeSaved(t, x, data) })
			return
		case !errors.Is(err, store.ErrNotFound):
			r.nodesFailed("a saved session cannot be looked for", err)
		}
		if refused {
			// A node that has started meanwhile may have taken it.
			if !r.askNodes(x) {
				r.notFetched(x, 0, false)
			}
			return
		}
		if r.moves.looked(x) {
			return
		}
	}
}

// resumeSaved has the client resume a session that was taken from the store. If it does not
// wait for it any more, the session is put back.
func (r *Router) resumeSaved(t *session.Turn, x *fetching, data []byte) {
	err := r.CatchUp(t, x.Event())
	var s *session.Session
	if err == nil {
		s, err = x.ArriveSaved(t, data)
	}
	switch {
	case err == nil && r.takeSaved(t, x, s):
		x.Attach()
		return
	case errors.Is(err, session.ErrNobodyWaits):
		r.putBack(t, x, data)
	default:
		if err != nil {
			r.notResumed("a saved session was not resumed", x.Account(), err)
		}
		r.endSaved(t, data)
	}
	x.NotFound(0, false)
}

// takeSaved has a session that is in the tables, but was not in the directory, be found by
// others. It returns false if another session has its address.
func (r *Router) takeSaved(t *session.Turn, x *fetching, s *session.Session) bool {
	account := s.BareJID()
	r.moves.forget(account, s.Resource())
	got, err := r.nodes.Register(r.ctx, account, s.Resource(), Registration{MaxResources: anyResources})
	switch {
	case err != nil: // it is registered when the directory is back
		r.nodesFailed("a resource could not be registered with the cluster", err)
	case got.Taken || got.Full:
		x.Cancel()
		return false
	}
	r.unregisterGone(s)
	if _, err := r.CurrentAccount(s); errors.Is(err, stanza.NotAuthorized) {
		s.Close(session.ErrNotAuthorized) // since it was saved
		return true
	}
	r.observeReturned(s, got.Places, true)
	if blocklistOf(s) == nil {
		blocklistKept.Make(s) // when it was saved, it had none
	}
	if ro, err := r.Roster(s.JID().Bare()); err == nil {
		r.learnBlocklist(s, ro)
	}
	r.learnMissed(account)
	r.learnKept(s)
	r.announceAgain(t, s)
	*missed.Make(s) = missedPresence{since: noSince, outdated: true} // of all contacts: nobody has kept it
	_ = r.restoreOffline(s, nil)                                     // what was stored meanwhile
	return true
}

// putBack leaves a session in the store again.
func (r *Router) putBack(t *session.Turn, x *fetching, data []byte) {
	all := []store.SavedSession{{Key: x.Key(), Until: session.SavedUntil(data), Data: data}}
	if err := r.config().Store.PutSessions(r.ctx, all); err != nil {
		r.nodesFailed("a saved session could not be put back", err)
		r.endSaved(t, data)
	}
}

// endSaved ends a session that is not resumed any more, and tells its contacts: to them, it was
// available until now.
func (r *Router) endSaved(t *session.Turn, data []byte) {
	full, available, err := r.sessions.EndSaved(t, data)
	if err != nil {
		r.config().Logger.Error("a saved session was damaged; the messages that could be read are handed on", "err", err)
	}
	if available {
		r.Died(0, []Death{{Account: full.BareString(), Place: Place{Resource: full.Resource(), Available: true}}})
	}
}

// EndOverdue ends sessions that were saved and that nobody has taken until now, at most of
// maxBytes together, or one. It returns their number. Only a worker for writes may call it.
func (r *Router) EndOverdue(ctx context.Context, t *session.Turn, now time.Time, maxBytes int) (ended int, err error) {
	all, err := r.config().Store.TakeOverdueSessions(ctx, now, maxBytes)
	for _, data := range all {
		r.guarded(nil, func() { r.endSaved(t, data) })
		t.Pause()
	}
	return len(all), err
}
