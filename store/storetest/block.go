package storetest

import (
	"slices"
	"testing"
	"time"

	"roost/store"
)

// testBlocks: blocks are listed in order, replaced and limited by target, deleted, and
// deleted when they have ended.
func testBlocks(t *testing.T, s store.Store) {
	ctx := t.Context()
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	network := store.Block{Target: "192.0.2.0/24", Reason: "spam", Actor: "alice", Created: created, Until: created.Add(time.Hour)}
	account := store.Block{Target: "romeo@example.net", Created: created}
	want := func(what string, want ...store.Block) {
		t.Helper()
		got, err := s.ListBlocks(ctx)
		ok(t, "ListBlocks", err)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	want("at first")
	wants(t, "DeleteBlock of none", s.DeleteBlock(ctx, network.Target), store.ErrNotFound)
	wants(t, "PutBlock without space", s.PutBlock(ctx, account, 0), store.ErrQuota)
	ok(t, "PutBlock", s.PutBlock(ctx, account, 2))
	finer := network // is stored to the second
	finer.Created, finer.Until = created.Add(time.Millisecond).In(time.FixedZone("", 3600)), network.Until.Add(999*time.Millisecond)
	ok(t, "PutBlock", s.PutBlock(ctx, finer, 2))
	want("two", network, account)
	wants(t, "PutBlock of a third", s.PutBlock(ctx, store.Block{Target: "x"}, 2), store.ErrQuota)
	want("after ErrQuota", network, account)

	account.Reason, account.Actor, account.Until = "abuse", "bob", created.Add(2*time.Hour)
	ok(t, "PutBlock again", s.PutBlock(ctx, account, 2))
	want("replaced", network, account)
	ok(t, "DeleteEndedBlocks", s.DeleteEndedBlocks(ctx, network.Until.Add(-time.Second)))
	want("before the end", network, account)
	ok(t, "DeleteEndedBlocks", s.DeleteEndedBlocks(ctx, network.Until))
	want("at the end of one", account)
	ok(t, "DeleteBlock", s.DeleteBlock(ctx, account.Target))
	want("deleted")

	account.Until = time.Time{}
	ok(t, "PutBlock", s.PutBlock(ctx, account, 1))
	ok(t, "DeleteEndedBlocks", s.DeleteEndedBlocks(ctx, created.AddDate(100, 0, 0)))
	want("without an end", account)
}
