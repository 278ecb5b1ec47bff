package router

import (
	"slices"
	"strings"

	"roost/jid"
	"roost/session"
)

// This file sends a resource the presence of others: when it becomes available, when a contact
// approves a subscription, and when it sends a probe. The presence is sent as fast as the
// client reads, resource by resource, so neither a thousand contacts nor one with many
// resources fill an outbox.

// unsent holds the presence that a session which has to wait is still to be sent.
var unsent = session.NewSlot[pendingPresence]()

// pendingPresence is the presence that a client is still to be sent, and where to continue.
// It is owned by the goroutine that handles the session's input.
type pendingPresence struct {
	own      bool               // the account's other resources, before anything else
	roster   bool               // then the contacts that it is subscribed to
	next     string             // the first of these that is not yet done; "": start with the first
	accounts []string           // then these
	sent     []*session.Session // the resources of the current account that are done
	since    uint32             // only own and roster: what has changed since the client was inactive; 0: everything
	outdated bool               // before all of these, what the client has of contacts on other nodes is replaced
	asked    bool               // only own and roster: other nodes were asked
	askedFor string             // only accounts: the last one for which other nodes were asked
}

// sendContactPresence sends a resource that has become available the presence of the
// account's other resources and of the contacts that it is subscribed to. RFC 6121 section
// 4.3 (https://www.rfc-editor.org/rfc/rfc6121#section-4.3): contacts on the same server
// need no probes.
func (r *Router) sendContactPresence(t *session.Turn, s *session.Session, ro *Roster) {
	if f := unsent.Get(s); f != nil {
		*f = pendingPresence{own: true, roster: true} // it is already waiting to continue
		return
	}
	f := pendingPresence{own: true, roster: true}
	r.sendPendingPresence(t, s, ro, &f)
}

// sendPresenceOf sends a resource the presence of one account. account may be borrowed.
func (r *Router) sendPresenceOf(t *session.Turn, s *session.Session, account string) {
	account = strings.Clone(account)
	if f := unsent.Get(s); f != nil {
		if !slices.Contains(f.accounts, account) {
			f.accounts = append(f.accounts, account)
		}
		return
	}
	f := pendingPresence{accounts: []string{account}}
	r.sendPendingPresence(t, s, nil, &f)
}

// sendPresences sends the presence of an account's resources to another account's available
// resources, or by a route (RFC 6121 section 3.1.5,
// https://www.rfc-editor.org/rfc/rfc6121#section-3.1.5).
func (r *Router) sendPresences(t *session.Turn, key string, of, to jid.JID) {
	if r.isRemote(to) {
		mu := r.lockPresence(of.BareString())
		defer mu.Unlock()
		r.eachPresence(t, of, to, func(from jid.JID, b []byte) { r.sendRemote(t, from, to, b) })
		return
	}
	r.tellPair(itemPresences, to.BareString(), key, of, to)
	r.sendPresencesHere(of, to)
}

// sendPresencesHere is sendPresences for the resources of this node that get the presence.
// If to is a full JID, only that resource gets it.
func (r *Router) sendPresencesHere(of, to jid.JID) {
	for s := range r.Recipients(to.BareString(), Available) {
		if to.IsFull() && s.Resource() != to.Resource() {
			continue
		}
		r.sessions.RunOnLoop(s, func(t *session.Turn) {
			if Available(s) {
				r.sendPresenceOf(t, s, of.BareString())
			}
		})
	}
}

// pause is the reason why sending presence was interrupted.
type pause uint8

const (
	pauseNone   pause = iota // it was not: all is sent
	pauseClient              // the client has to read first
	pauseTurn                // the turn's budget is spent
)

// sendPendingPresence sends as much as the turn and the client allow. It stores the rest
// and continues later.
func (r *Router) sendPendingPresence(t *session.Turn, s *session.Session, ro *Roster, f *pendingPresence) {
	why := r.sendSomePresence(t, s, ro, f)
	for why == pauseTurn && t.MayBlock() {
		t.Pause()
		why = r.sendSomePresence(t, s, ro, f)
	}
	if why == pauseNone {
		unsent.Drop(s)
		return
	}
	*unsent.Make(s) = *f
	resume := func(t *session.Turn) { r.resumeContactPresence(t, s) }
	switch {
	case why == pauseClient:
		r.whenReady(s, resume)
	case f.since != 0: // see becomeActive
		r.sessions.Yield(t, s, resume)
	default:
		r.sessions.Later(t, s, resume)
	}
}

// resumeContactPresence continues sending, with the current roster.
func (r *Router) resumeContactPresence(t *session.Turn, s *session.Session) {
	f := unsent.Get(s)
	if f == nil {
		return
	}
	if !s.Bound() {
		unsent.Drop(s)
		return
	}
	if !s.Available() {
		f.own, f.roster, f.outdated = false, false, false // probes still get their reply
	}
	ro, need, err := r.tryOwnRoster(t, s)
	if need == session.Done && err == nil {
		need = r.locateChanged(t, s, ro, f)
	}
	switch {
	case need != session.Done:
		r.sessions.Offload(t, s, need, func(t *session.Turn) { r.resumeContactPresence(t, s) })
		return
	case err != nil:
		r.LogError("roster could not be read", s.FullJID(), err)
		if f.roster && f.since != 0 || f.outdated {
			*missed.Make(s) = missedPresence{since: f.since, outdated: f.outdated}
		}
		unsent.Drop(s)
		return
	}
	r.sendPendingPresence(t, s, ro, f)
}

// sendSomePresence sends what fits. ro is nil if only f.accounts are pending.
func (r *Router) sendSomePresence(t *session.Turn, s *session.Session, ro *Roster, f *pendingPresence) pause {
	if f.outdated && ro != nil {
		if why := r.sendOutdated(t, s, ro, f); why != pauseNone {
			return why
		}
		f.outdated, f.asked = false, true
	}
	if f.own || f.roster {
		r.askForContacts(t, s, ro, f)
	}
	if f.own {
		if why := r.sendAccountPresence(t, s.BareJID(), s, ro, f); why != pauseNone {
			return why
		}
		f.own = false
	}
	if f.roster {
		if why := r.sendRosterPresence(t, s, ro, f); why != pauseNone {
			return why
		}
		f.roster = false
	}
	for len(f.accounts) > 0 {
		if f.askedFor != f.accounts[0] {
			if why := r.askForAccount(t, s, f.accounts[0]); why != pauseNone {
				return why
			}
			f.askedFor = f.accounts[0]
		}
		if why := r.sendAccountPresence(t, f.accounts[0], s, ro, f); why != pauseNone {
			return why
		}
		f.accounts, f.askedFor = f.accounts[1:], ""
	}
	return pauseNone
}

func (r *Router) sendRosterPresence(t *session.Turn, s *session.Session, ro *Roster, f *pendingPresence) pause {
	i := 0
	if f.next != "" {
		i, _ = ro.find(f.next)
	}
	for ; i < len(ro.Items); i++ {
		if !ro.Items[i].Subscription.HasTo() {
			continue
		}
		contact := ro.Items[i].JID.BareString()
		if contact != f.next {
			f.next, f.sent = contact, nil
		}
		t.CountContact()
		if r.isRemote(ro.Items[i].JID) {
			if f.since != 0 {
				continue // its presence is not held
			}
			if t.Spent() {
				return pauseTurn
			}
			if !bars(s, ro.Items[i].JID) {
				r.probeRemote(t, s.JID(), ro.Items[i].JID)
			}
			continue
		}
		if why := r.sendAccountPresence(t, contact, s, ro, f); why != pauseNone {
			return why
		}
	}
	return pauseNone
}

// sendAccountPresence sends a client the presence of an account's resources, except those
// already sent, in order with their changes.
func (r *Router) sendAccountPresence(t *session.Turn, of string, to *session.Session, ro *Roster, f *pendingPresence) pause {
	if !r.HasRecipients(of, Everyone) {
		f.sent = nil
		return pauseNone
	}
	if t.Spent() {
		return pauseTurn
	}
	mu := r.lockPresence(of)
	defer mu.Unlock()
	if !r.sees(to, ro, of) {
		f.sent = nil
		return pauseNone
	}
	var few [10]*session.Session // enough to make a login allocate nothing
	sent := append(few[:0], f.sent...)
	for x := range r.Recipients(of, Available) {
		if f.own && x == to || slices.Contains(sent, x) || f.unchanged(r, x) {
			continue
		}
		if !r.sendPresence(t, x, to) {
			f.sent = slices.Clone(sent)
			return pauseClient
		}
		sent = append(sent, x)
	}
	f.sent = nil
	return pauseNone
}

// sendPresence sends one resource's presence to another resource. It returns false if the
// client has to read first.
func (r *Router) sendPresence(t *session.Turn, of, to *session.Session) bool {
	p := of.Presence()
	if p == nil || !Available(of) || separated(of, to) {
		return true
	}
	b := p.AppendXML(t.GetBuf(), of.FullJID(), to.BareJID(), nil)
	defer t.PutBuf(b)
	if r.mustWait(to, len(b)) {
		return false
	}
	to.SendBytes(t, b)
	return true
}

// sees reports whether a session may see an account's presence at this moment; ro is the
// roster that was read earlier, or nil. The caller holds the account's presence lock. When
// a subscription ends, both rosters change before the unavailable presence is sent under
// this lock.
func (r *Router) sees(s *session.Session, ro *Roster, of string) bool {
	if of == s.BareJID() {
		return true
	}
	now, ok := r.cachedOwn(s)
	if !ok {
		now = ro
	}
	if now == nil {
		return true
	}
	if it, _ := now.Item(of); it.Subscription.HasTo() {
		return true
	}
	theirs, ok := r.cached(of)
	return ok && theirs.Subscribed(s.BareJID())
}

// mustWait reports whether a client has to read before it is sent n more bytes that can
// wait: it has a page unread, or they would not fit in its outbox, which holds four pages. A
// client with stream management has to acknowledge, too: what a socket has accepted may be far
// from being read, and the stanzas that are not acknowledged have a limit.
func (r *Router) mustWait(s *session.Session, n int) bool {
	if s.MustAck(r.config().PageBytes) {
		return true
	}
	fits := func() bool {
		queued := s.Conn().Queued()
		return queued == 0 || queued <= r.config().PageBytes && queued+n <= 4*r.config().PageBytes
	}
	if fits() {
		return false
	}
	s.Conn().Flush()
	return !fits()
}

// whenReady calls f once the client has read, and acknowledged, enough for mustWait to return
// false.
func (r *Router) whenReady(s *session.Session, f func(*session.Turn)) {
	s.OnAcked(r.config().PageBytes, f)
}
