package router

import (
	"errors"
	"time"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// offlineDelivered stores a message that no resource took (RFC 6121 section 8.5.2.2,
// https://www.rfc-editor.org/rfc/rfc6121#section-8.5.2.2).
func (r *Router) offlineDelivered(t *session.Turn, from Sender, to jid.JID, st *stanza.Stanza, taken Taken) session.Work {
	switch {
	case taken != NotTaken:
		return session.Done
	case !storable(st):
		countMessage(t, st, messageDropped)
		return session.Done
	case !t.MayWrite():
		return session.Write
	}
	r.storeOffline(t, from, st, to)
	return session.Done
}

// storeOffline stores a message that none of an account's resources took. An account that
// does not exist is treated like one that does, so that the sender cannot find out which
// accounts exist (RFC 6120 section 13.10.2,
// https://www.rfc-editor.org/rfc/rfc6120#section-13.10.2).
func (r *Router) storeOffline(t *session.Turn, from Sender, st *stanza.Stanza, bare jid.JID) {
	b := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: address(from)})
	defer t.PutBuf(b)
	r.storeReceived(t, from, st, bare, b, t.Now())
}

// storeReceived is storeOffline for a message that the server has received at this time, and that
// is stored as b.
func (r *Router) storeReceived(t *session.Turn, from Sender, st *stanza.Stanza, bare jid.JID, b []byte, at time.Time) {
	if r.config().MaxOffline < 0 {
		countMessage(t, st, messageRefused)
		r.Reply(t, from, st, stanza.ServiceUnavailable)
		return
	}
	m := store.NewMessage{From: from.JID(), Stanza: b, Received: at}
	err := r.config().Store.AppendOffline(r.ctx, bare, m, r.offlineQuota())
	r.storedOffline(t, from, st, bare, err)
	if err == nil {
		r.deliverStored(t, bare)
	}
}

// storedOffline counts a message that was stored, or refused because of err: then it replies
// to the sender.
func (r *Router) storedOffline(t *session.Turn, from Sender, st *stanza.Stanza, bare jid.JID, err error) {
	switch {
	case err == nil:
		countMessage(t, st, messageStored)
	case errors.Is(err, store.ErrBlocked):
		r.refuse(t, from, st)
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrQuota):
		countMessage(t, st, messageRefused)
		r.replyNotStored(t, from, st, bare, err)
	default:
		countMessage(t, st, messageRefused)
		r.fault(t, from, st, "message could not be stored", err)
	}
}

// replyNotStored replies to a message for which there is no space or no account. RFC 6121
// section 8.1 (https://www.rfc-editor.org/rfc/rfc6121#section-8.1): "a server SHOULD return
// an error if the originating entity is in the user's roster (when the error would reveal
// whether the user's account exists)". Other senders get no reply in either case, after the
// same single call of the store as for a message that is stored.
func (r *Router) replyNotStored(t *session.Turn, from Sender, st *stanza.Stanza, bare jid.JID, err error) {
	if errors.Is(err, store.ErrContactQuota) || bare.String() == bareOf(from) {
		r.Reply(t, from, st, stanza.ServiceUnavailable)
	}
}
