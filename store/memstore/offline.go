package memstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"roost/jid"
	"roost/store"
)

// message is a stored message.
type message struct {
	store.OfflineMessage
	sender string // bare JID
}

// AppendOffline implements store.Offline.
func (s *Store) AppendOffline(ctx context.Context, owner jid.JID, m store.NewMessage, quota store.OfflineQuota) error {
	return s.write(ctx, "AppendOffline", "store message for "+owner.BareString(), func(t *tx) error {
		_, err := t.appendOffline(owner, m, quota)
		return err
	})
}

// AppendOfflineAll implements store.Offline.
func (s *Store) AppendOfflineAll(ctx context.Context, owner jid.JID, all []store.NewMessage, quota store.OfflineQuota) ([]store.StoredMessage, error) {
	stored := make([]store.StoredMessage, len(all))
	err := s.write(ctx, "AppendOfflineAll", "store messages for "+owner.BareString(), func(t *tx) error {
		for i, m := range all {
			limits := quota
			if m.Replaces != 0 {
				limits = store.OfflineQuota{}
				t.deleteOffline(owner, []int64{m.Replaces})
			}
			id, err := t.appendOffline(owner, m, limits)
			if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrQuota) && !errors.Is(err, store.ErrBlocked) {
				return err
			}
			stored[i] = store.StoredMessage{ID: id, Err: err}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

func (t *tx) appendOffline(owner jid.JID, m store.NewMessage, quota store.OfflineQuota) (id int64, err error) {
	a, err := t.account(owner)
	if err != nil {
		return 0, err
	}
	sender := m.From.Bare().Clone().String()
	if sender == "" {
		return 0, errNoSender
	}
	if sender != owner.BareString() {
		for _, address := range []string{m.From.String(), sender, m.From.Domain()} {
			if _, ok := a.blobs[blobKey{store.BlockedKind, address}]; ok {
				return 0, store.ErrBlocked
			}
		}
	}
	if a.exceeds(sender, int64(len(m.Stanza)), quota) {
		if _, ok := a.items[sender]; ok {
			return 0, store.ErrContactQuota
		}
		return 0, store.ErrQuota
	}
	t.l.lastID++
	a.offline = append(a.offline, message{sender: sender, OfflineMessage: store.OfflineMessage{
		ID: t.l.lastID, Received: m.Received.UTC().Truncate(time.Millisecond), Stanza: slices.Clone(m.Stanza),
	}})
	return t.l.lastID, nil
}

// exceeds reports whether one more message would exceed a quota.
func (a *account) exceeds(sender string, size int64, q store.OfflineQuota) bool {
	count, bytes, ofSender, bytesOfSender := 1, size, 1, size
	for _, m := range a.offline {
		n := int64(len(m.Stanza))
		count, bytes = count+1, bytes+n
		if m.sender == sender {
			ofSender, bytesOfSender = ofSender+1, bytesOfSender+n
		}
	}
	return q.Messages > 0 && count > q.Messages || q.Bytes > 0 && bytes > q.Bytes ||
		q.SenderMessages > 0 && ofSender > q.SenderMessages || q.SenderBytes > 0 && bytesOfSender > q.SenderBytes
}

// Offline implements store.Offline.
func (s *Store) Offline(ctx context.Context, owner jid.JID, after int64, maxBytes int) (msgs []store.OfflineMessage, more bool, err error) {
	err = s.read(ctx, "Offline", "read messages stored for "+owner.BareString(), func(l *Location) error {
		a := l.find(owner)
		if a == nil {
			return nil
		}
		size := 0
		for _, m := range a.offline {
			if m.ID <= after {
				continue
			}
			if size += len(m.Stanza); size > maxBytes && len(msgs) > 0 {
				more = true
				return nil
			}
			m.Stanza = slices.Clone(m.Stanza)
			msgs = append(msgs, m.OfflineMessage)
		}
		return nil
	})
	return msgs, more, err
}

// DeleteOffline implements store.Offline.
func (s *Store) DeleteOffline(ctx context.Context, owner jid.JID, ids []int64) error {
	return s.write(ctx, "DeleteOffline", "delete messages stored for "+owner.BareString(), func(t *tx) error {
		t.deleteOffline(owner, ids)
		return nil
	})
}

func (t *tx) deleteOffline(owner jid.JID, ids []int64) {
	if a, err := t.account(owner); err == nil {
		a.offline = slices.DeleteFunc(a.offline, func(m message) bool { return slices.Contains(ids, m.ID) })
	}
}

// ExpireOffline implements store.Offline.
func (s *Store) ExpireOffline(ctx context.Context, before time.Time, limit int) (deleted int, err error) {
	err = s.write(ctx, "ExpireOffline", "delete old messages", func(t *tx) error {
		old := func(m message) bool {
			if deleted >= limit || !m.Received.Before(before) {
				return false
			}
			deleted++
			return true
		}
		for _, had := range t.l.accounts {
			if len(had.offline) == 0 {
				continue
			}
			a, err := t.account(had.JID)
			if err != nil {
				return err
			}
			a.offline = slices.DeleteFunc(a.offline, old)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// CountOffline implements store.Offline.
func (s *Store) CountOffline(ctx context.Context, owner jid.JID) (n int, err error) {
	err = s.read(ctx, "CountOffline", "count messages stored for "+owner.BareString(), func(l *Location) error {
		if a := l.find(owner); a != nil {
			n = len(a.offline)
		}
		return nil
	})
	return n, err
}
