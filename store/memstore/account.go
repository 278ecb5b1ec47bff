package memstore

import (
	"context"
	"slices"
	"sort"
	"strings"
	"time"

	"roost/jid"
	"roost/store"
)

// copyCredentials returns a copy that shares no memory with c.
func copyCredentials(c store.Credentials) store.Credentials {
	for h, k := range c {
		c[h] = store.Keys{Salt: slices.Clone(k.Salt), Iterations: k.Iterations, StoredKey: slices.Clone(k.StoredKey), ServerKey: slices.Clone(k.ServerKey)}
	}
	return c
}

// Account implements store.Accounts.
func (s *Store) Account(ctx context.Context, bare jid.JID) (found store.Account, err error) {
	err = s.read(ctx, "Account", "read account "+bare.BareString(), func(l *Location) error {
		a := l.find(bare)
		if a == nil {
			return store.ErrNotFound
		}
		found = a.Account
		found.Credentials = copyCredentials(a.Credentials)
		return nil
	})
	return found, err
}

// Shapes implements store.Accounts.
func (s *Store) Shapes(ctx context.Context) (map[store.Shape]int, error) {
	counts := make(map[store.Shape]int)
	err := s.read(ctx, "Shapes", "count credentials", func(l *Location) error {
		for _, a := range l.accounts {
			counts[a.Credentials.Shape()]++
		}
		return nil
	})
	return counts, err
}

// MissingKeys implements store.Accounts.
func (s *Store) MissingKeys(ctx context.Context, domain string) (missing store.HashSet, err error) {
	err = s.read(ctx, "MissingKeys", "look for missing keys", func(l *Location) error {
		for _, a := range l.accounts {
			if a.JID.Domain() == domain {
				missing |= store.AllHashes &^ a.Credentials.Hashes()
			}
		}
		return nil
	})
	return missing, err
}

// create adds an account unless it exists.
func (t *tx) create(a *store.Account) (created bool) {
	if _, err := t.account(a.JID); err == nil {
		return false
	}
	n := &account{
		Account: store.Account{JID: a.JID.Bare().Clone(), Credentials: copyCredentials(a.Credentials), Disabled: a.Disabled, Created: seconds(a.Created)},
		items:   make(map[string]store.RosterItem), blobs: make(map[blobKey][]byte),
	}
	if a.Created.IsZero() {
		n.Created = seconds(t.now)
	}
	n.Generation = t.event(a.JID, store.AccountCreated)
	n.Event = n.Generation
	n.version = max(t.now.UnixMicro(), t.l.version+1) // larger than any version of a former account
	n.floor = n.version
	t.changed[n.JID.String()] = n
	return true
}

// CreateAccount implements store.Accounts.
func (s *Store) CreateAccount(ctx context.Context, a store.Account) error {
	return s.write(ctx, "CreateAccount", "create account "+a.JID.BareString(), func(t *tx) error {
		if !t.create(&a) {
			return store.ErrExists
		}
		return nil
	})
}

// RegisterAccount implements store.Accounts.
func (s *Store) RegisterAccount(ctx context.Context, a store.Account, since time.Time) error {
	return s.write(ctx, "RegisterAccount", "register account "+a.JID.BareString(), func(t *tx) error {
		return t.register(&a, since, "")
	})
}

// register adds an account for which the invitation id reserves the name, if any does.
func (t *tx) register(a *store.Account, since time.Time, id string) error {
	if at, ok := t.l.deleted[a.JID.BareString()]; ok && !at.Before(since.Truncate(time.Second)) {
		return store.ErrHeld
	}
	if t.l.reserved(a.JID, t.now, id) {
		return store.ErrHeld
	}
	if !t.create(a) {
		return store.ErrExists
	}
	return nil
}

// credentialsEvent returns the kind of the event for changed credentials.
func credentialsEvent(keepSessions bool) store.EventKind {
	if keepSessions {
		return store.CredentialsRenewed
	}
	return store.CredentialsChanged
}

// setCredentials replaces an account's credentials.
func (t *tx) setCredentials(bare jid.JID, c store.Credentials, keepSessions bool) (event int64, err error) {
	a, err := t.account(bare)
	if err != nil {
		return 0, err
	}
	a.Credentials, a.Event = copyCredentials(c), t.event(bare, credentialsEvent(keepSessions))
	return a.Event, nil
}

// SetCredentials implements store.Accounts.
func (s *Store) SetCredentials(ctx context.Context, bare jid.JID, was int64, c store.Credentials, keepSessions bool) (event int64, err error) {
	err = s.write(ctx, "SetCredentials", "set credentials of "+bare.BareString(), func(t *tx) error {
		if err := t.accountIs(bare, was); err != nil {
			return err
		}
		event, err = t.setCredentials(bare, c, keepSessions)
		return err
	})
	return event, err
}

// AddKeys implements store.Accounts.
func (s *Store) AddKeys(ctx context.Context, bare jid.JID, was int64, c store.Credentials) error {
	return s.write(ctx, "AddKeys", "add keys of "+bare.BareString(), func(t *tx) error {
		if err := t.accountIs(bare, was); err != nil {
			return err
		}
		a, err := t.account(bare)
		if err == nil {
			c = copyCredentials(c)
			a.Credentials.Add(&c)
		}
		return err
	})
}

// accountIs returns an error unless an account's newest event is was, or was is AnyEvent.
func (t *tx) accountIs(bare jid.JID, was int64) error {
	a, err := t.account(bare)
	if err == nil && was != store.AnyEvent && a.Event != was {
		err = store.ErrConflict
	}
	return err
}

// SetDisabled implements store.Accounts.
func (s *Store) SetDisabled(ctx context.Context, bare jid.JID, disabled bool) error {
	kind := store.AccountEnabled
	if disabled {
		kind = store.AccountDisabled
	}
	return s.write(ctx, "SetDisabled", "disable or enable "+bare.BareString(), func(t *tx) error {
		a, err := t.account(bare)
		if err == nil {
			a.Disabled, a.Event = disabled, t.event(bare, kind)
		}
		return err
	})
}

// DeleteAccount implements store.Accounts.
func (s *Store) DeleteAccount(ctx context.Context, bare jid.JID, was int64) error {
	return s.write(ctx, "DeleteAccount", "delete account "+bare.BareString(), func(t *tx) error {
		if err := t.accountIs(bare, was); err != nil {
			return err
		}
		t.remove(bare)
		return nil
	})
}

// DeleteUnused implements store.Accounts.
func (s *Store) DeleteUnused(ctx context.Context, bare jid.JID, unused, never time.Time) error {
	return s.write(ctx, "DeleteUnused", "delete unused account "+bare.BareString(), func(t *tx) error {
		a, err := t.account(bare)
		if err != nil {
			return err
		}
		if listed := a.listed(); !listed.IsUnused(unused, never) {
			return store.ErrConflict
		}
		t.remove(bare)
		return nil
	})
}

func (t *tx) remove(bare jid.JID) {
	t.changed[bare.BareString()] = nil
	event := t.event(bare, store.AccountDeleted)
	t.contacts = map[int64][]store.EventContact{event: t.endSubscriptions(bare.Bare())}
}

// ImportAccounts implements store.Accounts.
func (s *Store) ImportAccounts(ctx context.Context, accounts []store.Account, mode store.ImportMode) (created, existing int, err error) {
	err = s.write(ctx, "ImportAccounts", "import accounts", func(t *tx) error {
		for i := range accounts {
			a := &accounts[i]
			if t.create(a) {
				created++
				continue
			}
			existing++
			if mode != store.SkipExisting {
				if _, err := t.setCredentials(a.JID, a.Credentials, mode == store.UpdateQuietly); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return created, existing, nil
}

// ListAccounts implements store.Accounts.
func (s *Store) ListAccounts(ctx context.Context, domain string, after jid.JID, limit int) ([]store.Account, error) {
	return s.list(ctx, "ListAccounts", func(*account) bool { return true }, domain, after, limit)
}

// ListLacking implements store.Accounts.
func (s *Store) ListLacking(ctx context.Context, h store.Hash, domain string, after jid.JID, limit int) ([]store.Account, error) {
	return s.list(ctx, "ListLacking", func(a *account) bool { return !a.Credentials.Hashes().Has(h) }, domain, after, limit)
}

func (s *Store) list(ctx context.Context, name string, is func(*account) bool, domain string, after jid.JID, limit int) (list []store.Account, err error) {
	err = s.read(ctx, name, "list accounts", func(l *Location) error {
		for _, a := range l.accounts {
			next := byAddress(a.JID, after) > 0
			if domain != "" {
				next = a.JID.Domain() == domain && a.JID.Local() > after.Local()
			}
			if next && is(a) {
				list = append(list, a.listed())
			}
		}
		slices.SortFunc(list, func(a, b store.Account) int { return byAddress(a.JID, b.JID) })
		list = page(list, limit)
		return nil
	})
	return list, err
}

// listed returns an account as lists have it.
func (a *account) listed() store.Account {
	at := int64(0)
	if a.last != nil {
		at = a.last.At.Unix()
	}
	return store.Account{JID: a.JID, Disabled: a.Disabled, Created: a.Created, Used: store.LastUse(at, a.used)}
}

// Watch implements store.Accounts.
func (s *Store) Watch(ctx context.Context, after int64, f func([]store.AccountEvent) error) error {
	done, err := s.options.Begin(ctx, store.Op{Name: "Watch"})
	if err != nil {
		return err
	}
	defer done()
	for {
		s.l.mu.RLock()
		err, events, changed := s.usable(ctx), s.l.eventsAfter(after), s.l.changed
		s.l.mu.RUnlock()
		if err != nil {
			return wrap("watch account events", err)
		}
		if len(events) > 0 {
			after = events[len(events)-1].ID
			if err := f(events); err != nil {
				return err
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-s.closed:
		}
	}
}

// eventsAfter returns a copy of the events after one.
func (l *Location) eventsAfter(after int64) []store.AccountEvent {
	i := sort.Search(len(l.events), func(i int) bool { return l.events[i].ID > after })
	return slices.Clone(l.events[i:])
}

// AccountEvents implements store.Accounts.
func (s *Store) AccountEvents(ctx context.Context, after int64, limit int) (events []store.AccountEvent, err error) {
	err = s.read(ctx, "AccountEvents", "read account events", func(l *Location) error {
		events = page(l.eventsAfter(after), limit)
		return nil
	})
	return events, err
}

// EventContacts implements store.Accounts.
func (s *Store) EventContacts(ctx context.Context, event int64, after jid.JID, limit int) (contacts []store.EventContact, err error) {
	err = s.read(ctx, "EventContacts", "read contacts of an account event", func(l *Location) error {
		for _, c := range l.contacts[event] {
			if strings.Compare(c.JID.String(), after.BareString()) > 0 {
				contacts = append(contacts, c)
			}
		}
		contacts = page(contacts, limit)
		return nil
	})
	return contacts, err
}

// LastAccountEvent implements store.Accounts.
func (s *Store) LastAccountEvent(ctx context.Context) (id int64, err error) {
	err = s.read(ctx, "LastAccountEvent", "read account events", func(l *Location) error {
		id = l.lastEvent()
		return nil
	})
	return id, err
}
