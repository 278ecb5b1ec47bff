// Package slow wraps a store.Store with latency and faults, for tests: a slow
// or failing disk must not stop those who do not wait for it.
package slow

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"roost/jid"
	"roost/store"
)

// Store is a store that can be made slow, stopped, or made to fail at any time,
// from any goroutine.
type Store struct {
	inner  store.Store
	delay  atomic.Int64
	fault  atomic.Pointer[func(method string) error]
	calls  sync.Map // method: *atomic.Int64
	active atomic.Int64

	mu     sync.Mutex
	gate   chan struct{} // closed when open; nil: open
	writes bool          // only writes wait for the gate
}

var _ store.Store = (*Store)(nil)

// New wraps a store, which is neither slow nor faulty at first.
func New(inner store.Store) *Store { return &Store{inner: inner} }

// SetDelay makes every call wait so long before it is done.
func (s *Store) SetDelay(d time.Duration) { s.delay.Store(int64(d)) }

// SetFault has f asked in every call, with the method's name, whether it is to
// fail, and how. nil takes that back.
func (s *Store) SetFault(f func(method string) error) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

// Stop makes all calls wait until the function it returns is called (once or
// more), or until their context ends.
func (s *Store) Stop() (release func()) { return s.stop(false) }

// StopWrites is Stop for calls that write, as when another process has locked the
// database or the disk does not take more.
func (s *Store) StopWrites() (release func()) { return s.stop(true) }

// reads are the methods that do not wait for a commit. A test compares them with what
// store/sqlite does.
var reads = map[string]bool{
	"Account": true, "Iterations": true, "ListAccounts": true,
	"AccountEvents": true, "EventContacts": true, "LastAccountEvent": true, "LoginState": true,
	"Roster": true, "RosterChanges": true, "SubscriptionRequests": true,
	"Offline": true, "CountOffline": true, "Blob": true, "Last": true,
}

func (s *Store) stop(writes bool) (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	s.gate, s.writes = gate, writes
	s.mu.Unlock()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		if s.gate == gate {
			s.gate = nil
		}
		s.mu.Unlock()
		close(gate)
	})
}

// Calls is how often a method was called.
func (s *Store) Calls(method string) int64 {
	if n, ok := s.calls.Load(method); ok {
		return n.(*atomic.Int64).Load()
	}
	return 0
}

// Total is how often any method was called.
func (s *Store) Total() (total int64) {
	s.calls.Range(func(_, n any) bool {
		total += n.(*atomic.Int64).Load()
		return true
	})
	return total
}

// Active is the number of calls under way.
func (s *Store) Active() int64 { return s.active.Load() }

// begin counts a call and lets it wait or fail. After it comes done.
func (s *Store) begin(ctx context.Context, method string) error {
	n, ok := s.calls.Load(method)
	if !ok {
		n, _ = s.calls.LoadOrStore(method, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
	s.active.Add(1)
	s.mu.Lock()
	gate, writes := s.gate, s.writes
	s.mu.Unlock()
	if gate != nil && !(writes && reads[method]) {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if d := time.Duration(s.delay.Load()); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f := s.fault.Load(); f != nil {
		return (*f)(method)
	}
	return nil
}

func (s *Store) done() { s.active.Add(-1) }

// do is a call with one result.
func do[T any](s *Store, ctx context.Context, method string, f func() (T, error)) (T, error) {
	defer s.done()
	if err := s.begin(ctx, method); err != nil {
		var zero T
		return zero, err
	}
	return f()
}

// try is a call without results.
func try(s *Store, ctx context.Context, method string, f func() error) error {
	defer s.done()
	if err := s.begin(ctx, method); err != nil {
		return err
	}
	return f()
}

// Account implements store.Accounts.
func (s *Store) Account(ctx context.Context, bare jid.JID) (store.Account, error) {
	return do(s, ctx, "Account", func() (store.Account, error) { return s.inner.Account(ctx, bare) })
}

// Iterations implements store.Accounts.
func (s *Store) Iterations(ctx context.Context) (map[int]int, error) {
	return do(s, ctx, "Iterations", func() (map[int]int, error) { return s.inner.Iterations(ctx) })
}

// CreateAccount implements store.Accounts.
func (s *Store) CreateAccount(ctx context.Context, a store.Account) error {
	return try(s, ctx, "CreateAccount", func() error { return s.inner.CreateAccount(ctx, a) })
}

// SetCredentials implements store.Accounts.
func (s *Store) SetCredentials(ctx context.Context, bare jid.JID, c store.Credentials, keepSessions bool) (int64, error) {
	return do(s, ctx, "SetCredentials", func() (int64, error) { return s.inner.SetCredentials(ctx, bare, c, keepSessions) })
}

// SetDisabled implements store.Accounts.
func (s *Store) SetDisabled(ctx context.Context, bare jid.JID, disabled bool) error {
	return try(s, ctx, "SetDisabled", func() error { return s.inner.SetDisabled(ctx, bare, disabled) })
}

// DeleteAccount implements store.Accounts.
func (s *Store) DeleteAccount(ctx context.Context, bare jid.JID) error {
	return try(s, ctx, "DeleteAccount", func() error { return s.inner.DeleteAccount(ctx, bare) })
}

// ListAccounts implements store.Accounts.
func (s *Store) ListAccounts(ctx context.Context, domain string, after jid.JID, limit int) ([]store.Account, error) {
	return do(s, ctx, "ListAccounts", func() ([]store.Account, error) { return s.inner.ListAccounts(ctx, domain, after, limit) })
}

// ImportAccounts implements store.Accounts.
func (s *Store) ImportAccounts(ctx context.Context, accounts []store.Account, mode store.ImportMode) (created, existing int, err error) {
	err = try(s, ctx, "ImportAccounts", func() (err error) {
		created, existing, err = s.inner.ImportAccounts(ctx, accounts, mode)
		return err
	})
	return created, existing, err
}

// AccountEvents implements store.Accounts.
func (s *Store) AccountEvents(ctx context.Context, after int64, limit int) ([]store.AccountEvent, error) {
	return do(s, ctx, "AccountEvents", func() ([]store.AccountEvent, error) { return s.inner.AccountEvents(ctx, after, limit) })
}

// EventContacts implements store.Accounts.
func (s *Store) EventContacts(ctx context.Context, event int64, after jid.JID, limit int) ([]store.EventContact, error) {
	return do(s, ctx, "EventContacts", func() ([]store.EventContact, error) {
		return s.inner.EventContacts(ctx, event, after, limit)
	})
}

// LastAccountEvent implements store.Accounts.
func (s *Store) LastAccountEvent(ctx context.Context) (int64, error) {
	return do(s, ctx, "LastAccountEvent", func() (int64, error) { return s.inner.LastAccountEvent(ctx) })
}

// LoginState implements store.Store.
func (s *Store) LoginState(ctx context.Context, owner jid.JID) (store.LoginState, error) {
	return do(s, ctx, "LoginState", func() (store.LoginState, error) { return s.inner.LoginState(ctx, owner) })
}

// Close implements store.Store. It is neither slow nor faulty.
func (s *Store) Close() error { return s.inner.Close() }
