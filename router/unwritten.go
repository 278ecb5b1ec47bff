package router

import (
	"sync"

	"roost/session"
)

// unwritten is a list of messages that are in the store and were sent to a client without
// stream management, but that its socket has not accepted yet. They stay in the store until it
// has, because a server that is killed loses its outboxes. Messages are added under the
// account's roster lock.
type unwritten struct {
	mu  sync.Mutex
	ids []int64
}

var unwrittens = session.NewSlot[unwritten]()

// written reports whether a client has the messages with these IDs, which it was sent: its
// socket has accepted them. Otherwise they are deleted from the store once it has, and if it
// never does, they are left to the next session. The caller holds the account's roster lock.
func (r *Router) written(s *session.Session, ids []int64) bool {
	s.Conn().Flush()
	if s.Conn().Queued() == 0 && !s.Ending() {
		return true
	}
	if unwrittens.Make(s).add(ids) {
		r.awaitWritten(s)
	}
	return false
}

// add adds messages. It returns true if there were none.
func (u *unwritten) add(ids []int64) (first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	first = len(u.ids) == 0
	u.ids = append(u.ids, ids...)
	return first
}

// appendTo appends the IDs. u may be nil.
func (u *unwritten) appendTo(ids []int64) []int64 {
	if u == nil {
		return ids
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return append(ids, u.ids...)
}

func (r *Router) awaitWritten(s *session.Session) {
	s.OnDrain(func(t *session.Turn) {
		r.sessions.Offload(t, s, session.Write, func(*session.Turn) { r.deleteWritten(s) })
	})
}

// deleteWritten deletes the messages when the socket has accepted them.
func (r *Router) deleteWritten(s *session.Session) {
	owner := s.JID().Bare()
	unlock := r.lockRosters(owner)
	defer unlock()
	switch ids := unwrittens.Get(s).appendTo(nil); {
	case len(ids) == 0, s.Ending():
	case s.Conn().Queued() > 0: // messages that were added, or what others have sent
		r.awaitWritten(s)
	default:
		r.undeleted.deleteSoon(owner, ids)
		unwrittens.Drop(s) // after that: see offlineSent
	}
}

// leaveUnwritten leaves messages to other resources, or to the next one, when a session has
// ended.
func (r *Router) leaveUnwritten(_ *session.Turn, s *session.Session) {
	if unwrittens.Get(s) == nil {
		return
	}
	owner := s.JID().Bare()
	r.sessions.Go(session.Write, func(t *session.Turn) { r.deliverStored(t, owner) })
}
