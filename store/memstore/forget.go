package memstore

import (
	"context"
	"slices"
	"time"

	"roost/store"
)

// ForgetDeleted implements store.Accounts.
func (s *Store) ForgetDeleted(ctx context.Context, names, events time.Time) error {
	return s.write(ctx, "ForgetDeleted", "forget deleted accounts", func(t *tx) error {
		for name, at := range t.l.deleted {
			if at.Before(names) {
				delete(t.l.deleted, name)
			}
		}
		newest := t.l.lastEvent()
		t.l.events = slices.DeleteFunc(slices.Clone(t.l.events), func(e store.AccountEvent) bool {
			if e.ID == newest || !e.At.Before(seconds(events)) {
				return false
			}
			delete(t.l.contacts, e.ID)
			return true
		})
		return nil
	})
}

// lastEvent returns the ID of the newest event, or 0 if there is none.
func (l *Location) lastEvent() int64 {
	if n := len(l.events); n > 0 {
		return l.events[n-1].ID
	}
	return 0
}
