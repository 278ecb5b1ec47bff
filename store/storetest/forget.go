package storetest

import (
	"fmt"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// testForgetDeleted: names of deleted accounts and events are forgotten when they are old
// enough, except the newest event.
func testForgetDeleted(t *testing.T, s store.Store) {
	ctx := t.Context()
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	ok(t, "ForgetDeleted of nothing", s.ForgetDeleted(ctx, future, future))
	create(t, s, juliet, nurse)
	put(t, s, juliet, store.RosterItem{JID: nurse, Subscription: store.Both})
	put(t, s, nurse, store.RosterItem{JID: juliet, Subscription: store.Both})
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	events := func() []store.AccountEvent {
		t.Helper()
		all, err := s.AccountEvents(ctx, 0, 100)
		ok(t, "AccountEvents", err)
		return all
	}
	held := func() bool {
		t.Helper()
		a := store.Account{JID: juliet, Credentials: credentials(1)}
		err := s.RegisterAccount(ctx, a, past)
		if err != nil {
			wants(t, "RegisterAccount", err, store.ErrHeld)
		}
		return err != nil
	}
	before := events()
	ok(t, "ForgetDeleted", s.ForgetDeleted(ctx, past, past))
	if got := events(); len(got) != 3 || !held() {
		t.Errorf("what is not old enough was forgotten: %v", got)
	}
	ok(t, "ForgetDeleted", s.ForgetDeleted(ctx, past, future))
	if got := events(); len(got) != 1 || got[0] != before[2] || !held() {
		t.Errorf("events %v, want the newest of %v", got, before)
	}
	contacts, err := s.EventContacts(ctx, before[2].ID, jid.JID{}, 10)
	ok(t, "EventContacts", err)
	if len(contacts) != 1 {
		t.Errorf("contacts of the newest event: %v", contacts)
	}
	if last, err := s.LastAccountEvent(ctx); err != nil || last != before[2].ID {
		t.Errorf("the newest event is %d, %v; want %d", last, err, before[2].ID)
	}
	ok(t, "ForgetDeleted", s.ForgetDeleted(ctx, future, past))
	if held() {
		t.Error("the name was not forgotten")
	}
	if got := events(); len(got) != 2 || got[1].ID <= before[2].ID {
		t.Errorf("after the next event: %v", got)
	}
	ok(t, "ForgetDeleted", s.ForgetDeleted(ctx, future, future))
	if contacts, err := s.EventContacts(ctx, before[2].ID, jid.JID{}, 10); err != nil || len(contacts) != 0 {
		t.Errorf("contacts of an event that was forgotten: %v, %v", contacts, err)
	}
}

// testForgetMany: many events are forgotten in several transactions, and so are the contacts of
// a few events.
func testForgetMany(t *testing.T, s store.Store) {
	ctx := t.Context()
	const accounts = 2500
	future := time.Now().Add(time.Hour)
	commits := func() int64 {
		if b, ok := s.(store.Batches); ok {
			return b.BatchStats().Commits
		}
		return 0
	}
	forget := func(want int64) {
		t.Helper()
		last, err := s.LastAccountEvent(ctx)
		ok(t, "LastAccountEvent", err)
		before := commits()
		ok(t, "ForgetDeleted", s.ForgetDeleted(ctx, future, future))
		events, err := s.AccountEvents(ctx, 0, 10)
		ok(t, "AccountEvents", err)
		if len(events) != 1 || events[0].ID != last {
			t.Errorf("the events %v are left, want %d", events, last)
		}
		if n := commits() - before; before > 0 && n != want {
			t.Errorf("%d transactions, want %d", n, want)
		}
	}
	var many []store.Account
	var data []store.AccountData
	for i := range accounts {
		a := store.Account{JID: jid.MustParse(fmt.Sprintf("u%d@example.com", i)), Credentials: credentials(1)}
		many = append(many, a)
		data = append(data, store.AccountData{Account: a})
	}
	_, err := s.CreateAccounts(ctx, data)
	ok(t, "CreateAccounts", err)
	forget(3)
	create(t, s, juliet)
	var updates []store.RosterUpdate
	for _, a := range many[:1200] {
		r, err := s.Roster(ctx, a.JID)
		ok(t, "Roster", err)
		updates = append(updates, store.RosterUpdate{Owner: a.JID, Expect: r.Version, Put: &store.RosterItem{JID: juliet, Approved: true}})
	}
	_, err = s.ApplyRoster(ctx, updates)
	ok(t, "ApplyRoster", err)
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	create(t, s, nurse, romeo)
	forget(2)
}
