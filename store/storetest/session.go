package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"roost/store"
)

// sessionTest saves and takes sessions.
type sessionTest struct {
	*testing.T
	s store.Store
}

func (x sessionTest) put(all ...store.SavedSession) {
	x.Helper()
	ok(x.T, "PutSessions", x.s.PutSessions(x.Context(), all))
}

func (x sessionTest) count(want int) {
	x.Helper()
	n, err := x.s.CountSessions(x.Context())
	if ok(x.T, "CountSessions", err); n != want {
		x.Errorf("%d sessions, want %d", n, want)
	}
}

func (x sessionTest) took(data [][]byte, err error, want ...string) {
	x.Helper()
	ok(x.T, "taking sessions", err)
	var got []string
	for _, d := range data {
		got = append(got, string(d))
	}
	if !slices.Equal(got, want) {
		x.Errorf("took %q, want %q", got, want)
	}
}

func (x sessionTest) take(node string, maxBytes int, want ...string) {
	x.Helper()
	data, err := x.s.TakeSessions(x.Context(), node, maxBytes)
	x.took(data, err, want...)
}

func (x sessionTest) overdue(now int64, maxBytes int, want ...string) {
	x.Helper()
	data, err := x.s.TakeOverdueSessions(x.Context(), time.Unix(now, 0), maxBytes)
	x.took(data, err, want...)
}

func saved(node, data string) store.SavedSession {
	return store.SavedSession{Node: node, Data: []byte(data)}
}

// testSessions: each node takes its sessions once, in order, in batches of limited size.
func testSessions(t *testing.T, s store.Store) {
	x := sessionTest{t, s}
	x.take("", 100)
	lent := saved("", "one")
	x.put(lent, saved("", "\x00two"))
	copy(lent.Data, "!!!") // the store has a copy
	x.put(saved("b", "other"))
	x.put(saved("", strings.Repeat("3", 1000)), saved("", "four"))
	x.count(5)
	x.take("", 7, "one", "\x00two")
	x.take("", 7, strings.Repeat("3", 1000)) // larger than the limit
	x.put(saved("", "five"))
	x.count(3)
	x.take("a", 100)
	x.take("", 8, "four", "five")
	x.take("", 8)
	x.take("b", 8, "other")
	x.count(0)
}

// testTakeSession: a session of any node is found by its key, and all of an age can be taken
// from nodes that do not come back.
func testTakeSession(t *testing.T, s store.Store) {
	x := sessionTest{t, s}
	add := func(node, key, data string, until int64) {
		t.Helper()
		session := saved(node, data)
		session.Key = key
		if until != 0 {
			session.Until = time.Unix(until, 0)
		}
		x.put(session)
	}
	find := func(key, want string) {
		t.Helper()
		data, err := s.TakeSession(t.Context(), key)
		if want == "" {
			wants(t, "TakeSession", err, store.ErrNotFound)
		} else {
			ok(t, "TakeSession", err)
		}
		if string(data) != want {
			t.Errorf("took %q, want %q", data, want)
		}
	}
	find("k1", "")
	add("a", "k1", "one", 1e9)
	add("a", "k2", "two", 1e9+2)
	add("b", "K1", "three", 1e9+1)
	add("b", "", "block", 0)
	find("", "")
	find("k1", "one")
	find("k1", "")
	x.overdue(1e9, 100)
	x.overdue(1e9+1, 100, "three")
	add("b", "k2", "two again", 1e9+3)
	find("k2", "two again") // and the other is gone
	x.overdue(2e9, 100)
	for _, data := range []string{"4", "5", "6"} {
		add("c", "k"+data, data, 1e9)
	}
	x.overdue(1e9, 2, "4", "5")
	x.take("c", 100, "6")
	x.take("b", 100, "block")
	x.count(0)
}
