package storetest

import (
	"maps"
	"slices"
	"testing"

	"roost/jid"
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

// testListLacking: the accounts without keys for a hash function are listed as all accounts
// are, a page at a time.
func testListLacking(t *testing.T, s store.Store) {
	ctx := t.Context()
	has := map[string]store.Credentials{
		"a@a.example":   credentials(1),
		"a-b@a.example": only(store.SHA1, credentials(1)),
		"a.b@a.example": only(store.SHA1, credentials(1)),
		"b@a.example":   only(store.SHA256, credentials(1)),
		"a@b.example":   only(store.SHA1, credentials(1)),
		"c@b.example":   credentials(1),
	}
	for address, c := range has {
		create(t, s, jid.MustParse(address))
		setCredentials(t, s, jid.MustParse(address), c)
	}
	ok(t, "SetDisabled", s.SetDisabled(ctx, jid.MustParse("a.b@a.example"), true))
	f := func(h store.Hash, domain string, want ...string) {
		t.Helper()
		for _, limit := range []int{1, 2, 10} {
			var got []string
			var after jid.JID
			for {
				list, err := s.ListLacking(ctx, h, domain, after, limit)
				ok(t, "ListLacking", err)
				for _, a := range list {
					after = a.JID
					got = append(got, after.String())
					if a.Disabled != (after.String() == "a.b@a.example") || a.Created.IsZero() || a.Credentials.Hashes() != 0 {
						t.Errorf("%+v", a)
					}
				}
				if len(list) < limit {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("accounts of %q without keys for %s, by %d: %q, want %q", domain, h.Mechanism(), limit, got, want)
			}
		}
	}
	f(store.SHA256, "", "a-b@a.example", "a.b@a.example", "a@b.example")
	f(store.SHA256, "a.example", "a-b@a.example", "a.b@a.example")
	f(store.SHA256, "c.example")
	f(store.SHA1, "", "b@a.example")
	f(store.SHA1, "b.example")
	ok(t, "AddKeys", s.AddKeys(ctx, jid.MustParse("a-b@a.example"), store.AnyEvent, credentials(1)))
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, jid.MustParse("a@b.example"), store.AnyEvent))
	f(store.SHA256, "", "a.b@a.example")
}
