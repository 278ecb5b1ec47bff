package memstore

import (
	"bytes"
	"context"
)

// PutSessions implements store.Sessions.
func (s *Store) PutSessions(ctx context.Context, units [][]byte) error {
	return s.write(ctx, "PutSessions", "store sessions", func(t *tx) error {
		for _, data := range units {
			t.l.sessions = append(t.l.sessions, bytes.Clone(data))
		}
		return nil
	})
}

// TakeSessions implements store.Sessions.
func (s *Store) TakeSessions(ctx context.Context, maxBytes int) (units [][]byte, err error) {
	err = s.write(ctx, "TakeSessions", "take sessions", func(t *tx) error {
		n, size := 0, 0
		for _, data := range t.l.sessions {
			if size += len(data); size > maxBytes && n > 0 {
				break
			}
			n++
		}
		units, t.l.sessions = t.l.sessions[:n:n], t.l.sessions[n:]
		return nil
	})
	return units, err
}

// CountSessions implements store.Sessions.
func (s *Store) CountSessions(ctx context.Context) (n int, err error) {
	err = s.read(ctx, "CountSessions", "count sessions", func(l *Location) error {
		n = len(l.sessions)
		return nil
	})
	return n, err
}
