package storetest

import (
	"errors"
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

// testDeleteUnused: an account is deleted only if it was not used since, or never and is old.
func testDeleteUnused(t *testing.T, s store.Store) {
	ctx := t.Context()
	created := time.Unix(1e9, 0).UTC()
	for i, f := range []struct {
		day           store.Day
		active        int64
		unused, never time.Time
		want          error
	}{
		{0, 0, created.Add(time.Hour), created, store.ErrConflict},
		{0, 0, time.Time{}, created.Add(time.Second), nil},
		{0, 0, created.Add(time.Hour), time.Time{}, store.ErrConflict},
		{20000, 0, store.Day(20000).End(), created.Add(time.Hour), store.ErrConflict},
		{20000, 0, store.Day(20000).End().Add(time.Second), time.Time{}, nil},
		{20000, 0, time.Time{}, time.Unix(2e9, 0), store.ErrConflict},
		{0, 1.5e9, time.Unix(1.5e9, 0), time.Unix(2e9, 0), store.ErrConflict},
		{0, 1.5e9, time.Unix(1.5e9+1, 0), time.Time{}, nil},
		{17000, 1.5e9, time.Unix(1.5e9, 0), time.Time{}, store.ErrConflict},
		{17000, 1.5e9, time.Unix(1.5e9+1, 0), time.Time{}, nil},
	} {
		ok(t, "CreateAccount", s.CreateAccount(ctx, store.Account{JID: juliet, Created: created}))
		if f.day > 0 {
			ok(t, "NoteUse", s.NoteUse(ctx, []store.AccountUse{{Owner: juliet, Day: f.day}}))
		}
		if f.active > 0 {
			ok(t, "SetLastActivity", s.SetLastActivity(ctx, []store.LastActivity{{Owner: juliet, At: time.Unix(f.active, 0)}}))
		}
		if err := s.DeleteUnused(ctx, juliet, f.unused, f.never); !errors.Is(err, f.want) || f.want == nil && err != nil {
			t.Errorf("%d: %v, want %v", i, err, f.want)
		}
		_, err := s.Account(ctx, juliet)
		if gone := errors.Is(err, store.ErrNotFound); gone != (f.want == nil) {
			t.Errorf("%d: the account is gone: %v", i, gone)
		}
		if f.want != nil {
			ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
		}
	}
}
