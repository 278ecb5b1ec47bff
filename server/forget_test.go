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
