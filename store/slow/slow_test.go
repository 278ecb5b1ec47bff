package slow

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
	"roost/store/sqlite"
	"roost/store/storetest"
)

func open(t *testing.T) store.Store {
	t.Helper()
	inner, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), sqlite.FileName)})
	if err != nil {
		t.Fatal(err)
	}
	return New(inner)
}

// TestConformance: a wrapped store is a store.
func TestConformance(t *testing.T) { storetest.Run(t, open) }

func TestFaults(t *testing.T) {
	s := open(t).(*Store)
	defer s.Close()
	juliet := jid.MustParse("juliet@example.com")
	account := func() error { _, err := s.Account(t.Context(), juliet); return err }

	disk := errors.New("the disk is on fire")
	s.SetFault(func(method string) error {
		if method == "Account" {
			return disk
		}
		return nil
	})
	if err := account(); !errors.Is(err, disk) {
		t.Error(err)
	}
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Error(err)
	}
	s.SetFault(nil)
	if err := account(); err != nil {
		t.Error(err)
	}
	if s.Calls("Account") != 2 || s.Calls("CreateAccount") != 1 || s.Calls("Last") != 0 || s.Total() != 3 {
		t.Errorf("%d calls, %d of Account", s.Total(), s.Calls("Account"))
	}

	release := s.Stop()
	done := make(chan error)
	go func() { done <- account() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Last(ctx, juliet); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for s.Active() != 1 {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-done:
		t.Errorf("a stopped store has answered: %v", err)
	default:
	}
	release()
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}

	s.SetDelay(time.Hour)
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := s.LoginState(ctx, juliet); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.SetDelay(time.Millisecond)
	if err := account(); err != nil {
		t.Error(err)
	}
	if s.Active() != 0 {
		t.Errorf("%d calls are under way", s.Active())
	}
}
