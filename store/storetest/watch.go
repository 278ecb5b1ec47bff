package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"roost/jid"
	"roost/store"
)

// testWatch: Watch passes on all events after a given one, in their order and once each,
// including those that happen while it runs. It ends with its context, or with the error of
// its function.
func testWatch(t *testing.T, s store.Store) {
	create(t, s, juliet)
	first, err := s.LastAccountEvent(t.Context())
	ok(t, "LastAccountEvent", err)
	create(t, s, nurse)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, ended := make(chan store.AccountEvent), make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, first, func(events []store.AccountEvent) error {
			for _, e := range events {
				select {
				case seen <- e:
				case <-ctx.Done():
				}
			}
			clear(events) // the function owns the slice
			return nil
		})
	}()
	var last int64
	wantEvent := func(owner jid.JID, kind store.EventKind) {
		t.Helper()
		select {
		case e := <-seen:
			if e.JID != owner || e.Kind != kind || e.ID <= last {
				t.Fatalf("%+v after event %d, want %v, %d", e, last, owner, kind)
			}
			last = e.ID
		case err := <-ended:
			t.Fatalf("Watch has ended: %v", err)
		}
	}
	wantEvent(nurse, store.AccountCreated)
	ok(t, "SetDisabled", s.SetDisabled(t.Context(), nurse, true))
	wantEvent(nurse, store.AccountDisabled)
	ok(t, "DeleteAccount", s.DeleteAccount(t.Context(), nurse, store.AnyEvent))
	create(t, s, paris)
	wantEvent(nurse, store.AccountDeleted)
	wantEvent(paris, store.AccountCreated)
	cancel()
	wants(t, "Watch when its context has ended", <-ended, context.Canceled)

	// More events than fit in one call.
	const many = 2500
	var accounts []store.Account
	for i := range many {
		accounts = append(accounts, store.Account{JID: jid.MustParse(fmt.Sprintf("u%d@example.com", i)), Credentials: credentials(1)})
	}
	_, _, err = s.ImportAccounts(t.Context(), accounts, store.SkipExisting)
	ok(t, "ImportAccounts", err)
	enough := errors.New("enough")
	var ids []int64
	err = s.Watch(t.Context(), last, func(events []store.AccountEvent) error {
		for _, e := range events {
			ids = append(ids, e.ID)
		}
		if len(ids) >= many {
			return enough
		}
		return nil
	})
	wants(t, "Watch when its function fails", err, enough)
	if len(ids) != many || !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != many || ids[0] <= last {
		t.Errorf("%d events of %d, sorted: %v", len(ids), many, slices.IsSorted(ids))
	}
}
