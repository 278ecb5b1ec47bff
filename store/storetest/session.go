package storetest

import (
	"slices"
	"strings"
	"testing"

	"roost/store"
)

// testSessions: units of sessions are returned once, in order, in batches of limited size.
func testSessions(t *testing.T, s store.Store) {
	ctx := t.Context()
	count := func(want int) {
		t.Helper()
		n, err := s.CountSessions(ctx)
		if ok(t, "CountSessions", err); n != want {
			t.Errorf("%d units, want %d", n, want)
		}
	}
	take := func(maxBytes int, want ...string) {
		t.Helper()
		units, err := s.TakeSessions(ctx, maxBytes)
		ok(t, "TakeSessions", err)
		var got []string
		for _, u := range units {
			got = append(got, string(u))
		}
		if !slices.Equal(got, want) {
			t.Errorf("took %q, want %q", got, want)
		}
	}
	take(100)
	lent := []byte("one")
	ok(t, "PutSessions", s.PutSessions(ctx, [][]byte{lent, []byte("\x00two")}))
	copy(lent, "!!!") // the store has a copy
	ok(t, "PutSessions", s.PutSessions(ctx, [][]byte{[]byte(strings.Repeat("3", 1000)), []byte("four")}))
	count(4)
	take(7, "one", "\x00two")
	take(7, strings.Repeat("3", 1000)) // larger than the limit
	ok(t, "PutSessions", s.PutSessions(ctx, [][]byte{[]byte("five")}))
	count(2)
	take(8, "four", "five")
	take(8)
	count(0)
}
