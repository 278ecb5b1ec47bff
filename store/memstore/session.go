package memstore

import (
	"bytes"
	"context"
	"strings"
	"time"

	"roost/store"
)

// PutSessions implements store.Sessions.
func (s *Store) PutSessions(ctx context.Context, all []store.SavedSession) error {
	return s.write(ctx, "PutSessions", "store sessions", func(t *tx) error {
		for _, x := range all {
			t.l.sessions = append(t.l.sessions, store.SavedSession{
				Node: strings.Clone(x.Node), Key: strings.Clone(x.Key), Until: seconds(x.Until), Data: bytes.Clone(x.Data),
			})
		}
		return nil
	})
}

// TakeSessions implements store.Sessions.
func (s *Store) TakeSessions(ctx context.Context, node string, maxBytes int) ([][]byte, error) {
	return s.takeSessions(ctx, "TakeSessions", maxBytes, func(x *store.SavedSession) bool { return x.Node == node })
}

// TakeOverdueSessions implements store.Sessions.
func (s *Store) TakeOverdueSessions(ctx context.Context, now time.Time, maxBytes int) ([][]byte, error) {
	return s.takeSessions(ctx, "TakeOverdueSessions", maxBytes, func(x *store.SavedSession) bool {
		return !x.Until.IsZero() && x.Until.Unix() <= now.Unix()
	})
}

// takeSessions removes sessions and returns their data.
func (s *Store) takeSessions(ctx context.Context, op string, maxBytes int, which func(*store.SavedSession) bool) (data [][]byte, err error) {
	err = s.write(ctx, op, "take sessions", func(t *tx) error {
		var rest []store.SavedSession
		size, full := 0, false
		for i := range t.l.sessions {
			x := &t.l.sessions[i]
			if full || !which(x) {
				rest = append(rest, *x)
				continue
			}
			if size += len(x.Data); size > maxBytes && len(data) > 0 || len(data) == store.MaxSessions {
				full = true
				rest = append(rest, *x)
				continue
			}
			data = append(data, x.Data)
		}
		t.l.sessions = rest
		return nil
	})
	return data, err
}

// TakeSession implements store.Sessions.
func (s *Store) TakeSession(ctx context.Context, key string) (data []byte, err error) {
	err = s.write(ctx, "TakeSession", "take a session", func(t *tx) error {
		var rest []store.SavedSession
		for _, x := range t.l.sessions {
			if key != "" && x.Key == key {
				data = x.Data
			} else {
				rest = append(rest, x)
			}
		}
		if len(rest) == len(t.l.sessions) {
			return store.ErrNotFound
		}
		t.l.sessions = rest
		return nil
	})
	return data, err
}

// CountSessions implements store.Sessions.
func (s *Store) CountSessions(ctx context.Context) (n int, err error) {
	err = s.read(ctx, "CountSessions", "count sessions", func(l *Location) error {
		n = len(l.sessions)
		return nil
	})
	return n, err
}
