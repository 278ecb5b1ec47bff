package storetest

import (
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// testUse: lists have when accounts were used last, which is the later of their last activity
// and of the last day on which they were used.
func testUse(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse, romeo)
	day := func(n int) time.Time { return time.Unix(int64(n)*24*60*60, 0).UTC() }
	end := func(n int) time.Time { return day(n + 1).Add(-time.Second) }
	note := func(owner jid.JID, n store.Day, event int64) {
		t.Helper()
		ok(t, "NoteUse", s.NoteUse(ctx, []store.AccountUse{{Owner: owner, Day: n, Event: event}, {Owner: nobody, Day: n}}))
	}
	used := func(owner jid.JID, want time.Time, known store.Day) {
		t.Helper()
		var got time.Time
		ok(t, "EachAccount", store.EachAccount(ctx, s, "", func(a store.Account) error {
			if a.JID == owner {
				got = a.Used
			}
			return nil
		}))
		state, err := s.LoginState(ctx, owner)
		if ok(t, "LoginState", err); !got.Equal(want) || state.Used != known {
			t.Errorf("%v was used %v, and on day %d; want %v, %d", owner, got, state.Used, want, known)
		}
	}
	used(juliet, time.Time{}, 0)
	note(juliet, 20000, 0)
	used(juliet, end(20000), 20000)
	note(juliet, 19999, 0)
	used(juliet, end(20000), 20000)
	ok(t, "NoteUse", s.NoteUse(ctx, []store.AccountUse{{Owner: juliet, Day: 20003}, {Owner: juliet, Day: 20002}, {Owner: nurse, Day: 20005}}))
	used(juliet, end(20003), 20003)
	used(nurse, end(20005), 20005)
	ok(t, "NoteUse of nothing", s.NoteUse(ctx, nil))

	// The last activity counts as well.
	ok(t, "SetLastActivity", s.SetLastActivity(ctx, []store.LastActivity{{Owner: juliet, At: day(20004).Add(time.Second)}, {Owner: nurse, At: day(1)}, {Owner: romeo, At: day(9)}}))
	used(juliet, day(20004).Add(time.Second), 20003)
	used(nurse, end(20005), 20005)
	used(romeo, day(9), 0)

	// Messages do not change it.
	ok(t, "AppendOffline", s.AppendOffline(ctx, nurse, store.NewMessage{From: romeo, Stanza: []byte("m")}, store.OfflineQuota{}))
	state, err := s.LoginState(ctx, nurse)
	if ok(t, "LoginState", err); !state.HasOffline || state.Used != 20005 {
		t.Errorf("%+v", state)
	}

	// A new account of the same name was not used, also not by a session of the old one.
	a, err := s.Account(ctx, juliet)
	ok(t, "Account", err)
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	create(t, s, juliet)
	used(juliet, time.Time{}, 0)
	note(juliet, 20010, a.Event)
	used(juliet, time.Time{}, 0)
	b, err := s.Account(ctx, juliet)
	ok(t, "Account", err)
	note(juliet, 20010, b.Event)
	used(juliet, end(20010), 20010)
}
