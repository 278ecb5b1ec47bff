package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

func testAccounts(t *testing.T, s store.Store) {
	ctx := t.Context()
	created := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	ok(t, "CreateAccount", s.CreateAccount(ctx, store.Account{JID: juliet, Credentials: credentials(1), Created: created}))
	wants(t, "CreateAccount again", s.CreateAccount(ctx, store.Account{JID: juliet, Credentials: credentials(2)}), store.ErrExists)

	full := jid.MustParse("juliet@example.com/balcony")
	got, err := s.Account(ctx, full)
	ok(t, "Account", err)
	if got.JID != juliet || !same(got.Credentials, credentials(1)) || got.Disabled || !got.Created.Equal(created) {
		t.Errorf("Account = %+v", got)
	}
	setCredentials(t, s, juliet, credentials(3))
	ok(t, "SetDisabled", s.SetDisabled(ctx, juliet, true))
	got, err = s.Account(ctx, juliet)
	ok(t, "Account", err)
	if !same(got.Credentials, credentials(3)) || !got.Disabled {
		t.Errorf("Account = %+v", got)
	}
	ok(t, "SetDisabled", s.SetDisabled(ctx, juliet, false))
	got, err = s.Account(ctx, juliet)
	ok(t, "Account", err)
	if got.Disabled {
		t.Error("still disabled")
	}

	before := time.Now().Add(-2 * time.Second)
	create(t, s, romeo)
	got, err = s.Account(ctx, romeo)
	ok(t, "Account", err)
	if got.Created.Before(before) || got.Created.After(time.Now().Add(time.Second)) {
		t.Errorf("Created = %v by default", got.Created)
	}
}

func testNoAccount(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	_, err := s.Account(ctx, nobody)
	wants(t, "Account", err, store.ErrNotFound)
	_, err = s.SetCredentials(ctx, nobody, store.AnyEvent, credentials(1), false)
	wants(t, "SetCredentials", err, store.ErrNotFound)
	_, err = s.SetCredentials(ctx, nobody, 0, credentials(1), false)
	wants(t, "SetCredentials", err, store.ErrNotFound)
	wants(t, "AddKeys", s.AddKeys(ctx, nobody, store.AnyEvent, credentials(1)), store.ErrNotFound)
	wants(t, "SetDisabled", s.SetDisabled(ctx, nobody, true), store.ErrNotFound)
	wants(t, "DeleteAccount", s.DeleteAccount(ctx, nobody, store.AnyEvent), store.ErrNotFound)
	wants(t, "AppendOffline", s.AppendOffline(ctx, nobody, store.NewMessage{From: romeo, Stanza: []byte("x"), Received: time.Now()}, store.OfflineQuota{Messages: 10}), store.ErrNotFound)
	wants(t, "UpdateBlobs", putBlob(t, s, nobody, "vcard", "", []byte("x")), store.ErrNotFound)
	_, err = s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: nobody, Put: &store.RosterItem{JID: juliet}}})
	wants(t, "ApplyRoster", err, store.ErrNotFound)
	_, err = s.LastActivity(ctx, nobody)
	wants(t, "LastActivity", err, store.ErrNotFound)

	ok(t, "DeleteOffline", s.DeleteOffline(ctx, nobody, []int64{10}))
	state, err := s.LoginState(ctx, nobody)
	ok(t, "LoginState", err)
	if state.Roster.Version != 0 || state.Roster.Items != nil || state.Roster.Requests != nil || state.HasOffline {
		t.Errorf("LoginState = %+v", state)
	}
	msgs, more, err := s.Offline(ctx, nobody, 0, 1000)
	ok(t, "Offline", err)
	if len(msgs) != 0 || more {
		t.Errorf("Offline = %v, %v", msgs, more)
	}
	value, err := s.Blob(ctx, nobody, "vcard", "")
	ok(t, "Blob", err)
	if value != nil {
		t.Errorf("Blob = %q", value)
	}
}

func testListAccounts(t *testing.T, s store.Store) {
	ctx := t.Context()
	// In the order of domain and localpart, which is not that of the JID.
	all := []string{"a@a.example", "a-b@a.example", "a.b@a.example", "b@a.example", "a@b.example", "\u03c3@b.example"}
	for _, i := range []int{3, 1, 5, 0, 2, 4} {
		create(t, s, jid.MustParse(all[i]))
	}
	ok(t, "SetDisabled", s.SetDisabled(ctx, jid.MustParse("b@a.example"), true))
	f := func(domain string, limit int, want ...string) {
		t.Helper()
		var got []string
		var after jid.JID
		for {
			list, err := s.ListAccounts(ctx, domain, after, limit)
			ok(t, "ListAccounts", err)
			for _, a := range list {
				got = append(got, a.JID.String())
				after = a.JID
				if a.Disabled != (a.JID.String() == "b@a.example") {
					t.Errorf("%v: disabled = %v", a.JID, a.Disabled)
				}
				if a.Credentials.Hashes() != 0 || a.Created.IsZero() {
					t.Errorf("%+v", a)
				}
			}
			if len(list) > limit {
				t.Fatalf("%d accounts, limit %d", len(list), limit)
			}
			if len(list) < limit {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("accounts of %q by %d: %q", domain, limit, got)
		}
	}
	for _, limit := range []int{1, 2, 4, 100} {
		f("", limit, all...)
		f("a.example", limit, all[:4]...)
		f("b.example", limit, all[4:]...)
		f("c.example", limit)
	}
}

func testImportAccounts(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	ok(t, "SetDisabled", s.SetDisabled(ctx, juliet, true))
	batch := []store.Account{{JID: juliet, Credentials: credentials(5)}}
	for i := range 500 {
		batch = append(batch, store.Account{JID: jid.MustParse(fmt.Sprintf("user%d@example.com", i)), Credentials: credentials(6)})
	}
	f := func(mode store.ImportMode, created, existing int, want store.Credentials) {
		t.Helper()
		c, e, err := s.ImportAccounts(ctx, batch, mode)
		ok(t, "ImportAccounts", err)
		if c != created || e != existing {
			t.Errorf("ImportAccounts = %d, %d", c, e)
		}
		a, err := s.Account(ctx, juliet)
		ok(t, "Account", err)
		if !same(a.Credentials, want) || !a.Disabled {
			t.Errorf("Account = %+v", a)
		}
	}
	f(store.SkipExisting, 500, 1, credentials(1))
	f(store.SkipExisting, 0, 501, credentials(1))
	f(store.UpdateExisting, 0, 501, credentials(5))
	batch = batch[:1]
	f(store.SkipExisting, 0, 1, credentials(5))
}

func setCredentials(t *testing.T, s store.Store, j jid.JID, c store.Credentials) {
	t.Helper()
	_, err := s.SetCredentials(t.Context(), j, store.AnyEvent, c, false)
	ok(t, "SetCredentials", err)
}

func testAccountEvents(t *testing.T, s store.Store) {
	ctx := t.Context()
	last, err := s.LastAccountEvent(ctx)
	ok(t, "LastAccountEvent", err)
	if last != 0 {
		t.Errorf("LastAccountEvent = %d of an empty store", last)
	}
	create(t, s, juliet)
	setCredentials(t, s, juliet, credentials(2))
	ok(t, "SetDisabled", s.SetDisabled(ctx, juliet, true))
	ok(t, "SetDisabled", s.SetDisabled(ctx, juliet, false))
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	_, _, err = s.ImportAccounts(ctx, []store.Account{{JID: romeo, Credentials: credentials(1)}}, store.SkipExisting)
	ok(t, "ImportAccounts", err)
	_, _, err = s.ImportAccounts(ctx, []store.Account{{JID: romeo, Credentials: credentials(1)}}, store.UpdateExisting)
	ok(t, "ImportAccounts", err)
	_, _, err = s.ImportAccounts(ctx, []store.Account{{JID: romeo, Credentials: credentials(2)}}, store.UpdateQuietly)
	ok(t, "ImportAccounts", err)
	// Operations that fail are no events.
	s.CreateAccount(ctx, store.Account{JID: romeo})
	s.DeleteAccount(ctx, nobody, store.AnyEvent)

	type event struct {
		j jid.JID
		k store.EventKind
	}
	want := []event{
		{juliet, store.AccountCreated}, {juliet, store.CredentialsChanged}, {juliet, store.AccountDisabled},
		{juliet, store.AccountEnabled}, {juliet, store.AccountDeleted}, {romeo, store.AccountCreated}, {romeo, store.CredentialsChanged},
		{romeo, store.CredentialsRenewed},
	}
	var got []event
	var after int64
	for {
		list, err := s.AccountEvents(ctx, after, 3)
		ok(t, "AccountEvents", err)
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			if e.ID <= after || e.At.IsZero() {
				t.Errorf("event %+v after %d", e, after)
			}
			after = e.ID
			got = append(got, event{e.JID, e.Kind})
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	last, err = s.LastAccountEvent(ctx)
	ok(t, "LastAccountEvent", err)
	if last != after {
		t.Errorf("LastAccountEvent = %d, want %d", last, after)
	}
}

func testDeleteAccount(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	for _, owner := range []jid.JID{juliet, nurse} {
		put(t, s, owner, store.RosterItem{JID: romeo, Subscription: store.Both})
		r, err := s.Roster(ctx, owner)
		ok(t, "Roster", err)
		_, err = s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: owner, Expect: r.Version, AddRequest: &store.Request{From: nobody, Stanza: []byte("x"), Received: time.Now()}}})
		ok(t, "ApplyRoster", err)
		ok(t, "AppendOffline", s.AppendOffline(ctx, owner, store.NewMessage{From: romeo, Stanza: []byte("x"), Received: time.Now()}, store.OfflineQuota{Messages: 10}))
		ok(t, "UpdateBlobs", putBlob(t, s, owner, "vcard", "", []byte("x")))
		ok(t, "SetLastActivity", s.SetLastActivity(ctx, []store.LastActivity{{Owner: owner, At: time.Now()}}))
	}
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	wants(t, "DeleteAccount again", s.DeleteAccount(ctx, juliet, store.AnyEvent), store.ErrNotFound)
	_, err := s.Account(ctx, juliet)
	wants(t, "Account", err, store.ErrNotFound)
	create(t, s, juliet)

	f := func(owner jid.JID, want bool) {
		t.Helper()
		state, err := s.LoginState(ctx, owner)
		ok(t, "LoginState", err)
		if state.HasOffline != want || (len(state.Roster.Items) == 1) != want || (len(state.Roster.Requests) == 1) != want {
			t.Errorf("LoginState of %v = %+v", owner, state)
		}
		value, err := s.Blob(ctx, owner, "vcard", "")
		ok(t, "Blob", err)
		_, lerr := s.LastActivity(ctx, owner)
		if (value != nil) != want || (lerr == nil) != want {
			t.Errorf("of %v: blob %q, last %v", owner, value, lerr)
		}
	}
	f(juliet, false)
	f(nurse, true)
}

// testDeleteSubscriptions: a deletion ends the account's subscriptions in its contacts'
// rosters, which is a change of each. Everything else in them stays.
func testDeleteSubscriptions(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse, romeo, paris)
	put(t, s, juliet, store.RosterItem{JID: nurse, Subscription: store.Both})
	approved := put(t, s, paris, store.RosterItem{JID: juliet, Approved: true})
	put(t, s, juliet, store.RosterItem{JID: romeo, Ask: true})
	put(t, s, juliet, store.RosterItem{JID: nobody, Subscription: store.From})
	request := func(owner, from jid.JID) {
		t.Helper()
		r, err := s.Roster(ctx, owner)
		ok(t, "Roster", err)
		_, err = s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: owner, Expect: r.Version, AddRequest: &store.Request{From: from, Stanza: []byte("x"), Received: time.Now()}}})
		ok(t, "ApplyRoster", err)
	}
	request(romeo, juliet)
	request(romeo, nurse)
	put(t, s, nurse, store.RosterItem{JID: romeo, Subscription: store.To})
	before := put(t, s, nurse, store.RosterItem{JID: juliet, Name: "Juliet", Groups: []string{"g"}, Subscription: store.Both, Approved: true})
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))

	changes, current, fine, err := s.RosterChanges(ctx, nurse, before)
	ok(t, "RosterChanges", err)
	want := store.RosterItem{JID: juliet, Name: "Juliet", Groups: []string{"g"}, Version: current}
	if !fine || len(changes) != 1 || !reflect.DeepEqual(changes[0].Item, want) {
		t.Errorf("changes of the contact's roster: %+v, %v; want %+v", changes, fine, want)
	}
	// Pre-approved, but never subscribed.
	changes, current, _, err = s.RosterChanges(ctx, paris, approved)
	ok(t, "RosterChanges", err)
	if len(changes) != 1 || !reflect.DeepEqual(changes[0].Item, store.RosterItem{JID: juliet, Version: current}) {
		t.Errorf("changes of the approver's roster: %+v", changes)
	}
	r, err := s.Roster(ctx, romeo)
	ok(t, "Roster", err)
	if len(r.Requests) != 1 || r.Requests[0] != nurse.String() {
		t.Errorf("pending requests: %q, want that of %v", r.Requests, nurse)
	}
}

// testRegisterAccount: the name of a deleted account cannot be registered until the time is
// over, and can be created. A name that was forgotten is free.
func testRegisterAccount(t *testing.T, s store.Store) {
	ctx := t.Context()
	hour, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	f := func(desc string, j jid.JID, since time.Time, want error) {
		t.Helper()
		err := s.RegisterAccount(ctx, store.Account{JID: j, Credentials: credentials(1)}, since)
		if want != nil {
			wants(t, desc, err, want)
			return
		}
		ok(t, desc, err)
		a, err := s.Account(ctx, j)
		ok(t, "Account", err)
		if !reflect.DeepEqual(a.Credentials, credentials(1)) || a.Event == 0 || time.Since(a.Created) > time.Hour {
			t.Errorf("%s: %+v", desc, a)
		}
	}
	f("a new name", juliet, hour, nil)
	f("the same name", juliet, hour, store.ErrExists)
	create(t, s, nurse)
	for range 2 { // the second time after it was created again
		ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
		f("a deleted name", juliet, hour, store.ErrHeld)
		_, err := s.Account(ctx, juliet)
		wants(t, "Account", err, store.ErrNotFound)
		create(t, s, juliet)
		f("the name of an account", nurse, hour, store.ErrExists)
	}
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	wants(t, "DeleteAccount of nobody", s.DeleteAccount(ctx, nobody, store.AnyEvent), store.ErrNotFound)
	f("a name that never existed", nobody, hour, nil)
	f("a name deleted long ago", juliet, future, nil)
}
