package storetest

import (
	"reflect"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// testGenerations: generations distinguish accounts of the same name, however soon one
// follows the other, and events belong to one of them.
func testGenerations(t *testing.T, s store.Store) {
	ctx := t.Context()
	read := func() store.Account {
		t.Helper()
		a, err := s.Account(ctx, juliet)
		ok(t, "Account", err)
		r, err := s.Roster(ctx, juliet)
		ok(t, "Roster", err)
		last, err := s.LastAccountEvent(ctx)
		ok(t, "LastAccountEvent", err)
		if a.Event != last || r.Generation != a.Generation {
			t.Errorf("account %d, %d; roster %d; the newest event is %d", a.Generation, a.Event, r.Generation, last)
		}
		return a
	}
	create(t, s, juliet)
	old := read()
	if old.Generation != old.Event {
		t.Errorf("generation %d, event %d of a new account", old.Generation, old.Event)
	}
	event, err := s.SetCredentials(ctx, juliet, store.AnyEvent, credentials(2), false)
	ok(t, "SetCredentials", err)
	changed := read()
	if changed.Generation != old.Generation || changed.Event != event || event <= old.Event {
		t.Errorf("after a change %d, %d: %d, %d", event, old.Event, changed.Generation, changed.Event)
	}
	// Credentials are replaced only if nothing has happened since the account was read.
	_, err = s.SetCredentials(ctx, juliet, old.Event, credentials(5), false)
	wants(t, "SetCredentials", err, store.ErrConflict)
	if same := read(); !reflect.DeepEqual(same, changed) {
		t.Errorf("replaced too late: %+v, was %+v", same, changed)
	}
	event, err = s.SetCredentials(ctx, juliet, changed.Event, credentials(6), false)
	ok(t, "SetCredentials", err)
	if replaced := read(); replaced.Event != event || event <= changed.Event || !reflect.DeepEqual(replaced.Credentials, credentials(6)) {
		t.Errorf("replaced by %d: %+v", event, replaced)
	}
	_, err = s.SetCredentials(ctx, juliet, event-1, credentials(3), true)
	wants(t, "SetCredentials", err, store.ErrConflict)
	_, err = s.SetCredentials(ctx, juliet, event, credentials(3), true)
	ok(t, "SetCredentials", err)
	ok(t, "SetDisabled", s.SetDisabled(ctx, juliet, true))
	if locked := read(); locked.Generation != old.Generation || locked.Event <= changed.Event {
		t.Errorf("locked: %d, %d", locked.Generation, locked.Event)
	}
	_, _, err = s.ImportAccounts(ctx, []store.Account{{JID: juliet, Credentials: credentials(4)}}, store.UpdateExisting)
	ok(t, "ImportAccounts", err)
	before := read().Event
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	deleted, err := s.LastAccountEvent(ctx)
	ok(t, "LastAccountEvent", err)
	create(t, s, juliet)
	if young := read(); young.Generation <= deleted || deleted <= before {
		t.Errorf("deleted by event %d: the next one is of generation %d", deleted, young.Generation)
	}

	// Writes of a session of the old account do not change the new one.
	update := func(generation int64) error {
		return s.UpdateBlobs(ctx, store.BlobSet{Owner: juliet, Generation: generation, Kind: "k"}, func(tx store.BlobTx) error {
			return tx.Put("key", []byte("old"))
		})
	}
	wants(t, "UpdateBlobs for the old account", update(old.Generation), store.ErrNotFound)
	value, err := s.Blob(ctx, juliet, "k", "key")
	ok(t, "Blob", err)
	if value != nil {
		t.Errorf("the new account has %q of the old one", value)
	}
	ok(t, "UpdateBlobs", update(read().Generation))
	at := time.Unix(1e9, 0).UTC()
	ok(t, "SetLastActivity", s.SetLastActivity(ctx, []store.LastActivity{{Owner: juliet, At: at, Event: before}}))
	_, err = s.LastActivity(ctx, juliet)
	wants(t, "LastActivity", err, store.ErrNotFound)
	ok(t, "SetLastActivity", s.SetLastActivity(ctx, []store.LastActivity{{Owner: juliet, At: at, Event: read().Event}}))
	if last, err := s.LastActivity(ctx, juliet); err != nil || !last.At.Equal(at) {
		t.Errorf("Last = %v, %v", last, err)
	}
}

// testEventContacts: EventContacts returns the accounts whose rosters a deletion changed,
// and what those had.
func testEventContacts(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse, romeo, paris)
	put(t, s, juliet, store.RosterItem{JID: nurse, Subscription: store.Both})
	put(t, s, nurse, store.RosterItem{JID: juliet, Name: "Juliet", Subscription: store.Both})
	put(t, s, paris, store.RosterItem{JID: juliet, Approved: true})
	put(t, s, juliet, store.RosterItem{JID: romeo, Ask: true, Subscription: store.From})
	put(t, s, romeo, store.RosterItem{JID: juliet, Subscription: store.To})
	put(t, s, juliet, store.RosterItem{JID: nobody, Subscription: store.From})
	request := func(owner, from jid.JID) {
		t.Helper()
		r, err := s.Roster(ctx, owner)
		ok(t, "Roster", err)
		_, err = s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: owner, Expect: r.Version, AddRequest: &store.Request{From: from, Stanza: []byte("x"), Received: time.Now()}}})
		ok(t, "ApplyRoster", err)
	}
	request(romeo, juliet)
	put(t, s, romeo, store.RosterItem{JID: nurse, Subscription: store.To}) // not concerned
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	event, err := s.LastAccountEvent(ctx)
	ok(t, "LastAccountEvent", err)

	want := []store.EventContact{
		{JID: nurse, Subscription: store.Both},
		{JID: paris, Approved: true},
		{JID: romeo, Subscription: store.To, Pending: true},
	}
	for _, limit := range []int{1, 2, 3, 10} {
		var got []store.EventContact
		var after jid.JID
		for {
			page, err := s.EventContacts(ctx, event, after, limit)
			ok(t, "EventContacts", err)
			if len(page) > limit {
				t.Errorf("%d contacts, the limit is %d", len(page), limit)
			}
			got = append(got, page...)
			if len(page) < limit {
				break
			}
			after = page[len(page)-1].JID
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d at a time: %+v, want %+v", limit, got, want)
		}
	}
	create(t, s, juliet)
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	event, err = s.LastAccountEvent(ctx)
	ok(t, "LastAccountEvent", err)
	if got, err := s.EventContacts(ctx, event, jid.JID{}, 10); err != nil || len(got) != 0 {
		t.Errorf("contacts of an account that had none: %+v, %v", got, err)
	}
}

// testDeleteUnchanged: an account is deleted only if its newest event is the one that the
// caller has read, and so never instead of an older account of the same name.
func testDeleteUnchanged(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	put(t, s, nurse, store.RosterItem{JID: juliet, Subscription: store.Both})
	event := func() int64 {
		t.Helper()
		a, err := s.Account(ctx, juliet)
		ok(t, "Account", err)
		return a.Event
	}
	refused := func(what string, was int64) {
		t.Helper()
		before := snapshot(t, s)
		wants(t, "DeleteAccount "+what, s.DeleteAccount(ctx, juliet, was), store.ErrConflict)
		if after := snapshot(t, s); after != before {
			t.Errorf("DeleteAccount %s has changed\n%s to\n%s", what, before, after)
		}
	}
	created := event()
	setCredentials(t, s, juliet, credentials(2))
	refused("whose credentials have changed", created)
	refused("at an event to come", event()+1)
	refused("at no event", 0)
	old := event()
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	create(t, s, juliet)
	refused("that was created anew", old)
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, event()))
	_, err := s.Account(ctx, juliet)
	wants(t, "Account", err, store.ErrNotFound)
	wants(t, "DeleteAccount again", s.DeleteAccount(ctx, juliet, old), store.ErrNotFound)
}
