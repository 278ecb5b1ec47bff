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

// The store records what happens to accounts, in the transaction that makes it happen,
// whether a client does it by in-band registration, `roost user` in another process, or a
// test. The server reacts to these events in one place, actOn, which notifies everyone
// concerned. The store's Watch delivers new events. CatchUp reads them where that would be
// too late: after a client has changed its own account, and before a client of an account
// that is newer than the last event that was read binds a resource or resumes a session.
// The latter ensures that an account with the name of a former one finds nothing of that
// one in memory: no roster, no entry in the contacts' rosters, and no session.

// accountEvents tracks which account events the server has processed.
type accountEvents struct {
	mu   sync.Mutex   // held while events are processed
	seen atomic.Int64 // ID of the last one processed
}

// eventPage is how many events, or contacts of one event, are read at once.
const eventPage = 1000

// Stream errors for account events.
var (
	// XEP-0077 section 3.2 (https://xmpp.org/extensions/xep-0077.html#usecases-cancel): the
	// server "SHOULD then return a <not-authorized/> stream error and terminate all active
	// sessions for the entity".
	errAccountRemoved = session.ErrNotAuthorized.WithText("The account was removed.")
	errAccountLocked  = session.ErrNotAuthorized.WithText("The account was locked.")
	// RFC 6120 section 4.9.3.16 (https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.16):
	// "encryption and authentication need to be negotiated again for the new stream".
	errPasswordChanged = session.ErrReset.WithText("The password was changed. Log in again.")
)

// SkipAccountEvents skips all account events so far. It must be called before the first
// client connects.
func (r *Router) SkipAccountEvents(ctx context.Context) error {
	last, err := r.config().Store.LastAccountEvent(ctx)
	if err == nil {
		r.events.seen.Store(last)
	}
	return err
}

// CatchUpFrom processes the account events after the given one, the last that the previous
// process had processed when it saved its sessions. It must be called after SkipAccountEvents
// and before the first client connects.
func (r *Router) CatchUpFrom(t *session.Turn, event int64) error {
	if seen := r.events.seen.Load(); event < seen {
		r.events.seen.Store(event)
	}
	return r.CatchUpAll(t)
}

// LastEvent returns the last account event that was processed.
func (r *Router) LastEvent() int64 { return r.events.seen.Load() }

// Watch processes account events until ctx ends, the store cannot be read, or an event
// cannot be processed; then it may be called again. run runs a function on a worker that
// may wait for commits, and returns the function's error.
func (r *Router) Watch(ctx context.Context, run func(func(*session.Turn) error) error) error {
	return r.config().Store.Watch(ctx, r.events.seen.Load(), func(events []store.AccountEvent) error {
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

// CatchUpAll processes all pending account events.
func (r *Router) CatchUpAll(t *session.Turn) error {
	last, err := r.config().Store.LastAccountEvent(r.ctx)
	if err != nil {
		return err
	}
	return r.CatchUp(t, last)
}

// CaughtUp reports whether an account event was processed. It implements session.Router.
func (r *Router) CaughtUp(event int64) bool { return r.events.seen.Load() >= event }

// CatchUp processes account events, at least up to the given one. It may wait for commits,
// unless that event was already processed. It implements session.Router.
func (r *Router) CatchUp(t *session.Turn, event int64) error {
	if r.CaughtUp(event) {
		return nil
	}
	r.events.mu.Lock()
	defer r.events.mu.Unlock()
	for r.events.seen.Load() < event {
		events, err := r.config().Store.AccountEvents(r.ctx, r.events.seen.Load(), eventPage)
		if err != nil || len(events) == 0 {
			return err
		}
		if err := r.actOn(t, events); err != nil {
			return err
		}
	}
	return nil
}

// actOn sends the notifications that events require and ends the streams that they concern.
// If it fails, it may be called again with the remaining events: everything that it does
// may be done twice.
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
		err = r.sessions.KeysChanged(r.ctx, withNewKeys(events))
	}
	if err == nil {
		r.publishEvents(events)
		r.events.seen.Store(events[len(events)-1].ID)
	}
	return err
}

// withNewKeys returns the domains in which accounts were added or removed, or their keys
// changed.
func withNewKeys(events []store.AccountEvent) (domains []string) {
	for _, e := range events {
		if e.Kind != store.AccountDisabled && e.Kind != store.AccountEnabled && !slices.Contains(domains, e.JID.Domain()) {
			domains = append(domains, e.JID.Domain())
		}
	}
	return domains
}

// OwnAccount returns the account that a session is authenticated for. It returns
// stanza.NotAuthorized if that account was deleted, even if another one has its name by
// now: the session will end when the server processes that event. If it succeeds, data that
// was read by the account's name before the call belongs to the session's account. Only
// workers may call it.
func (r *Router) OwnAccount(s *session.Session) (store.Account, error) {
	account, err := r.config().Store.Account(r.ctx, s.JID().Bare())
	if errors.Is(err, store.ErrNotFound) || err == nil && s.AuthenticatedBefore(account.Generation) {
		return store.Account{}, stanza.NotAuthorized
	}
	return account, err
}

// CurrentAccount is OwnAccount for operations that need more than an authenticated session:
// changing the password and removing the account. It also returns stanza.NotAuthorized if
// the account was locked, or its password was changed, after the session authenticated: the
// session will end when the server processes that event.
func (r *Router) CurrentAccount(s *session.Session) (store.Account, error) {
	account, err := r.OwnAccount(s)
	if err != nil {
		return store.Account{}, err
	}
	if account.Disabled {
		return store.Account{}, stanza.NotAuthorized
	}
	for after := s.Event(); after < account.Event; {
		// There are events that did not end the session, or have yet to end it.
		events, err := r.config().Store.AccountEvents(r.ctx, after, eventPage)
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

// mayHave reports whether a session may be sent data that was read by its account's name.
func (r *Router) mayHave(s *session.Session) (bool, error) {
	_, err := r.OwnAccount(s)
	if errors.Is(err, stanza.NotAuthorized) {
		return false, nil
	}
	return err == nil, err
}

// isLocked reports whether an account is locked now: sessions of an account that was
// unlocked again before the server processed the event stay connected.
func (r *Router) isLocked(owner jid.JID) (bool, error) {
	account, err := r.config().Store.Account(r.ctx, owner)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil // a later event reports that
	}
	return account.Disabled, err
}

// accountDeleted notifies everyone concerned that an account was deleted. Its sessions
// become unavailable first, while the subscribers to their presence are still known (RFC
// 6121 section 3.2.2: unavailable presence precedes 'unsubscribed'), then subscriptions
// end. The store has already ended them.
func (r *Router) accountDeleted(t *session.Turn, e store.AccountEvent) error {
	owner := e.JID.Bare().Clone()
	r.evict(owner.String())
	if err := r.removeSessions(t, owner.String(), e.ID); err != nil {
		return err
	}
	r.lastActivity.forget(owner)
	for i := range r.stages.removed {
		r.guarded(nil, func() { r.stages.removed[i].f(owner) })
	}
	return r.eachContact(e.ID, func(c store.EventContact) error { return r.notifyDeleted(t, owner, c) })
}

// eachContact calls f for each account whose roster a deletion changed.
func (r *Router) eachContact(event int64, f func(store.EventContact) error) error {
	var after jid.JID
	for {
		page, err := r.config().Store.EventContacts(r.ctx, event, after, eventPage)
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

// removeSessions announces that the sessions which an account had before it was deleted are
// unavailable, and ends their streams.
func (r *Router) removeSessions(t *session.Turn, bare string, event int64) error {
	var ro *Roster
	for s := range r.Recipients(bare, Everyone) {
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
			r.left(t, s, ro, store.LastActivity{})
			t.Flush()
		}
		s.Close(errAccountRemoved)
	}
	return nil
}

// notifyDeleted notifies a contact that the subscriptions and requests between it and a
// deleted account have ended.
func (r *Router) notifyDeleted(t *session.Turn, owner jid.JID, c store.EventContact) error {
	contact := c.JID.Bare().Clone()
	unlock := r.lockRosters(contact)
	defer unlock()
	r.evict(contact.String())
	if !r.HasRecipients(contact.String(), Everyone) {
		return nil
	}
	ro, err := r.Roster(contact) // from the store: it was evicted above, and the lock is held
	if err != nil || ro.Version == 0 {
		return err
	}
	l := &subscriptionChange{r: r, user: owner, contact: contact, here: true}
	state := subState{sub: c.Subscription, ask: c.Ask, approved: c.Approved, pendingIn: c.Pending}
	for _, e := range []stanza.Type{stanza.Unsubscribe, stanza.Unsubscribed} {
		var deliver bool
		if state, deliver, _ = state.inbound(e); deliver {
			l.deliver(t, e)
		}
	}
	inRoster := c.Subscription != store.None || c.Ask || c.Approved
	if item, found := ro.Item(owner.String()); found && inRoster {
		r.pushHere(t, contact.String(), &item, false, ro.Version)
	}
	t.Flush() // so that no contact waits until all are notified
	return nil
}

// forgetDirected forgets the directed presence that sessions have sent to accounts that
// were deleted: the next owner of the name did not receive it, so it must not get the
// unavailable presence that ends it.
func (r *Router) forgetDirected(events []store.AccountEvent) {
	deleted := make(map[string]bool)
	for _, e := range events {
		if e.Kind == store.AccountDeleted {
			deleted[e.JID.BareString()] = true
		}
	}
	if len(deleted) == 0 {
		return
	}
	r.eachDirecting(func(s *session.Session) {
		for _, to := range directed(s) {
			if bare, _, _ := strings.Cut(to, "/"); deleted[bare] {
				// Once the lock is held, a presence that was being sent has been delivered.
				mu := r.lockPresence(s.BareJID())
				removeDirected(s, to)
				mu.Unlock()
			}
		}
	})
}
