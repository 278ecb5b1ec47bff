package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// failure is a call that returns an error which the interface documents.
type failure struct {
	method, name string // of the interface, of the error
	err          error
	bare         bool // the error has no context
	call         func(ctx context.Context, s *fixture) error
}

// failures has each error that the documentation of a method names. The last one closes
// the store.
var failures = []failure{
	// Without context: formatting takes time, which would tell whether the account exists.
	{"Account", "ErrNotFound", store.ErrNotFound, true, func(ctx context.Context, s *fixture) error {
		_, err := s.Account(ctx, nobody)
		return err
	}},
	{"CreateAccount", "ErrExists", store.ErrExists, false, func(ctx context.Context, s *fixture) error {
		return s.CreateAccount(ctx, store.Account{JID: juliet, Credentials: credentials(2)})
	}},
	{"RegisterAccount", "ErrExists", store.ErrExists, false, func(ctx context.Context, s *fixture) error {
		return s.RegisterAccount(ctx, store.Account{JID: juliet, Credentials: credentials(2)}, time.Unix(1e9, 0))
	}},
	{"RegisterAccount", "ErrHeld", store.ErrHeld, false, func(ctx context.Context, s *fixture) error {
		return s.RegisterAccount(ctx, store.Account{JID: gone, Credentials: credentials(2)}, time.Unix(1e9, 0))
	}},
	{"SetCredentials", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		_, err := s.SetCredentials(ctx, nobody, store.AnyEvent, credentials(2), true)
		return err
	}},
	{"SetCredentials", "ErrConflict", store.ErrConflict, false, func(ctx context.Context, s *fixture) error {
		_, err := s.SetCredentials(ctx, juliet, s.event+1, credentials(2), false)
		return err
	}},
	{"AddKeys", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		return s.AddKeys(ctx, nobody, store.AnyEvent, credentials(2))
	}},
	{"AddKeys", "ErrConflict", store.ErrConflict, false, func(ctx context.Context, s *fixture) error {
		return s.AddKeys(ctx, juliet, s.event+1, credentials(2))
	}},
	{"SetDisabled", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		return s.SetDisabled(ctx, nobody, true)
	}},
	{"DeleteAccount", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		return s.DeleteAccount(ctx, nobody, store.AnyEvent)
	}},
	{"DeleteAccount", "ErrConflict", store.ErrConflict, false, func(ctx context.Context, s *fixture) error {
		return s.DeleteAccount(ctx, juliet, s.event+1)
	}},
	{"DeleteUnused", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		return s.DeleteUnused(ctx, nobody, time.Unix(2e9, 0), time.Unix(2e9, 0))
	}},
	{"DeleteUnused", "ErrConflict", store.ErrConflict, false, func(ctx context.Context, s *fixture) error {
		return s.DeleteUnused(ctx, juliet, time.Unix(1e9, 0), time.Unix(2e9, 0))
	}},
	{"ApplyRoster", "ErrConflict", store.ErrConflict, false, func(ctx context.Context, s *fixture) error {
		_, err := s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: juliet, Expect: s.version - 1, Put: &store.RosterItem{JID: paris}}})
		return err
	}},
	{"ApplyRoster", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		_, err := s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: nobody, Put: &store.RosterItem{JID: paris}}})
		return err
	}},
	{"ApplyRoster", "ErrLongKey", store.ErrLongKey, false, func(ctx context.Context, s *fixture) error {
		_, err := s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: juliet, Expect: s.version, Put: &store.RosterItem{JID: longAddress(store.MaxKey + 1)}}})
		return err
	}},
	{"CreateAccounts", "ErrLongKey", store.ErrLongKey, false, func(ctx context.Context, s *fixture) error {
		item := store.RosterItem{JID: longAddress(store.MaxKey + 1)}
		_, err := s.CreateAccounts(ctx, []store.AccountData{{Account: store.Account{JID: nobody}, Roster: []store.RosterItem{item}}})
		return err
	}},
	{"AppendOffline", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		return s.AppendOffline(ctx, nobody, store.NewMessage{From: romeo, Stanza: []byte("2")}, store.OfflineQuota{})
	}},
	{"AppendOffline", "ErrQuota", store.ErrQuota, false, func(ctx context.Context, s *fixture) error {
		return s.AppendOffline(ctx, juliet, store.NewMessage{From: paris, Stanza: []byte("2")}, store.OfflineQuota{Messages: 1})
	}},
	{"AppendOffline", "ErrBlocked", store.ErrBlocked, false, func(ctx context.Context, s *fixture) error {
		return s.AppendOffline(ctx, juliet, store.NewMessage{From: jid.MustParse("a@spam.example"), Stanza: []byte("<message/>")}, store.OfflineQuota{})
	}},
	{"AppendOffline", "ErrContactQuota", store.ErrContactQuota, false, func(ctx context.Context, s *fixture) error {
		return s.AppendOffline(ctx, juliet, store.NewMessage{From: romeo, Stanza: []byte("2")}, store.OfflineQuota{Messages: 1})
	}},
	{"TakeSession", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		_, err := s.TakeSession(ctx, "no such key")
		return err
	}},
	{"UpdateBlobs", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		return s.UpdateBlobs(ctx, store.BlobSet{Owner: nobody, Kind: "k"}, func(tx store.BlobTx) error { return tx.Put("a", []byte("2")) })
	}},
	{"UpdateBlobs", "ErrQuota", store.ErrQuota, false, func(ctx context.Context, s *fixture) error {
		set := store.BlobSet{Owner: juliet, Kind: "k", Quota: store.BlobQuota{Values: 1}}
		return s.UpdateBlobs(ctx, set, func(tx store.BlobTx) error { return tx.Put("b", []byte("2")) })
	}},
	{"LastActivity", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		_, err := s.LastActivity(ctx, nurse)
		return err
	}},
	{"PutBlock", "ErrQuota", store.ErrQuota, false, func(ctx context.Context, s *fixture) error {
		return s.PutBlock(ctx, store.Block{Target: "198.51.100.0/24"}, 1)
	}},
	{"DeleteBlock", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		return s.DeleteBlock(ctx, "198.51.100.0/24")
	}},
	{"CreateInvitation", "ErrExists", store.ErrExists, false, func(ctx context.Context, s *fixture) error {
		i := invitation("2")
		i.Localpart = juliet.Local()
		return s.CreateInvitation(ctx, i, 10)
	}},
	{"CreateInvitation", "ErrQuota", store.ErrQuota, false, func(ctx context.Context, s *fixture) error {
		return s.CreateInvitation(ctx, invitation("2"), 1)
	}},
	{"Invitation", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		_, err := s.Invitation(ctx, "2")
		return err
	}},
	{"DeleteInvitation", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		return s.DeleteInvitation(ctx, "2")
	}},
	{"RegisterInvited", "ErrNotFound", store.ErrNotFound, false, func(ctx context.Context, s *fixture) error {
		return s.RegisterInvited(ctx, store.Account{JID: paris}, "2", time.Unix(1e9, 0), nil)
	}},
	{"RegisterInvited", "ErrExists", store.ErrExists, false, func(ctx context.Context, s *fixture) error {
		return s.RegisterInvited(ctx, store.Account{JID: juliet}, invited.ID, time.Unix(1e9, 0), nil)
	}},
	{"RegisterInvited", "ErrHeld", store.ErrHeld, false, func(ctx context.Context, s *fixture) error {
		return s.RegisterInvited(ctx, store.Account{JID: gone}, invited.ID, time.Unix(1e9, 0), nil)
	}},
	{"RegisterInvited", "ErrConflict", store.ErrConflict, false, func(ctx context.Context, s *fixture) error {
		contact := &store.RosterUpdate{Owner: juliet, Expect: s.version - 1, Put: &store.RosterItem{JID: paris}}
		return s.RegisterInvited(ctx, store.Account{JID: paris}, invited.ID, time.Unix(1e9, 0), contact)
	}},
	{"Close", "ErrClosed", store.ErrClosed, false, func(ctx context.Context, s *fixture) error {
		if err := s.Close(); err != nil {
			return err
		}
		_, err := s.Account(ctx, juliet)
		return err
	}},
}

// testErrors: each documented error is returned, is no other error too, says what was being
// done, and nothing has changed.
func testErrors(t *testing.T, l store.Location) {
	s := newFixture(t, l, store.Options{})
	reader := open(t, l, store.Options{})
	before := snapshot(t, reader)
	for _, f := range failures {
		err := f.call(t.Context(), s)
		wants(t, f.method, err, f.err)
		for _, other := range failures {
			if errors.Is(err, other.err) && !errors.Is(f.err, other.err) {
				t.Errorf("%s: the error %q is %s too", f.method, err, other.name)
			}
		}
		if err != nil && !f.bare && (!strings.HasPrefix(err.Error(), "store: ") || err.Error() == "store: "+f.err.Error()) {
			t.Errorf("%s: the error %q does not say what was being done", f.method, err)
		}
		var re *store.RosterError
		if isRoster := f.method == "ApplyRoster" && f.name != "ErrLongKey"; errors.As(err, &re) != isRoster || isRoster && re.Index != 0 {
			t.Errorf("%s: the error %q is a *RosterError: %v", f.method, err, re)
		}
		if snapshot(t, reader) != before {
			t.Fatalf("%s has failed with %v and has changed the store", f.method, err)
		}
	}
}
