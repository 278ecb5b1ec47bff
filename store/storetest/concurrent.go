package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// testConcurrent: concurrent callers, some of whose writes fail, do not affect each other.
func testConcurrent(t *testing.T, s store.Store) {
	ctx := t.Context()
	const callers, each = 16, 40
	var owners []jid.JID
	for i := range callers {
		owners = append(owners, jid.MustParse(fmt.Sprintf("u%d@example.com", i)))
	}
	create(t, s, owners...)
	var wg sync.WaitGroup
	for i, owner := range owners {
		wg.Go(func() {
			for k := range each {
				if err := s.AppendOffline(ctx, owner, store.NewMessage{From: romeo, Stanza: fmt.Appendf(nil, "%d-%d", i, k), Received: time.Now()}, store.OfflineQuota{Messages: each}); err != nil {
					t.Errorf("AppendOffline: %v", err)
				}
				_, err := s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: owner, Expect: -1, Put: &store.RosterItem{JID: romeo}}})
				wants(t, "ApplyRoster", err, store.ErrConflict)
				if state, err := s.LoginState(ctx, owner); err != nil || !state.HasOffline {
					t.Errorf("a stored message is missing: %v", err)
				}
				if n, err := s.CountOffline(ctx, owner); err != nil || n != k+1 {
					t.Errorf("%d messages, want %d: %v", n, k+1, err)
				}
			}
			wants(t, "AppendOffline", s.AppendOffline(ctx, owner, store.NewMessage{From: romeo, Stanza: nil, Received: time.Now()}, store.OfflineQuota{Messages: each}), store.ErrQuota)
			msgs, _, err := s.Offline(ctx, owner, 0, 1<<20)
			if err != nil || len(msgs) != each {
				t.Errorf("%d messages, want %d: %v", len(msgs), each, err)
			}
			for k, m := range msgs {
				if string(m.Stanza) != fmt.Sprintf("%d-%d", i, k) {
					t.Errorf("message %d of caller %d is %q", k, i, m.Stanza)
				}
			}
		})
	}
	wg.Wait()
}

// testConcurrentRoster: of concurrent changes of one roster, only one at a time succeeds, so
// that no change is lost.
func testConcurrentRoster(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, romeo)
	before, err := s.Roster(ctx, juliet)
	ok(t, "Roster", err)
	const callers, each = 8, 10
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for k := 0; k < each; {
				j, err := s.Roster(ctx, juliet)
				r, rerr := s.Roster(ctx, romeo)
				if err != nil || rerr != nil {
					t.Errorf("Roster: %v, %v", err, rerr)
					return
				}
				if j.Version-int64(len(j.Items)) != before.Version {
					t.Errorf("version %d with %d items", j.Version, len(j.Items))
				}
				item := &store.RosterItem{JID: jid.MustParse(fmt.Sprintf("c%d-%d@example.org", i, k))}
				_, err = s.ApplyRoster(ctx, []store.RosterUpdate{
					{Owner: juliet, Expect: j.Version, Put: item},
					{Owner: romeo, Expect: r.Version, Put: item},
				})
				if err != nil && !errors.Is(err, store.ErrConflict) {
					t.Errorf("ApplyRoster: %v", err)
					return
				}
				if err == nil {
					k++
				}
			}
		})
	}
	wg.Wait()
	for _, owner := range []jid.JID{juliet, romeo} {
		r, err := s.Roster(ctx, owner)
		ok(t, "Roster", err)
		if len(r.Items) != callers*each {
			t.Errorf("%d items of %v, want %d", len(r.Items), owner, callers*each)
		}
	}
}
