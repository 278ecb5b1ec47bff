// Package memstore implements store.Store in memory, for tests. It shows that the tests and
// the server depend on the interface only, and not on SQLite. Nothing is durable.
//
// One lock protects everything. Accounts are never changed in place: a write copies the
// accounts that it changes, and installs the copies when it has succeeded.
package memstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"roost/jid"
	"roost/store"
)

// Location is a store in memory. It may be opened more than once.
type Location struct {
	mu       sync.RWMutex
	accounts map[string]*account // by bare JID
	events   []store.AccountEvent
	contacts map[int64][]store.EventContact // by event, in the order of addresses
	blocks   map[string]store.Block         // by target
	invites  map[string]store.Invitation    // by ID
	sessions []store.SavedSession           // oldest first
	deleted  map[string]time.Time           // accounts by bare JID
	changed  chan struct{}                  // closed and replaced when there are new events
	lastID   int64                          // of the offline messages of all accounts
	version  int64                          // the largest version of any roster
}

// New returns an empty store.
func New() *Location {
	return &Location{accounts: make(map[string]*account), contacts: make(map[int64][]store.EventContact), blocks: make(map[string]store.Block), invites: make(map[string]store.Invitation), deleted: make(map[string]time.Time), changed: make(chan struct{})}
}

// Open implements store.Location.
func (l *Location) Open(ctx context.Context, o store.Options) (store.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap("open", err)
	}
	return &Store{l: l, options: o, closed: make(chan struct{})}, nil
}

// Store is an opened Location. It implements store.Store.
type Store struct {
	l       *Location
	options store.Options
	once    sync.Once
	closed  chan struct{}
}

var (
	_ store.Location = (*Location)(nil)
	_ store.Store    = (*Store)(nil)
)

// Close implements store.Store.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.l.mu.Lock() // after running operations
		defer s.l.mu.Unlock()
		close(s.closed)
	})
	return nil
}

// account is an account with all its data.
type account struct {
	store.Account
	floor    int64 // the oldest version since which all changes of the roster are known
	version  int64 // of the roster
	items    map[string]store.RosterItem
	removed  []store.RosterChange // removed items, oldest first
	requests []store.Request      // oldest first
	offline  []message            // oldest first
	blobs    map[blobKey][]byte
	last     *store.LastActivity
	used     store.Day
}

// clone returns a copy that may be changed.
func (a *account) clone() *account {
	c := *a
	c.items, c.blobs = maps.Clone(a.items), maps.Clone(a.blobs)
	c.removed, c.requests, c.offline = slices.Clone(a.removed), slices.Clone(a.requests), slices.Clone(a.offline)
	return &c
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store: %s: %w", what, err)
}

// usable returns an error if operations must fail.
func (s *Store) usable(ctx context.Context) error {
	select {
	case <-s.closed:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

// read runs f, which executes the operation op, while nothing changes.
func (s *Store) read(ctx context.Context, op, what string, f func(*Location) error) error {
	done, err := s.options.Begin(ctx, store.Op{Name: op})
	if err != nil {
		return err
	}
	defer done()
	s.l.mu.RLock()
	defer s.l.mu.RUnlock()
	if err = s.usable(ctx); err == nil {
		err = f(s.l)
	}
	return wrap(what, err)
}

// write runs f, which executes the operation op, in a transaction.
func (s *Store) write(ctx context.Context, op, what string, f func(*tx) error) error {
	done, err := s.options.Begin(ctx, store.Op{Name: op, Writes: true})
	if err != nil {
		return err
	}
	defer done()
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	t := &tx{l: s.l, now: time.Now(), changed: make(map[string]*account)}
	if err = s.usable(ctx); err == nil {
		err = f(t)
	}
	if err == nil {
		t.commit()
	}
	return wrap(what, err)
}

// tx is the transaction of a write: the changes that are not installed yet.
type tx struct {
	l        *Location
	now      time.Time
	changed  map[string]*account // nil values are deleted accounts
	events   []store.AccountEvent
	contacts map[int64][]store.EventContact
}

// account returns the transaction's copy of an account, which may be changed.
func (t *tx) account(owner jid.JID) (*account, error) {
	key := owner.BareString()
	a, ok := t.changed[key]
	if !ok {
		if a = t.l.accounts[key]; a != nil {
			a = a.clone()
			t.changed[key] = a
		}
	}
	if a == nil {
		return nil, store.ErrNotFound
	}
	return a, nil
}

// event records an event of an account.
func (t *tx) event(owner jid.JID, kind store.EventKind) int64 {
	id := t.l.lastEvent() + int64(len(t.events)) + 1
	t.events = append(t.events, store.AccountEvent{ID: id, JID: owner.Bare().Clone(), Kind: kind, At: seconds(t.now)})
	return id
}

func (t *tx) commit() {
	for key, a := range t.changed {
		if a == nil {
			delete(t.l.accounts, key)
			t.l.deleted[strings.Clone(key)] = t.now
			maps.DeleteFunc(t.l.invites, func(_ string, i store.Invitation) bool { return i.Inviter == key })
			continue
		}
		t.l.accounts[a.JID.String()] = a // not key, which may be the caller's memory
		t.l.version = max(t.l.version, a.version)
	}
	maps.Copy(t.l.contacts, t.contacts)
	if len(t.events) > 0 {
		t.l.events = append(t.l.events, t.events...)
		close(t.l.changed)
		t.l.changed = make(chan struct{})
	}
}

// find returns an account, which must not be changed, or nil.
func (l *Location) find(owner jid.JID) *account { return l.accounts[owner.BareString()] }

// seconds returns a time as it is stored.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// byAddress compares addresses by domain and localpart.
func byAddress(a, b jid.JID) int {
	return cmp.Or(strings.Compare(a.Domain(), b.Domain()), strings.Compare(a.Local(), b.Local()))
}

// page returns at most the first limit elements.
func page[T any](all []T, limit int) []T { return all[:min(len(all), max(limit, 0))] }

// errNoSender means that a message to be stored has no sender.
var errNoSender = errors.New("the message has no sender")
