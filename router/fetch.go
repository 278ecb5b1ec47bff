package router

import (
	"slices"

	"roost/session"
	"roost/store"
)

// What one resource is sent of the presence of others: when it comes, and when
// it asks.

// ownPresences sends a newcomer the presence of the account's other resources.
func (r *Router) ownPresences(t *session.Turn, s *session.Session) {
	for other := r.sessions.First(s.BareJID()); other != nil; other = other.Next() {
		if other != s {
			r.sendPresence(t, other, s)
		}
	}
}

// sendPresence sends one resource's presence to another resource.
func (r *Router) sendPresence(t *session.Turn, of, to *session.Session) {
	p := of.Presence()
	if p == nil || !of.Bound() {
		return
	}
	b := p.AppendXML(t.Buf(), of.FullJID(), to.BareJID(), nil)
	to.SendBytes(t, b)
	t.Keep(b)
}

// fetchPresences gives a newcomer the presence of the contacts that it has a
// subscription to. RFC 6121 section 4.3: contacts on the same server need no
// probes, the server knows. They come at the pace of the client: a thousand
// contacts fill no outbox.
func (r *Router) fetchPresences(t *session.Turn, s *session.Session, items []store.RosterItem) {
	for i := range items {
		if !items[i].Subscription.HasTo() {
			continue
		}
		if r.full(t, s, 0) {
			s.OnDrain(func(t *session.Turn) { r.goOnFetching(t, s, items[i:]) })
			return
		}
		r.presencesTo(t, items[i].JID.BareString(), s)
	}
}

// goOnFetching is fetchPresences for a client that has read what it was sent,
// with those of the contacts left that still are contacts.
func (r *Router) goOnFetching(t *session.Turn, s *session.Session, left []store.RosterItem) {
	if !s.Available() || !s.Bound() {
		return
	}
	ro, ok := r.cached(s.BareJID())
	if !ok && !t.MayBlock() {
		r.sessions.Block(t, s, session.Read, func(t *session.Turn) { r.goOnFetching(t, s, left) })
		return
	}
	if !ok {
		var err error
		if ro, err = r.Roster(s.JID().Bare()); err != nil {
			r.cfg.Logger.Error("roster could not be read", "jid", s.FullJID(), "err", err)
			return
		}
	}
	left = slices.DeleteFunc(slices.Clone(left), func(it store.RosterItem) bool {
		now, _ := ro.Item(it.JID.String())
		return !now.Subscription.HasTo()
	})
	r.fetchPresences(t, s, left)
}

// full reports whether a client has to read before it is sent n bytes that can
// wait: it has a page, or they would not fit in its outbox, which holds four.
func (r *Router) full(t *session.Turn, s *session.Session, n int) bool {
	fits := func() bool {
		queued := s.Conn().Queued()
		return queued == 0 || queued <= r.cfg.PageBytes && queued+n <= 4*r.cfg.PageBytes
	}
	if fits() {
		return false
	}
	t.Flush()
	return !fits()
}

// presencesTo sends the presence of an account's resources to one resource, in
// order with their changes, and returns how many there are.
func (r *Router) presencesTo(t *session.Turn, of string, to *session.Session) int {
	if r.sessions.First(of) == nil {
		return 0
	}
	mu := r.order(of)
	defer mu.Unlock()
	n := 0
	for x := r.sessions.First(of); x != nil; x = x.Next() {
		if x.Available() && x.Bound() {
			r.sendPresence(t, x, to)
			n++
		}
	}
	return n
}

// sendPresences sends the presence of an account's resources to the available
// resources of another account (RFC 6121 section 3.1.5).
func (r *Router) sendPresences(t *session.Turn, of, to string) {
	for s := r.sessions.First(to); s != nil; s = s.Next() {
		if s.Available() && s.Bound() {
			r.presencesTo(t, of, s)
		}
	}
}
