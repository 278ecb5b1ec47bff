package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// offlinePending is set for a resource whose account may have stored messages. It is
// cleared before they are read.
var offlinePending = session.NewFlag("offline messages may be stored")

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
		Bound: func(_ *session.Turn, s *session.Session, known Known) {
			if !known.Store || known.HasOffline {
				offlinePending.Set(s)
			}
		},
		Available: func(t *session.Turn, s *session.Session, a Availability) session.Work {
			switch {
			case !a.NonNegative || !offlinePending.Has(s):
				return session.Done
			case !t.MayBlock():
				return session.Read
			}
			r.deliverOfflineSoon(t, s)
			return session.Done
		},
		Removed: r.undeleted.forget,
	}
}

// deliverOffline sends an account's stored messages to one of its resources, in order and
// with a delay stamp (XEP-0160, XEP-0203), and deletes them. It sends one page at a time
// and continues when the client has read it: a full mailbox never fills an outbox. It
// returns false if the resource took none and will take none.
func (r *Router) deliverOffline(t *session.Turn, s *session.Session) bool {
	offlinePending.Clear(s)
	for {
		if !NonNegative(s) || s.Ending() { // XEP-0160 section 3: messages are not sent to such a resource
			offlinePending.Set(s) // the remaining ones wait until it is back
			return false
		}
		page := pageFull
		if !r.mustWait(s, 0) {
			var err error
			if page, err = r.deliverOfflinePage(t, s); err != nil {
				r.config().Logger.Error("offline messages could not be read", "jid", s.FullJID(), "err", err)
				offlinePending.Set(s)
				return true // do not try the next resource: this one may have got them
			}
		}
		switch page {
		case pageLast:
			return true
		case pageRefused:
			return false
		case pageFull:
			s.OnDrain(func(t *session.Turn) {
				r.sessions.Offload(t, s, session.Write, func(t *session.Turn) { r.deliverOffline(t, s) })
			})
			return true
		}
	}
}

// deliverOfflineSoon is deliverOffline for a turn that may not write, as is required to
// delete delivered messages. Usually there are none, so there is nothing to write, and the
// session need not wait for a writer.
func (r *Router) deliverOfflineSoon(t *session.Turn, s *session.Session) {
	t.Flush() // do not delay what is queued for others
	if t.MayWrite() {
		r.deliverOffline(t, s)
		return
	}
	offlinePending.Clear(s)
	owner := s.JID().Bare()
	msgs, _, err := r.config().Store.Offline(r.ctx, owner, r.undeleted.after(owner), 1)
	switch {
	case err != nil:
		r.config().Logger.Error("offline messages could not be read", "jid", s.FullJID(), "err", err)
		offlinePending.Set(s)
	case len(msgs) > 0:
		r.sessions.Offload(t, s, session.Write, func(t *session.Turn) { r.deliverOffline(t, s) })
	}
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

// page is the result of sending a page of messages.
type page uint8

const (
	pageLast    page = iota // there are no more
	pageMore                // there are more
	pageFull                // there are more, and the client has to read first
	pageRefused             // the session takes no more
)

// deliverOfflinePage sends one page. The roster lock prevents two resources that become
// available together from being sent the same messages.
func (r *Router) deliverOfflinePage(t *session.Turn, s *session.Session) (page, error) {
	owner := s.JID().Bare()
	unlock := r.lockRosters(owner)
	defer unlock()
	after := r.undeleted.after(owner)
	msgs, more, err := r.config().Store.Offline(r.ctx, owner, after, r.config().PageBytes)
	if err != nil {
		return pageLast, err
	}
	if len(msgs) > 0 {
		if ok, err := r.mayHave(s); !ok {
			return pageRefused, err
		}
	}
	if len(msgs) == 0 && after > 0 {
		r.undeleted.delete(owner, after, 0)
	}
	end := pageLast
	if more {
		end = pageMore
	}
	sent, n := int64(0), 0
	for i := range msgs {
		delay := stanza.AppendDelay(nil, s.Host(), msgs[i].Received)
		b := stanza.AppendInside(t.GetBuf(), msgs[i].Stanza, delay)
		full := r.mustWait(s, len(b))
		ok := !full && s.SendStamped(t, b)
		t.PutBuf(b)
		if full {
			end = pageFull
			break
		}
		if !ok {
			end = pageRefused
			break
		}
		sent, n = msgs[i].ID, i+1
	}
	if sent == 0 {
		return end, nil
	}
	// Flush before deleting, so that a crash cannot lose messages, and so that what this
	// turn has queued for others does not wait for the disk.
	t.Flush()
	countDelivered.Add(t, 0, n)
	r.undeleted.delete(owner, sent, n)
	return end, nil
}

// deliverStored is called after a message was stored. A resource that becomes available
// later will look for messages. A resource that became available in the meantime looked
// before this one was stored.
func (r *Router) deliverStored(t *session.Turn, owner jid.JID) {
	for s := range r.Recipients(owner.String(), Everyone) {
		offlinePending.Set(s)
	}
	for s := range r.Recipients(owner.String(), NonNegative) {
		if r.deliverOffline(t, s) {
			return
		}
	}
}
