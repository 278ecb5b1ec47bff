package slow

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
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

	s.SetDelay(time.Millisecond)
	if err := account(); err != nil {
		t.Error(err)
	}
	if s.Active() != 0 {
		t.Errorf("%d calls are under way", s.Active())
	}
}

// TestReads: StopWrites stops those methods that commit a transaction, and no others.
func TestReads(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), sqlite.FileName)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	stopped, fault := New(nil), errors.New("no store is wrapped")
	stopped.SetFault(func(string) error { return fault })
	defer stopped.StopWrites()()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	// call calls a method with zero values, and returns its error.
	call := func(s store.Store, ctx context.Context, method reflect.Method) error {
		args := []reflect.Value{reflect.ValueOf(ctx)}
		for i := 1; i < method.Type.NumIn(); i++ {
			args = append(args, reflect.Zero(method.Type.In(i)))
		}
		results := reflect.ValueOf(s).MethodByName(method.Name).Call(args)
		err, _ := results[len(results)-1].Interface().(error)
		return err
	}
	for method := range reflect.TypeFor[store.Store]().Methods() {
		if method.Name == "Close" {
			continue
		}
		before := db.Commits()
		_ = call(db, t.Context(), method) // what comes of it does not matter
		want := fault
		if db.Commits() > before {
			want = context.Canceled
		}
		if err := call(stopped, gone, method); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", method.Name, err, want)
		}
		if n := stopped.Calls(method.Name); n != 1 {
			t.Errorf("%d calls of %s were counted", n, method.Name)
		}
	}
	if stopped.Calls("Account") != 1 || stopped.Calls("PutBlobs") != 1 {
		t.Error("not all methods were called")
	}
}

// TestWaits: calls of a stopped store wait until it goes on, those of a slow one as
// long as it was told, and neither longer than their context.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, juliet, fault := New(nil), jid.MustParse("juliet@example.com"), errors.New("no store is wrapped")
		s.SetFault(func(string) error { return fault })
		account := func() error { _, err := s.Account(t.Context(), juliet); return err }

		release := s.Stop()
		done := make(chan error, 1)
		go func() { done <- account() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // virtual
		defer cancel()
		if _, err := s.Last(ctx, juliet); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		if n := s.Active(); n != 1 || len(done) != 0 {
			t.Errorf("%d calls of a stopped store wait, %d have returned; want one that waits", n, len(done))
		}
		release()
		release()
		if err := <-done; !errors.Is(err, fault) {
			t.Error(err)
		}

		s.SetDelay(time.Hour)
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if _, err := s.LoginState(ctx, juliet); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		began := time.Now()
		if err := account(); !errors.Is(err, fault) {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Hour {
			t.Errorf("a call took %v, want %v", took, time.Hour)
		}
	})
}
