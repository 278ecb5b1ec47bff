package postgres

import (
	"testing"

	"roost/internal/pgtest"
	"roost/store"
)

// TestInspectSlow: the time limit of statements is not that of counting the accounts.
func TestInspectSlow(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	s := openTest(t, url, Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(1)}); err != nil {
		t.Fatal(err)
	}
	unlock := lockTable(t, s, "account", "ACCESS EXCLUSIVE")
	ended := make(chan struct{})
	var i store.Inspection
	var err error
	go func() {
		defer close(ended)
		i, err = location{url + "&statement_timeout=1"}.Inspect(t.Context())
	}()
	waitsFor(t, s, "account", ended)
	unlock()
	if <-ended; err != nil || i.Accounts != 1 {
		t.Errorf("%+v, %v", i, err)
	}
}
