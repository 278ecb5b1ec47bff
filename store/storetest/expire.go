package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// testExpireOffline: messages that were received before a time are deleted, whoever they are
// for, some at a time; the others stay, and do not count towards a quota twice.
func testExpireOffline(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	at := func(second int) time.Time { return time.Unix(1e9+int64(second), 0) }
	quota := store.OfflineQuota{Messages: 20, SenderMessages: 20, Bytes: 200, SenderBytes: 200}
	add := func(owner jid.JID, second int, want error) {
		t.Helper()
		m := store.NewMessage{From: romeo, Stanza: fmt.Appendf(nil, "%10d", second), Received: at(second)}
		if err := s.AppendOffline(ctx, owner, m, quota); !errors.Is(err, want) {
			t.Errorf("AppendOffline: %v, want %v", err, want)
		}
	}
	left := func(owner jid.JID, want ...int) {
		t.Helper()
		msgs, _, err := s.Offline(ctx, owner, 0, 1<<20)
		ok(t, "Offline", err)
		var got []int
		for _, m := range msgs {
			got = append(got, int(m.Received.Unix()-1e9))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v has the messages %v, want %v", owner, got, want)
		}
	}
	expire := func(before, limit, want int) {
		t.Helper()
		n, err := s.ExpireOffline(ctx, at(before), limit)
		if ok(t, "ExpireOffline", err); n != want {
			t.Errorf("ExpireOffline before %d: %d, want %d", before, n, want)
		}
	}
	expire(1000, 10, 0)
	for second := range 20 {
		add(juliet, second, nil)
		if second%2 == 0 {
			add(nurse, second, nil)
		}
	}
	add(juliet, 20, store.ErrQuota)
	expire(0, 100, 0)
	expire(5, 100, 8) // juliet's 0 to 4, and the nurse's 0, 2 and 4
	left(juliet, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
	left(nurse, 6, 8, 10, 12, 14, 16, 18)
	for second := range 5 {
		add(juliet, 20+second, nil)
	}
	add(juliet, 25, store.ErrQuota)
	for _, want := range []int{10, 10, 2, 0} { // juliet's 5 to 19, and the nurse's others
		expire(20, 10, want)
	}
	left(nurse)
	left(juliet, 20, 21, 22, 23, 24)
	// Received long ago, but stored now, as by an import: a few others do not hide it.
	add(juliet, 1, nil)
	expire(20, 10, 1)
	left(juliet, 20, 21, 22, 23, 24)
	expire(1000, 100, 5)
	for second := range 20 {
		add(juliet, second, nil)
	}
	add(juliet, 20, store.ErrQuota)
}
