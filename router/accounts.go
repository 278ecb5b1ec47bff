package router

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// What happens to accounts is written down by the store, in the transaction that
// makes it happen, whoever does it: a client by in-band registration, `roost user`
// in another process, or a test. There is one way in which the server acts on it:
// actOn, which tells everybody concerned. The store's Watch brings what is new;
// CatchUp reads it where that would come too late: after a
// client has changed its own account, and before a client binds a resource of an
// account that is younger than what was read. The last makes sure that an
// account which has the name of a former one meets nothing of that one in memory:
// neither its roster nor the contacts' rosters that still have it, nor a session.

// accountEvents is how far account events were acted on.
type accountEvents struct {
	mu   sync.Mutex   // held while events are acted on
	seen atomic.Int64 // the last of them
}

// eventPage is how many events, or contacts of one, are read at once.
const eventPage = 1000

// Stream errors for what happens to accounts.
var (
	// XEP-0077 section 3.2: the server "SHOULD then return a <not-authorized/>
	// stream error and terminate all active sessions for the entity".
	errAccountRemoved = session.ErrNotAuthorized.WithText("The account was removed.")
	errAccountLocked  = session.ErrNotAuthorized.WithText("The account was locked.")
	// RFC 6120 section 4.9.3.16: "encryption and authentication need to be
	// negotiated again for the new stream".
	errPasswordChanged = session.ErrReset.WithText("The password was changed: log in again.")
)

// SkipAccountEvents leaves out what happened to accounts so far. It is called
// before the first client comes.
func (r *Router) SkipAccountEvents(ctx context.Context) error {
	last, err := r.cfg.Store.LastAccountEvent(ctx)
	if err == nil {
		r.events.seen.Store(last)
	}
	return err
}

// Watch acts on what happens to accounts until ctx ends, or the store cannot be read,
// or an event cannot be acted on; then it may be called again. run runs a function on
// a worker that may wait for commits, and returns its error.
func (r *Router) Watch(ctx context.Context, run func(func(*session.Turn) error) error) error {
	return r.cfg.Store.Watch(ctx, r.events.seen.Load(), func(events []store.AccountEvent) error {
		if r.CaughtUp(events[len(events)-1].ID) {
			return nil // CatchUp was faster
		}
		return run(func(t *session.Turn) error {
			r.events.mu.Lock()
			defer r.events.mu.Unlock()
			seen := r.events.seen.Load()
			first := slices.IndexFunc(events, func(e store.AccountEvent) bool { return e.ID > seen })
			if first < 0 {
				return nil
			}
			return r.actOn(t, events[first:])
		})
	})
}

// CatchUpAll acts on all that has happened to accounts.
func (r *Router) CatchUpAll(t *session.Turn) error {
	last, err := r.cfg.Store.LastAccountEvent(r.ctx)
	if err != nil {
		return err
	}
	return r.CatchUp(t, last)
}

// CaughtUp reports whether an account event was acted on. It implements
// session.Router.
func (r *Router) CaughtUp(event int64) bool { return r.events.seen.Load() >= event }

// CatchUp acts on what happened to accounts, at least up to an event. It may wait
// for commits, unless the event was acted on before. It implements session.Router.
func (r *Router) CatchUp(t *session.Turn, event int64) error {
	if r.CaughtUp(event) {
		return nil
	}
	r.events.mu.Lock()
	defer r.events.mu.Unlock()
	for r.events.seen.Load() < event {
		events, err := r.cfg.Store.AccountEvents(r.ctx, r.events.seen.Load(), eventPage)
		if err != nil || len(events) == 0 {
			return err
		}
		if err := r.actOn(t, events); err != nil {
			return err
		}
	}
	return nil
}

// actOn tells of events and ends the streams that they concern. When it fails it
// may be called again with what is left: all that it does may be done twice.
func (r *Router) actOn(t *session.Turn, events []store.AccountEvent) (err error) {
	revoked := make(map[string]session.Revocation)
	r.forgetDirected(events)
	for _, e := range events {
		var ends session.Revocation
		switch e.Kind {
		case store.AccountDeleted:
			err = r.accountDeleted(t, e)
			ends = session.Revocation{Bound: e.ID, Unbound: e.ID, Error: errAccountRemoved}
		case store.AccountDisabled:
			var locked bool
			if locked, err = r.isLocked(e.JID); locked {
				ends = session.Revocation{Bound: e.ID, Unbound: e.ID, Error: errAccountLocked}
			}
		case store.CredentialsChanged:
			ends = session.Revocation{Bound: e.ID, Unbound: e.ID, Error: errPasswordChanged}
		case store.CredentialsRenewed:
			ends = session.Revocation{Unbound: e.ID, Error: errPasswordChanged}
		}
		if err != nil {
			break
		}
		if ends.Error != nil {
			bare := e.JID.BareString()
			revoked[bare] = revoked[bare].Merge(ends)
		}
	}
	r.sessions.Revoke(revoked)
	if err == nil {
		r.events.seen.Store(events[len(events)-1].ID)
	}
	return err
}

// OwnAccount is the account that a session is authenticated for. It returns
// stanza.NotAuthorized if that was deleted, and there is another one of its name or
// none: the session ends as soon as the server acts on that event. What was read from
// the store by the account's name before the call is then the session's own. Only
// workers may call it.
func (r *Router) OwnAccount(s *session.Session) (store.Account, error) {
	account, err := r.cfg.Store.Account(r.ctx, s.JID().Bare())
	if errors.Is(err, store.ErrNotFound) || err == nil && s.AuthenticatedBefore(account.Generation) {
		return store.Account{}, stanza.NotAuthorized
	}
	return account, err
}

// CurrentAccount is OwnAccount for what needs more than to be logged in: to change the
// password, or to remove the account. It returns stanza.NotAuthorized also where the
// account is locked, or its password was changed, since the session authenticated: the
// session ends as soon as the server acts on that.
func (r *Router) CurrentAccount(s *session.Session) (store.Account, error) {
	account, err := r.OwnAccount(s)
	if err != nil {
		return store.Account{}, err
	}
	if account.Disabled {
		return store.Account{}, stanza.NotAuthorized
	}
	for after := s.Event(); after < account.Event; {
		// Something has happened that left the session as it is, or is still to end it.
		events, err := r.cfg.Store.AccountEvents(r.ctx, after, eventPage)
		if err != nil {
			return store.Account{}, err
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if e.Kind == store.CredentialsChanged && e.JID == account.JID {
				return store.Account{}, stanza.NotAuthorized
			}
		}
		after = events[len(events)-1].ID
	}
	return account, nil
}

// mayHave reports whether a session may be sent what was read for it by its account's
// name.
func (r *Router) mayHave(s *session.Session) (bool, error) {
	_, err := r.OwnAccount(s)
	if errors.Is(err, stanza.NotAuthorized) {
		return false, nil
	}
	return err == nil, err
}

// isLocked reports whether an account is locked now: whoever was let in again
// before that was noticed stays.
func (r *Router) isLocked(owner jid.JID) (bool, error) {
	account, err := r.cfg.Store.Account(r.ctx, owner)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil // an event to come tells that
	}
	return account.Disabled, err
}

// accountDeleted tells everybody concerned that an account is gone: its sessions
// leave first, while it is known who gets their presence (RFC 6121 section 3.2.2:
// unavailable presence comes before 'unsubscribed'), then subscriptions end. The
// store has ended them already.
func (r *Router) accountDeleted(t *session.Turn, e store.AccountEvent) error {
	owner := e.JID.Bare().Clone()
	r.publish(owner.String(), nil)
	if err := r.takeOut(t, owner.String(), e.ID); err != nil {
		return err
	}
	r.lastActivity.forget(owner)
	for i := range r.stages.removed {
		r.guarded(nil, func() { r.stages.removed[i].f(owner) })
	}
	return r.eachContact(e.ID, func(c store.EventContact) error { return r.tellDeleted(t, owner, c) })
}

// eachContact calls f for everybody whose roster a deletion has changed.
func (r *Router) eachContact(event int64, f func(store.EventContact) error) error {
	var after jid.JID
	for {
		page, err := r.cfg.Store.EventContacts(r.ctx, event, after, eventPage)
		if err != nil {
			return err
		}
		for _, c := range page {
			if err := f(c); err != nil {
				return err
			}
			after = c.JID
		}
		if len(page) < eventPage {
			return nil
		}
	}
}

// takeOut announces that the sessions which an account had before it was deleted
// are gone, and ends their streams.
func (r *Router) takeOut(t *session.Turn, bare string, event int64) error {
	var ro *Roster
	for s := range r.Recipients(bare, everyone) {
		if !s.AuthenticatedBefore(event) {
			continue
		}
		if ro == nil {
			var was store.Roster
			err := r.eachContact(event, func(c store.EventContact) error {
				if c.Subscription.HasTo() {
					was.Items = append(was.Items, store.RosterItem{JID: c.JID, Subscription: store.From})
				}
				return nil
			})
			if err != nil {
				return err
			}
			ro = newRoster(was)
		}
		if r.sessions.TakeOut(s) {
			r.left(t, s, ro)
			t.Flush()
		}
		s.Close(errAccountRemoved)
	}
	return nil
}

// tellDeleted tells a contact that the subscriptions between it and an account
// that was deleted have ended, and requests with them.
func (r *Router) tellDeleted(t *session.Turn, owner jid.JID, c store.EventContact) error {
	contact := c.JID.Bare().Clone()
	unlock := r.lockRosters(contact)
	defer unlock()
	r.publish(contact.String(), nil)
	if !r.HasRecipients(contact.String(), everyone) {
		return nil
	}
	ro, err := r.Roster(contact) // as it is in the store: it was forgotten above, and the lock is held
	if err != nil || ro.Version == 0 {
		return err
	}
	l := &subscriptionChange{r: r, user: owner, contact: contact}
	state := subState{sub: c.Subscription, ask: c.Ask, approved: c.Approved, pendingIn: c.Pending}
	for _, e := range []stanza.Type{stanza.Unsubscribe, stanza.Unsubscribed} {
		var deliver bool
		if state, deliver, _ = state.inbound(e); deliver {
			l.deliver(t, e)
		}
	}
	inRoster := c.Subscription != store.None || c.Ask || c.Approved
	if item, found := ro.Item(owner.String()); found && inRoster {
		r.push(t, contact.String(), &change{after: ro, item: item})
	}
	t.Flush() // nobody waits until all are told
	return nil
}

// forgetDirected drops, of the directed presence that sessions have sent, what was
// for accounts that were deleted: whoever has the name next did not get it, and is
// not told that it ends.
func (r *Router) forgetDirected(events []store.AccountEvent) {
	gone := make(map[string]bool)
	for _, e := range events {
		if e.Kind == store.AccountDeleted {
			gone[e.JID.BareString()] = true
		}
	}
	if len(gone) == 0 {
		return
	}
	r.eachDirecting(func(s *session.Session) {
		for _, to := range directed(s) {
			if bare, _, _ := strings.Cut(to, "/"); gone[bare] {
				// A presence that is on its way has got there when this is done.
				mu := r.lockPresence(s.BareJID())
				removeDirected(s, to)
				mu.Unlock()
			}
		}
	})
}
