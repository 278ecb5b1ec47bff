package server

import (
	"errors"
	"testing"
	"time"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
)

// TestForgetDeleted: a running server forgets the name of a deleted account when it need not
// be held any longer, without any other deletion or registration.
func TestForgetDeleted(t *testing.T) {
	juliet := jid.MustParse("juliet@localhost")
	start := func(t *testing.T, hold time.Duration) (register func() error) {
		t.Helper()
		tick := ticks(t, forgetEvery)
		s := startServer(t, func(c *Config) { c.XEP.HoldNames = hold })
		if err := s.store.DeleteAccount(t.Context(), juliet, store.AnyEvent); err != nil {
			t.Fatal(err)
		}
		return func() error {
			for range 2 { // the first is over when the second begins
				tick(forgetEvery)
			}
			keys, err := store.NewCredentials("secret", store.MinIterations)
			if err != nil {
				t.Fatal(err)
			}
			return s.store.RegisterAccount(t.Context(), store.Account{JID: juliet, Credentials: keys}, time.Now().Add(-time.Hour))
		}
	}
	t.Run("held", func(t *testing.T) {
		if err := start(t, 0)(); !errors.Is(err, store.ErrHeld) {
			t.Errorf("within the time: %v", err)
		}
	})
	t.Run("not held", func(t *testing.T) {
		register := start(t, -1)
		end := time.Now().Add(xmpptest.WaitLimit)
		err := register()
		for errors.Is(err, store.ErrHeld) && time.Now().Before(end) { // until the second in which it was deleted is over
			err = register()
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// TestForgetInvitations: a running server forgets invitations that ended a day ago, even if
// nobody creates another one. Bug: it knew forever who had been invited last.
func TestForgetInvitations(t *testing.T) {
	tick := ticks(t, forgetEvery)
	s := startServer(t, nil)
	now := time.Now()
	for id, ended := range map[string]time.Duration{"old": 25 * time.Hour, "new": 23 * time.Hour} {
		i := store.Invitation{ID: id, Domain: "localhost", Uses: 1, Created: now.Add(-48 * time.Hour), Until: now.Add(-ended)}
		if err := s.store.CreateInvitation(t.Context(), i, 10); err != nil {
			t.Fatal(err)
		}
	}
	for {
		tick(forgetEvery) // other goroutines may take it, too
		if _, err := s.store.Invitation(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
		_, err := s.store.Invitation(t.Context(), "old")
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		if err != nil || time.Since(now) > xmpptest.WaitLimit {
			t.Fatalf("it is still there: %v", err)
		}
	}
}

// TestOldMessages: a running server deletes messages that have waited for longer than OfflineDays.
func TestOldMessages(t *testing.T) {
	tick := ticks(t, expiryEvery)
	s := startServer(t, func(c *Config) { c.Router.OfflineDays = 1 })
	juliet := jid.MustParse("juliet@localhost")
	for _, age := range []time.Duration{25 * time.Hour, 23 * time.Hour} {
		m := store.NewMessage{From: juliet, Stanza: []byte("<message/>"), Received: time.Now().Add(-age)}
		if err := s.store.AppendOffline(t.Context(), juliet, m, store.OfflineQuota{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the first is over when the second begins
		tick(expiryEvery)
	}
	if n, err := s.store.CountOffline(t.Context(), juliet); err != nil || n != 1 {
		t.Errorf("%d messages are left, want 1, %v", n, err)
	}
}
