package teststores

import (
	"testing"

	"go.uber.org/goleak"

	"roost/jid"
	"roost/store"
	"roost/store/stores"
)

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestKinds: each kind gives empty stores that are not the same, and what is said of
// its durability is true of its URL.
func TestKinds(t *testing.T) {
	juliet := jid.MustParse("juliet@example.com")
	create := func(t *testing.T, l store.Location) store.Store {
		t.Helper()
		s, err := l.Open(t.Context(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
			t.Error(err)
		}
		return s
	}
	Run(t, func(t *testing.T, k Kind) {
		for range 2 {
			if err := create(t, k.New(t)).Close(); err != nil {
				t.Error(err)
			}
		}
		if k.Durable != (k.URL != nil) {
			t.Fatalf("durable: %v, with a URL: %v", k.Durable, k.URL != nil)
		}
		if !k.Durable {
			return
		}
		url := k.URL(t)
		l, err := stores.Locate(url)
		if err != nil {
			t.Fatal(err)
		}
		if err := create(t, l).Close(); err != nil {
			t.Error(err)
		}
		s, err := stores.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Account(t.Context(), juliet); err != nil {
			t.Error(err)
		}
	})
}
