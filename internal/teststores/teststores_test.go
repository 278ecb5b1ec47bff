package teststores

import (
	"testing"

	"roost/jid"
	"roost/store"
	"roost/store/stores"
)

// TestKinds: each kind returns empty stores that are separate, and has a URL by which
// others can open the store if it is durable, and only then.
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
