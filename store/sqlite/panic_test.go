package sqlite

import (
	"testing"

	"roost/store"
)

// TestPanicInRead: a read that panics returns its connection to the pool.
func TestPanicInRead(t *testing.T) {
	s := openTest(t, Config{Readers: 1})
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		func() {
			defer func() { recover() }()
			_ = s.read(t.Context(), "Test", "panic", func(*conn) error { panic("in a read") })
		}()
	}
	if _, err := s.Account(t.Context(), juliet); err != nil {
		t.Error(err)
	}
}
