package memstore

import (
	"context"
	"slices"

	"roost/jid"
	"roost/store"
)

// SetLastActivity implements store.Activity.
func (s *Store) SetLastActivity(ctx context.Context, batch []store.LastActivity) error {
	return s.write(ctx, "SetLastActivity", "write last activity", func(t *tx) error {
		for _, last := range batch {
			a, err := t.account(last.Owner)
			if err != nil || last.Event != 0 && a.Generation > last.Event {
				continue
			}
			a.last = &store.LastActivity{Owner: a.JID, At: seconds(last.At), Status: slices.Clone(last.Status)}
		}
		return nil
	})
}

// LastActivity implements store.Activity.
func (s *Store) LastActivity(ctx context.Context, owner jid.JID) (last store.LastActivity, err error) {
	err = s.read(ctx, "LastActivity", "read last activity of "+owner.BareString(), func(l *Location) error {
		a := l.find(owner)
		if a == nil || a.last == nil {
			return store.ErrNotFound
		}
		last = *a.last
		last.Status = slices.Clone(last.Status)
		return nil
	})
	return last, err
}

// NoteUse implements store.Activity.
func (s *Store) NoteUse(ctx context.Context, batch []store.AccountUse) error {
	return s.write(ctx, "NoteUse", "write which accounts are used", func(t *tx) error {
		for _, u := range batch {
			a, err := t.account(u.Owner)
			if err == nil && (u.Event == 0 || a.Generation <= u.Event) {
				a.used = max(a.used, u.Day)
			}
		}
		return nil
	})
}
