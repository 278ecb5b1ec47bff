package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

func testOfflineQuota(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	add := func(owner jid.JID, want error) {
		t.Helper()
		wants(t, "AppendOffline", s.AppendOffline(ctx, owner, store.NewMessage{From: romeo, Stanza: []byte("x"), Received: time.Now()}, store.OfflineQuota{Messages: 3}), want)
	}
	for range 3 {
		add(juliet, nil)
	}
	add(juliet, store.ErrQuota)
	full := func(want bool) {
		t.Helper()
		m := store.NewMessage{From: jid.MustParse(romeo.BareString() + "/r"), Stanza: []byte("x"), Received: time.Now()}
		for _, quota := range []store.OfflineQuota{{Messages: 3}, {SenderMessages: 3}} {
			if err := s.AppendOffline(ctx, juliet, m, quota); !errors.Is(err, store.ErrQuota) || errors.Is(err, store.ErrContactQuota) != want {
				t.Errorf("%v; the sender is in the roster: %v", err, want)
			}
		}
	}
	full(false)
	put(t, s, juliet, store.RosterItem{JID: romeo})
	full(true)
	add(nurse, nil)
	msgs, _, err := s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, idsOf(msgs[:2])))
	add(juliet, nil)
	add(juliet, nil)
	add(juliet, store.ErrQuota)
	// 0 means no limit.
	ok(t, "AppendOffline without a quota", s.AppendOffline(ctx, juliet, store.NewMessage{From: romeo, Stanza: []byte("x")}, store.OfflineQuota{}))
}

// testOfflineBytes: the quota limits bytes as well as messages, and deleting messages frees
// their bytes.
func testOfflineBytes(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	add := func(owner jid.JID, size int, want error) {
		t.Helper()
		m := store.NewMessage{From: romeo, Stanza: make([]byte, size), Received: time.Now()}
		wants(t, "AppendOffline", s.AppendOffline(ctx, owner, m, store.OfflineQuota{Bytes: 1000}), want)
	}
	add(juliet, 1001, store.ErrQuota)
	add(juliet, 400, nil)
	add(juliet, 300, nil)
	add(juliet, 301, store.ErrQuota)
	add(juliet, 300, nil)
	add(juliet, 1, store.ErrQuota)
	add(nurse, 1000, nil)
	msgs, _, err := s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, []int64{msgs[0].ID}))
	add(juliet, 401, store.ErrQuota)
	add(juliet, 400, nil)
	msgs, _, err = s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, idsOf(msgs)))
	add(juliet, 1000, nil)
}

// testOfflineSenders: the messages of each sender to one recipient are limited too, which
// leaves space for other senders.
func testOfflineSenders(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	quota := store.OfflineQuota{Messages: 8, Bytes: 1000, SenderMessages: 4, SenderBytes: 500}
	add := func(owner jid.JID, from string, size int, want error) {
		t.Helper()
		m := store.NewMessage{From: jid.MustParse(from), Stanza: make([]byte, size), Received: time.Now()}
		wants(t, "AppendOffline from "+from, s.AppendOffline(ctx, owner, m, quota), want)
	}
	add(juliet, "flood@example.net/a", 501, store.ErrQuota)
	add(juliet, "romeo@example.net/x", 10, nil)
	for range 2 {
		add(juliet, "flood@example.net/a", 10, nil)
		add(juliet, "flood@example.net/b", 10, nil) // another resource is the same sender
	}
	add(juliet, "flood@example.net/c", 10, store.ErrQuota)
	add(nurse, "flood@example.net/a", 10, nil)
	add(juliet, "romeo@example.net/x", 480, nil)
	add(juliet, "romeo@example.net/x", 11, store.ErrQuota)
	add(juliet, "paris@example.com", 400, nil)
	// The first message is romeo's, the next four are the flood's.
	msgs, _, err := s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, []int64{msgs[0].ID}))
	add(juliet, "flood@example.net/a", 1, store.ErrQuota)
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, []int64{msgs[1].ID}))
	add(juliet, "flood@example.net/a", 1, nil)
	add(juliet, "flood@example.net/a", 1, store.ErrQuota)
	add(juliet, "romeo@example.net", 11, nil)
	// Seven messages, 922 bytes: less is left for all senders than for one.
	add(juliet, "nurse@example.com", 100, store.ErrQuota)
	add(juliet, "nurse@example.com", 60, nil)
	add(juliet, "nurse@example.com", 1, store.ErrQuota)
}

// testOfflineModel: after any sequence of appends and deletions, in the middle too, a message is refused if and
// only if a simple model refuses it.
func testOfflineModel(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	type message struct{ from, size int }
	var waiting []message
	quota := store.OfflineQuota{Messages: 60, Bytes: 30_000, SenderMessages: 25, SenderBytes: 15_000}
	rnd := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for step := range 1500 {
		if rnd.IntN(60) == 0 && len(waiting) > 0 {
			msgs, _, err := s.Offline(ctx, juliet, 0, 1<<20)
			ok(t, "Offline", err)
			from := rnd.IntN(2) * rnd.IntN(len(msgs)) // half of the time the oldest ones
			to := from + 1 + rnd.IntN(len(msgs)-from)
			ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, idsOf(msgs[from:to])))
			waiting = slices.Delete(waiting, from, to)
			continue
		}
		m := message{from: rnd.IntN(4) * rnd.IntN(2), size: rnd.IntN(1200)}
		count, bytes, ofSender, bytesOfSender := 1, m.size, 1, m.size
		for _, w := range waiting {
			count, bytes = count+1, bytes+w.size
			if w.from == m.from {
				ofSender, bytesOfSender = ofSender+1, bytesOfSender+w.size
			}
		}
		var want error
		if count > quota.Messages || bytes > int(quota.Bytes) || ofSender > quota.SenderMessages || bytesOfSender > int(quota.SenderBytes) {
			want = store.ErrQuota
			refused++
		}
		err := s.AppendOffline(ctx, juliet, store.NewMessage{
			From: jid.MustParse(fmt.Sprintf("s%d@example.net", m.from)), Stanza: make([]byte, m.size), Received: time.Now(),
		}, quota)
		if !errors.Is(err, want) {
			t.Fatalf("step %d, %d messages of %d bytes, %d of %d of the sender: %v, want %v", step, count, bytes, ofSender, bytesOfSender, err, want)
		}
		if err == nil {
			waiting = append(waiting, m)
		}
	}
	if refused < 100 || refused > 1400 {
		t.Errorf("%d of 1500 were refused", refused)
	}
}

// testOfflineRace: concurrent appends do not exceed the quotas of messages and bytes.
func testOfflineRace(t *testing.T, s store.Store) {
	create(t, s, juliet)
	const callers, each, size, messages = 16, 20, 10, 40
	quota := store.OfflineQuota{Messages: messages, Bytes: 35 * size, SenderMessages: 8}
	var wg sync.WaitGroup
	var kept [4]atomic.Int64
	for i := range callers {
		from := i % len(kept)
		m := store.NewMessage{From: jid.MustParse(fmt.Sprintf("s%d@example.net", from)), Stanza: make([]byte, size)}
		wg.Go(func() {
			for range each {
				switch err := s.AppendOffline(t.Context(), juliet, m, quota); {
				case err == nil:
					kept[from].Add(1)
				case !errors.Is(err, store.ErrQuota):
					t.Errorf("AppendOffline: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for i := range kept {
		if n := kept[i].Load(); n != 8 {
			t.Errorf("%d messages of sender %d were stored, want 8", n, i)
		}
	}
	n, err := s.CountOffline(t.Context(), juliet)
	ok(t, "CountOffline", err)
	if n != 32 {
		t.Errorf("%d messages are stored, want 32", n)
	}
}
