package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

const (
	sqlPutSessions = `WITH added AS (INSERT INTO saved_session (data)
		SELECT data FROM unnest($1::bytea[]) WITH ORDINALITY AS u (data, n) ORDER BY n RETURNING 1) SELECT count(*) FROM added`
	sqlTakeSessions  = `SELECT take_sessions($1)`
	sqlCountSessions = `SELECT count(*) FROM saved_session`
)

// PutSessions implements store.Sessions.
func (s *Store) PutSessions(ctx context.Context, units [][]byte) error {
	var n int64
	args := make([][]byte, len(units))
	for i, data := range units {
		args[i] = bytesOf(data)
	}
	return s.exec(ctx, "PutSessions", "store sessions", &write{sql: sqlPutSessions, args: []any{args}, row: into(&n)})
}

// TakeSessions implements store.Sessions.
func (s *Store) TakeSessions(ctx context.Context, maxBytes int) (units [][]byte, err error) {
	w := &write{sql: sqlTakeSessions, args: []any{maxBytes}, reset: func() { units = nil }, row: func(rows pgx.Rows) error {
		var data []byte
		err := rows.Scan(&data)
		units = append(units, data)
		return err
	}}
	if err := s.exec(ctx, "TakeSessions", "take sessions", w); err != nil {
		return nil, err
	}
	return units, nil
}

// CountSessions implements store.Sessions.
func (s *Store) CountSessions(ctx context.Context) (n int, err error) {
	err = s.query(ctx, "CountSessions", "count sessions", sqlCountSessions, nil, nil, into(&n))
	return n, err
}
