package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// With Config.Durable, messages are stored before they are delivered. Each is in the store
// until one of the recipient's clients has it, so that a server that is killed loses none.
// docs/decisions/0047-durable-delivery.md has the reasons.

// isDurable reports whether a message is stored before it is delivered: it is one that would
// be stored if the account had no resource.
func (r *Router) isDurable(from Sender, st *stanza.Stanza) bool {
	if !r.config().Durable || st.Type != stanza.Chat && st.Type != stanza.Normal {
		return false
	}
	if _, isAccount := target(from, st); !isAccount {
		return false
	}
	if st.HasTo && st.To.IsFull() && st.Type != stanza.Chat && r.resource(st.To) == nil && !r.hasPlace(st.To) {
		return false // it is refused: RFC 6121 section 8.5.3.2.1
	}
	return storable(st)
}

// deliverDurably stores a message and then delivers it. If it cannot be stored, the sender
// gets an error, and no one gets the message.
func (r *Router) deliverDurably(t *session.Turn, from Sender, st *stanza.Stanza) (taken Taken, handled bool) {
	to, _ := target(from, st)
	pages := r.pages[r.stripe(to.String())].Load() // before it is stored
	id, err := r.appendDurable(t, from, st, to)
	if err != nil {
		r.storedOffline(t, from, st, to, err)
		return NotTaken, true
	}
	if taken = r.deliverAppended(t, from, st, to, id, pages); taken == NotTaken {
		countMessage(t, st, messageStored)
		r.deliverStored(t, to)
		return TakenByStore, false
	}
	return taken, false
}

// appendDurable stores a message and returns its ID.
func (r *Router) appendDurable(t *session.Turn, from Sender, st *stanza.Stanza, to jid.JID) (id int64, err error) {
	quota := r.offlineQuota()
	if r.hasTaker(st, to) {
		quota = r.takersQuota(quota, to)
	}
	b := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: address(from)})
	defer t.PutBuf(b)
	m := store.NewMessage{From: from.JID(), Stanza: b, Received: t.Now()}
	stored, err := r.config().Store.AppendOfflineAll(r.ctx, to, []store.NewMessage{m}, quota)
	if err != nil {
		return 0, err
	}
	return stored[0].ID, stored[0].Err
}

// leastStored is about the size of the smallest message in the store, in bytes.
const leastStored = 128

// takersQuota returns the quota for a message that a client is there to take. It leaves the store as
// soon as the client has it, so it may exceed the quota for offline messages, by what all sessions of
// the account may have unacknowledged. Without any limit, clients that never acknowledge could fill
// the store.
func (r *Router) takersQuota(q store.OfflineQuota, account jid.JID) store.OfflineQuota {
	n := len(r.knownPlaces(account.String()))
	for range r.Recipients(account.String(), Everyone) {
		n++
	}
	bytes := n * r.sessions.MaxUnacked()
	q.Messages, q.SenderMessages = extend(q.Messages, bytes/leastStored), extend(q.SenderMessages, bytes/leastStored)
	q.Bytes, q.SenderBytes = extend(q.Bytes, int64(bytes)), extend(q.SenderBytes, int64(bytes))
	return q
}

// extend adds to a limit, of which 0 means that there is none.
func extend[T int | int64](limit, more T) T {
	if limit <= 0 {
		return limit
	}
	return limit + more
}

// hasTaker reports whether there is a resource to take a message: see takersQuota.
func (r *Router) hasTaker(st *stanza.Stanza, account jid.JID) bool {
	if st.HasTo && st.To.IsFull() {
		if to := r.resource(st.To); to != nil {
			return !waitsForOffline(to, st)
		}
		if r.hasPlace(st.To) {
			return true
		}
	}
	for to := range r.Recipients(account.String(), NonNegative) {
		if !waitsForOffline(to, st) {
			return true
		}
	}
	for _, p := range r.knownPlaces(account.String()) {
		if isNonNegative(&p) {
			return true
		}
	}
	return false
}

// deliverAppended sends a message that is in the store to its recipients. It sends it to no
// one if messages that were stored before are still waiting for a resource, or if stored
// messages were sent since the account had this number of pages, because the message may have
// been among them. Then the message takes its turn in the store.
func (r *Router) deliverAppended(t *session.Turn, from Sender, st *stanza.Stanza, account jid.JID, id int64, pages uint32) Taken {
	unlock := r.lockRosters(account)
	defer unlock()
	if r.pages[r.stripe(account.String())].Load() != pages {
		return NotTaken
	}
	return r.deliverUnsent(t, from, st, account, id)
}

// deliverUnsent is deliverAppended for a message that no resource of this node was sent. The
// caller holds the account's roster lock.
func (r *Router) deliverUnsent(t *session.Turn, from Sender, st *stanza.Stanza, account jid.JID, id int64) Taken {
	if st.HasTo && st.To.IsFull() {
		to := r.resource(st.To)
		if to != nil && !bars(to, from.JID()) {
			switch {
			case waitsForOffline(to, st):
				return NotTaken
			case r.forwardAppended(t, from, to, st, id):
				r.runRecipients(t, from, to, st)
				return TakenByOne
			}
		} // else it has left since the message was stored
		if to == nil && r.messageElsewhere(t, from, st, account.String(), id) {
			return takenElsewhere
		}
	}
	taken, _ := r.deliver(t, from, st, account.String(), id)
	return taken
}

// forwardAppended is forward for a message that is in the store under this ID.
func (r *Router) forwardAppended(t *session.Turn, from Sender, to *session.Session, st *stanza.Stanza, id int64) bool {
	b := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: address(from)})
	ok := r.sendAppended(t, []*session.Session{to}, b, id)
	t.PutBuf(b)
	return ok
}

// sendAppended sends a message that is in the store, under this ID, to resources of an
// account, and reports whether one took it. The caller holds the account's roster lock.
func (r *Router) sendAppended(t *session.Turn, to []*session.Session, b []byte, id int64) (taken bool) {
	var unkept []*session.Session
	for _, s := range to {
		sendHeldFirst(t, s)
		sent, kept := s.SendStored(t, b, id, false)
		taken = taken || sent
		if sent && !kept {
			unkept = append(unkept, s)
		}
	}
	done := false
	for _, s := range unkept {
		done = r.written(s, []int64{id}) || done
	}
	if done {
		r.undeleted.deleteSoon(to[0].JID().Bare(), []int64{id})
	}
	return taken
}
