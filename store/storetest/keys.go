package storetest

import (
	"maps"
	"testing"

	"roost/store"
)

func testShapes(t *testing.T, s store.Store) {
	count := func(want map[store.Shape]int) {
		t.Helper()
		got, err := s.Shapes(t.Context())
		ok(t, "Shapes", err)
		if !maps.Equal(got, want) {
			t.Errorf("Shapes = %v, want %v", got, want)
		}
	}
	count(map[store.Shape]int{})
	create(t, s, juliet, romeo)
	both := store.Shape{Iterations: [store.NumHashes]int{4097, 4098}}
	count(map[store.Shape]int{both: 2})
	shared := credentials(1)
	shared[store.SHA256].Salt = shared[store.SHA1].Salt
	setCredentials(t, s, juliet, shared)
	one := store.Shape{Iterations: both.Iterations, SharedSalt: true}
	count(map[store.Shape]int{both: 1, one: 1})
	setCredentials(t, s, juliet, only(store.SHA1, credentials(2)))
	setCredentials(t, s, romeo, only(store.SHA256, credentials(2)))
	count(map[store.Shape]int{{Iterations: [store.NumHashes]int{4098, 0}}: 1, {Iterations: [store.NumHashes]int{0, 4099}}: 1})
}

// testAddKeys: what an account lacks is added, and nothing else changes: no event, and no
// keys that it has.
func testAddKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	has := func(want store.Credentials) store.Account {
		t.Helper()
		a, err := s.Account(ctx, juliet)
		ok(t, "Account", err)
		if !same(a.Credentials, want) {
			t.Errorf("credentials %+v, want %+v", a.Credentials, want)
		}
		return a
	}
	for h := range store.NumHashes {
		first := only(h, credentials(1))
		if _, err := s.Account(ctx, juliet); err == nil {
			ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
		}
		ok(t, "CreateAccount", s.CreateAccount(ctx, store.Account{JID: juliet, Credentials: first}))
		created := has(first)
		last, err := s.LastAccountEvent(ctx)
		ok(t, "LastAccountEvent", err)

		wants(t, "AddKeys to a later account", s.AddKeys(ctx, juliet, created.Event+1, credentials(2)), store.ErrConflict)
		ok(t, "AddKeys of none", s.AddKeys(ctx, juliet, created.Event, store.Credentials{}))
		ok(t, "AddKeys of what it has", s.AddKeys(ctx, juliet, created.Event, only(h, credentials(2))))
		has(first)
		ok(t, "AddKeys", s.AddKeys(ctx, juliet, created.Event, credentials(2)))
		all := credentials(2)
		all[h] = first[h]
		if a := has(all); a.Event != created.Event || a.Generation != created.Generation {
			t.Errorf("the account's events were %d and %d, are %d and %d", created.Generation, created.Event, a.Generation, a.Event)
		}
		ok(t, "AddKeys again", s.AddKeys(ctx, juliet, store.AnyEvent, credentials(3)))
		has(all)
		if now, err := s.LastAccountEvent(ctx); err != nil || now != last {
			t.Errorf("the last event was %d, is %d, %v", last, now, err)
		}

		// The keys are the store's own.
		setCredentials(t, s, juliet, first)
		lent := credentials(4)
		ok(t, "AddKeys", s.AddKeys(ctx, juliet, store.AnyEvent, lent))
		for i := range lent {
			clear(lent[i].Salt)
			clear(lent[i].StoredKey)
		}
		all = credentials(4)
		all[h] = first[h]
		has(all)
		setCredentials(t, s, juliet, first) // a password that is only known by one of the keys replaces both
		has(first)
	}
}

func testMissingKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	missing := func(domain string, want ...store.Hash) {
		t.Helper()
		got, err := s.MissingKeys(ctx, domain)
		ok(t, "MissingKeys", err)
		if got != store.SetOf(want...) {
			t.Errorf("MissingKeys of %s = %b, want %v", domain, got, want)
		}
	}
	missing("example.com")
	create(t, s, juliet, nurse, romeo)
	missing("example.com")
	setCredentials(t, s, juliet, only(store.SHA1, credentials(1)))
	missing("example.com", store.SHA256)
	missing("example.net")
	setCredentials(t, s, nurse, only(store.SHA256, credentials(1)))
	missing("example.com", store.SHA1, store.SHA256)
	ok(t, "AddKeys", s.AddKeys(ctx, juliet, store.AnyEvent, credentials(1)))
	missing("example.com", store.SHA1)
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, nurse, store.AnyEvent))
	missing("example.com")
}
