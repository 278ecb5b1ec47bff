package slow

import (
	"context"

	"roost/jid"
	"roost/store"
)

// Roster implements store.Rosters.
func (s *Store) Roster(ctx context.Context, owner jid.JID) (store.Roster, error) {
	return do(s, ctx, "Roster", func() (store.Roster, error) { return s.inner.Roster(ctx, owner) })
}

// RosterChanges implements store.Rosters.
func (s *Store) RosterChanges(ctx context.Context, owner jid.JID, since int64) (changes []store.RosterChange, current int64, ok bool, err error) {
	err = try(s, ctx, "RosterChanges", func() (err error) {
		changes, current, ok, err = s.inner.RosterChanges(ctx, owner, since)
		return err
	})
	return changes, current, ok, err
}

// ApplyRoster implements store.Rosters.
func (s *Store) ApplyRoster(ctx context.Context, updates []store.RosterUpdate) ([]int64, error) {
	return do(s, ctx, "ApplyRoster", func() ([]int64, error) { return s.inner.ApplyRoster(ctx, updates) })
}

// SubscriptionRequests implements store.Rosters.
func (s *Store) SubscriptionRequests(ctx context.Context, owner jid.JID) ([]store.Request, error) {
	return do(s, ctx, "SubscriptionRequests", func() ([]store.Request, error) { return s.inner.SubscriptionRequests(ctx, owner) })
}

// AppendOffline implements store.Offline.
func (s *Store) AppendOffline(ctx context.Context, owner jid.JID, m store.NewMessage, quota store.OfflineQuota) error {
	return try(s, ctx, "AppendOffline", func() error { return s.inner.AppendOffline(ctx, owner, m, quota) })
}

// Offline implements store.Offline.
func (s *Store) Offline(ctx context.Context, owner jid.JID, after int64, maxBytes int) (msgs []store.OfflineMessage, more bool, err error) {
	err = try(s, ctx, "Offline", func() (err error) {
		msgs, more, err = s.inner.Offline(ctx, owner, after, maxBytes)
		return err
	})
	return msgs, more, err
}

// DeleteOffline implements store.Offline.
func (s *Store) DeleteOffline(ctx context.Context, owner jid.JID, upTo int64) error {
	return try(s, ctx, "DeleteOffline", func() error { return s.inner.DeleteOffline(ctx, owner, upTo) })
}

// CountOffline implements store.Offline.
func (s *Store) CountOffline(ctx context.Context, owner jid.JID) (int, error) {
	return do(s, ctx, "CountOffline", func() (int, error) { return s.inner.CountOffline(ctx, owner) })
}

// Blob implements store.Blobs.
func (s *Store) Blob(ctx context.Context, owner jid.JID, kind, key string) ([]byte, error) {
	return do(s, ctx, "Blob", func() ([]byte, error) { return s.inner.Blob(ctx, owner, kind, key) })
}

// PutBlobs implements store.Blobs.
func (s *Store) PutBlobs(ctx context.Context, owner jid.JID, generation int64, kind string, values []store.BlobValue, quota store.BlobQuota) error {
	return try(s, ctx, "PutBlobs", func() error { return s.inner.PutBlobs(ctx, owner, generation, kind, values, quota) })
}

// SetLast implements store.Activity.
func (s *Store) SetLast(ctx context.Context, batch []store.Last) error {
	return try(s, ctx, "SetLast", func() error { return s.inner.SetLast(ctx, batch) })
}

// Last implements store.Activity.
func (s *Store) Last(ctx context.Context, owner jid.JID) (store.Last, error) {
	return do(s, ctx, "Last", func() (store.Last, error) { return s.inner.Last(ctx, owner) })
}
