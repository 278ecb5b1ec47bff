package router

import (
	"math"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// Stored messages are delivered before later ones: while there are any that no resource has
// been sent, messages that would be stored if the account had no resource are stored, and
// take their turn. docs/decisions/0044-offline-delivery.md has the reasons.

// offlinePending is set for all resources of an account that has stored messages which no
// resource has been sent. It is set and cleared under the account's roster lock.
var offlinePending = session.NewFlag("offline messages are stored")

// offlineUnread is set for a resource that could not read the stored messages, until it tries
// again.
var offlineUnread = session.NewFlag("offline messages could not be read")

// mayReadStored reports whether a resource is still to read stored messages, if there are any.
func mayReadStored(s *session.Session) bool {
	return offlinePending.Has(s) || offlineUnread.Has(s) || offlinePending.Has(s) // one may just be taking the place of the other
}

// offlineReader is the position at which a resource continues to read the stored messages when
// its client is ready for more: when the socket has accepted what was sent, or when the client
// has acknowledged it. The account's roster lock guards its fields.
type offlineReader struct {
	after int64 // ID of the last message that was read
}

var offlineReaders = session.NewSlot[offlineReader]()

// offlineExtension stores messages to accounts that have no resource to take them, and
// delivers them when one becomes available.
func offlineExtension(r *Router) Extension {
	return Extension{
		Name:    "offline",
		XEP:     160,
		Version: "1.0.1",
		Title:   "Best Practices for Handling Offline Messages",
		Domain:  []string{"msgoffline"},
		Offered: func() bool { return r.config().MaxOffline > 0 },

		Delivered: r.offlineDelivered,
		Bound:     r.offlineBound,
		Available: r.offlineAvailable,
		Left:      r.leaveUnwritten,
		Removed:   r.undeleted.forget,
		State:     State{Save: saveOffline, Restore: r.restoreOffline},
	}
}

// offlineBound finds out whether a resource will have to read stored messages.
func (r *Router) offlineBound(_ *session.Turn, s *session.Session, known Known) {
	if known.Store && !known.HasOffline {
		return
	}
	// A message that is stored after this sets the flag, because the session is in the
	// tables.
	if pending, err := r.offlineUnsent(s.JID().Bare()); pending || err != nil {
		offlinePending.Set(s)
	}
}

func (r *Router) offlineAvailable(t *session.Turn, s *session.Session, a Availability) session.Work {
	switch {
	case !a.NonNegative || !offlinePending.Has(s):
		return session.Done
	case !t.MayWrite(): // to delete what was delivered
		return session.Write
	}
	t.Flush() // do not delay what is queued for others
	r.deliverOffline(t, s, 0)
	return session.Done
}

// saveOffline appends something if the client may still have to be sent stored messages.
func saveOffline(dst []byte, s *session.Session) []byte {
	if mayReadStored(s) {
		dst = append(dst, 1)
	}
	return dst
}

// restoreOffline is for a session that still had to send its client stored messages: it reads
// them when the client is back. Until then, later messages are stored.
func (r *Router) restoreOffline(s *session.Session, _ []byte) error {
	offlinePending.Set(s)
	offlineUnread.Clear(s)
	s.OnDrain(func(t *session.Turn) {
		r.sessions.Offload(t, s, session.Write, func(t *session.Turn) { r.deliverOffline(t, s, 0) })
	})
	return nil
}

// waitsForOffline reports whether a message to a resource has to wait, in the store, for
// earlier ones that are stored. Messages to a resource that gets no stored messages do not
// wait, and neither do those of types that are never stored. A session that is handing on its
// stanzas takes the message after them, because they may not be stored yet.
func waitsForOffline(s *session.Session, st *stanza.Stanza) bool {
	return offlinePending.Has(s) && NonNegative(s) && !s.HandsOn() && (st.Type == stanza.Chat || st.Type == stanza.Normal) && storable(st)
}

// deliverOffline sends an account's stored messages to one of its resources, in order and
// with a delay stamp (XEP-0160, XEP-0203), starting after a message. They are deleted when
// they were sent, or with stream management when the client has acknowledged them. It sends
// one page at a time and continues when the client has read it: a full mailbox never fills
// an outbox. It returns false if some are left, which other resources may take.
func (r *Router) deliverOffline(t *session.Turn, s *session.Session, after int64) bool {
	for {
		if !NonNegative(s) || s.Ending() { // XEP-0160 section 3: messages are not sent to such a resource
			return false // the remaining messages wait until it has one again
		}
		if s.Arriving() { // it may have been sent them where it was: see attach
			return false
		}
		page, last, err := r.deliverOfflinePage(t, s, after)
		if err != nil {
			r.offlineUnreadable(s, err)
			return true // the next resource could not read them either
		}
		switch page {
		case pageLast:
			return true
		case pageRefused, pageWait:
			return false
		}
		after = last
	}
}

// offlineUnreadable is called when stored messages could not be read. Later messages do not
// wait for that.
func (r *Router) offlineUnreadable(s *session.Session, err error) {
	r.LogError("offline messages could not be read, will retry", s.FullJID(), err)
	if r.ctx.Err() != nil {
		return
	}
	unlock := r.lockRosters(s.JID().Bare())
	defer unlock()
	if !offlinePending.Has(s) {
		return // a retry is scheduled
	}
	offlineUnread.Set(s)
	offlinePending.Clear(s)
	r.unreadable.add(s, math.MaxInt) // a session is there once
}

// readAgain makes a session read its account's stored messages, if the store can be read. Until
// then, its client notices nothing: neither its input nor its output waits for the store.
func (r *Router) readAgain(s *session.Session) error {
	if s.Ending() {
		return nil
	}
	if _, _, err := r.config().Store.Offline(r.ctx, s.JID().Bare(), 0, 1); err != nil {
		return err
	}
	r.sessions.RunOnLoop(s, func(t *session.Turn) { r.readStored(t, s) })
	return nil
}

// readStored makes a session read its account's stored messages.
func (r *Router) readStored(t *session.Turn, s *session.Session) {
	r.sessions.Offload(t, s, session.Write, func(t *session.Turn) {
		unlock := r.lockRosters(s.JID().Bare())
		offlinePending.Set(s)
		offlineUnread.Clear(s)
		unlock()
		r.deliverOffline(t, s, 0)
	})
}

// Returned implements session.Router. A saved session does not know of messages that were
// stored after it was saved: by work that the server finished while it stopped, or because
// other sessions of the account could not be saved.
func (r *Router) Returned(_ *session.Turn, s *session.Session) {
	if offlinePending.Has(s) {
		return // it reads them: see restoreOffline
	}
	r.sessions.RunOnLoop(s, func(t *session.Turn) { // after what its client is sent because it is active
		r.sessions.Offload(t, s, session.Read, func(t *session.Turn) {
			if unsent, err := r.offlineUnsent(s.JID().Bare()); unsent || err != nil {
				r.readStored(t, s)
			}
		})
	})
}

// continueOffline is called when a client that deliverOffline waits for may be ready.
func (r *Router) continueOffline(t *session.Turn, s *session.Session) {
	if offlineReaders.Get(s) == nil {
		return
	}
	r.sessions.Offload(t, s, session.Write, func(t *session.Turn) {
		unlock := r.lockRosters(s.JID().Bare())
		reader := offlineReaders.Get(s)
		if reader == nil { // another call was first
			unlock()
			return
		}
		after := reader.after
		offlineReaders.Drop(s)
		unlock()
		r.deliverOffline(t, s, after)
	})
}

// Acked deletes stored messages that a client has acknowledged. It implements
// session.Router.
func (r *Router) Acked(_ *session.Turn, s *session.Session, ids []int64) {
	r.undeleted.deleteSoon(s.JID().Bare(), ids)
	if offlinePending.Has(s) { // it may be reading; wait until the session has dropped these
		r.sessions.RunOnLoop(s, func(t *session.Turn) { r.continueOffline(t, s) })
	}
}

// offlineSent returns the IDs of an account's stored messages that are not to be sent: a
// resource has them and may still acknowledge them, or they are to be deleted. Nil: none.
func (r *Router) offlineSent(owner jid.JID) map[int64]bool {
	var ids []int64
	// In this order, because Acked is called before a session drops its messages.
	for s := range r.Recipients(owner.String(), Everyone) {
		ids = s.AppendStoredUnacked(ids)
		ids = unwrittens.Get(s).appendTo(ids)
	}
	ids = r.undeleted.appendIDs(ids, owner)
	if len(ids) == 0 {
		return nil
	}
	sent := make(map[int64]bool, len(ids))
	for _, id := range ids {
		sent[id] = true
	}
	return sent
}

// offlineUnsent reports whether an account has stored messages that are to be sent.
func (r *Router) offlineUnsent(owner jid.JID) (bool, error) {
	sent := r.offlineSent(owner)
	size := 1
	if sent != nil {
		size = r.config().PageBytes
	}
	unsent := false
	err := r.eachStored(owner, size, func(m *store.OfflineMessage) bool {
		unsent = !sent[m.ID]
		return !unsent
	})
	return unsent, err
}

// eachStored calls f with an account's stored messages, in order, until f returns false. It reads
// about size bytes at a time.
func (r *Router) eachStored(owner jid.JID, size int, f func(m *store.OfflineMessage) bool) error {
	for after, more := int64(0), true; more; {
		var msgs []store.OfflineMessage
		var err error
		if msgs, more, err = r.config().Store.Offline(r.ctx, owner, after, size); err != nil {
			return err
		}
		for i := range msgs {
			if after = msgs[i].ID; !f(&msgs[i]) {
				return nil
			}
		}
	}
	return nil
}

// offlineQuota returns the limits for one account's messages. One sender may use a share of
// them, rounded up, so that a flood from one account leaves space for others.
func (r *Router) offlineQuota() store.OfflineQuota {
	cfg := r.config()
	messages, bytes, share := cfg.MaxOffline, cfg.OfflineBytes, cfg.OfflineShare
	return store.OfflineQuota{
		Messages:       messages,
		Bytes:          bytes,
		SenderMessages: (messages*share + 99) / 100,
		SenderBytes:    (bytes*int64(share) + 99) / 100,
	}
}

// setOfflinePending sets or clears the flag of all resources of an account. The caller holds
// its roster lock.
func (r *Router) setOfflinePending(owner jid.JID, pending bool) {
	for s := range r.Recipients(owner.String(), Everyone) {
		if pending {
			offlinePending.Set(s)
		} else {
			offlinePending.Clear(s)
		}
	}
}

// offlineStored is called after messages were stored, or were left in the store by a session
// that has ended. Later messages do not overtake them.
func (r *Router) offlineStored(owner jid.JID) {
	unlock := r.lockRosters(owner)
	defer unlock()
	r.setOfflinePending(owner, true)
}

// deliverStored is called after messages were stored. A resource that became available in
// the meantime looked before they were.
func (r *Router) deliverStored(t *session.Turn, owner jid.JID) {
	r.storedElsewhere(t, owner)
	r.deliverStoredHere(t, owner)
	// If a resource has left for another node meanwhile, it was found on neither.
	for _, to := range r.moves.movedTo(owner.String()) {
		r.pass(to, r.nodes.Self(), owner.String(), storedItem(owner))
	}
}

// deliverStoredHere is deliverStored for the resources of this node. Only one resource gets
// each message. One whose client has lost its connection, and may not come back for hours, only
// gets what no other resource takes.
func (r *Router) deliverStoredHere(t *session.Turn, owner jid.JID) {
	r.offlineStored(owner)
	var absent []*session.Session
	for s := range r.Recipients(owner.String(), NonNegative) {
		if s.Detached() {
			absent = append(absent, s)
		} else if r.deliverOffline(t, s, 0) {
			return
		}
	}
	for _, s := range absent {
		if r.deliverOffline(t, s, 0) {
			return
		}
	}
}
