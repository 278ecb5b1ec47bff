package storetest

import (
	"fmt"
	"reflect"
	"testing"

	"roost/jid"
	"roost/store"
)

func testRosterChanges(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	r, err := s.Roster(ctx, juliet)
	ok(t, "Roster", err)
	v0 := r.Version
	v1 := put(t, s, juliet, store.RosterItem{JID: romeo, Name: "R"})
	v2 := put(t, s, juliet, store.RosterItem{JID: nurse})
	v3 := remove(t, s, juliet, romeo)
	v4 := put(t, s, juliet, store.RosterItem{JID: nurse, Name: "N", Groups: []string{"G"}})
	gone := store.RosterChange{Version: v3, Removed: true, Item: store.RosterItem{JID: romeo}}
	now := store.RosterChange{Version: v4, Item: store.RosterItem{JID: nurse, Name: "N", Groups: []string{"G"}, Version: v4}}
	f := func(since int64, want ...store.RosterChange) {
		t.Helper()
		got, current, fine, err := s.RosterChanges(ctx, juliet, since)
		ok(t, "RosterChanges", err)
		if !fine || current != v4 || !reflect.DeepEqual(got, want) {
			t.Errorf("changes since %d: %+v, %d, %v; want %+v", since, got, current, fine, want)
		}
	}
	f(v0, gone, now)
	f(v1, gone, now)
	f(v2, gone, now)
	f(v3, now)
	f(v4)
	v5 := put(t, s, juliet, store.RosterItem{JID: romeo})
	got, _, fine, err := s.RosterChanges(ctx, juliet, v1)
	ok(t, "RosterChanges", err)
	if !fine || len(got) != 2 || got[1].Removed || got[1].Item.JID != romeo || got[1].Version != v5 {
		t.Errorf("changes after an item came back: %+v", got)
	}
	for _, since := range []int64{0, v0 - 1, v5 + 1, -1} {
		got, current, fine, err := s.RosterChanges(ctx, juliet, since)
		ok(t, "RosterChanges", err)
		if fine || got != nil || current != v5 {
			t.Errorf("changes since %d: %+v, %d, %v", since, got, current, fine)
		}
	}
	_, _, fine, err = s.RosterChanges(ctx, nobody, 0)
	ok(t, "RosterChanges", err)
	if fine {
		t.Error("the changes of an account that does not exist are known")
	}
}

// testRosterForgets: the number of remembered removals is limited, and changes that include
// forgotten ones are reported as unknown.
func testRosterForgets(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	r, err := s.Roster(ctx, juliet)
	ok(t, "Roster", err)
	const n = 300
	for i := range n {
		contact := jid.MustParse(fmt.Sprintf("c%d@example.org", i))
		put(t, s, juliet, store.RosterItem{JID: contact})
		remove(t, s, juliet, contact)
	}
	_, current, fine, err := s.RosterChanges(ctx, juliet, r.Version)
	ok(t, "RosterChanges", err)
	if fine {
		t.Errorf("%d removed items are all remembered", n)
	}
	oldest := current
	for since := current; since >= r.Version; since-- {
		changes, _, fine, err := s.RosterChanges(ctx, juliet, since)
		ok(t, "RosterChanges", err)
		if !fine {
			break
		}
		// An item that was added and removed is one change of two versions.
		if want := int(current-since+1) / 2; len(changes) != want {
			t.Fatalf("%d changes since %d of %d", len(changes), since, current)
		}
		oldest = since
	}
	if current-oldest < 20 {
		t.Errorf("only %d versions are remembered", current-oldest)
	}
}

// testRosterRecreated: a roster version of a deleted account is not a version of the roster
// of a new account of the same name.
func testRosterRecreated(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	var old int64
	for range 3 {
		old = put(t, s, juliet, store.RosterItem{JID: romeo})
	}
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	create(t, s, juliet)
	r, err := s.Roster(ctx, juliet)
	ok(t, "Roster", err)
	if r.Items != nil || r.Requests != nil {
		t.Errorf("a new account has the roster %+v", r)
	}
	for range 6 {
		put(t, s, juliet, store.RosterItem{JID: nurse})
		_, _, fine, err := s.RosterChanges(ctx, juliet, old)
		ok(t, "RosterChanges", err)
		if fine {
			t.Fatal("a version of the former account's roster is accepted for the new account's")
		}
	}
}
