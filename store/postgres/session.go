package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/store"
)

const (
	sqlPutSessions = `WITH added AS (INSERT INTO saved_session (node, key, until, data)
		SELECT node, key, until, data FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[]) WITH ORDINALITY AS u (node, key, until, data, n)
		ORDER BY n RETURNING 1) SELECT count(*) FROM added`
	sqlTakeSessions = sqlTakeBegin + `node = $1` + sqlTakeEnd
	sqlTakeOverdue  = sqlTakeBegin + `until > 0 AND until <= $1` + sqlTakeEnd
	// The size of a value is known without reading it.
	sqlTakeBegin = `WITH first AS (SELECT id, octet_length(data) AS size FROM saved_session WHERE `
	sqlTakeEnd   = ` ORDER BY id LIMIT $3),
		fit AS (SELECT id, sum(size) OVER w AS total, row_number() OVER w AS n FROM first WINDOW w AS (ORDER BY id)),
		gone AS (DELETE FROM saved_session WHERE id IN (SELECT id FROM fit WHERE total <= $2 OR n = 1) RETURNING id, data)
		SELECT data FROM gone ORDER BY id`
	sqlTakeSession = `WITH gone AS (DELETE FROM saved_session WHERE key = $1 AND key <> '' RETURNING id, data)
		SELECT data FROM gone ORDER BY id`
	sqlCountSessions = `SELECT count(*) FROM saved_session`
)

// sessionOwner is the owner of writes that lock rows of sessions, but no account: all of a
// batch follow one another. It is no address.
func sessionOwner(key string) string { return "session " + key }

// PutSessions implements store.Sessions.
func (s *Store) PutSessions(ctx context.Context, all []store.SavedSession) error {
	var (
		nodes, keys []string
		untils      []int64
		data        [][]byte
		n           int64
	)
	for i := range all {
		x := &all[i]
		nodes, keys = append(nodes, x.Node), append(keys, x.Key)
		untils, data = append(untils, timeNumber(x.Until)), append(data, bytesOf(x.Data))
	}
	w := &write{sql: sqlPutSessions, args: []any{nodes, keys, untils, data}, row: into(&n), owner: sessionOwner("")}
	return s.exec(ctx, "PutSessions", "store sessions", w)
}

// TakeSessions implements store.Sessions.
func (s *Store) TakeSessions(ctx context.Context, node string, maxBytes int) ([][]byte, error) {
	return s.takeSessions(ctx, "TakeSessions", sqlTakeSessions, node, maxBytes)
}

// TakeOverdueSessions implements store.Sessions.
func (s *Store) TakeOverdueSessions(ctx context.Context, now time.Time, maxBytes int) ([][]byte, error) {
	return s.takeSessions(ctx, "TakeOverdueSessions", sqlTakeOverdue, now.Unix(), maxBytes)
}

// takeSessions deletes some sessions and returns their data. It excludes all other writes,
// because it locks many rows.
func (s *Store) takeSessions(ctx context.Context, op, sql string, which any, maxBytes int) (all [][]byte, err error) {
	w := &write{sql: sql, args: []any{which, maxBytes, store.MaxSessions}, reset: func() { all = nil }, row: func(rows pgx.Rows) error {
		var data []byte
		err := rows.Scan(&data)
		all = append(all, data)
		return err
	}}
	if err := s.exec(ctx, op, "take sessions", w); err != nil {
		return nil, err
	}
	return all, nil
}

// TakeSession implements store.Sessions.
func (s *Store) TakeSession(ctx context.Context, key string) (data []byte, err error) {
	const what = "take a session"
	w := &write{sql: sqlTakeSession, args: []any{key}, reset: func() { data = nil }, row: into(&data), owner: sessionOwner(key)}
	if err := s.exec(ctx, "TakeSession", what, w); err != nil {
		return nil, err
	}
	if data == nil {
		return nil, s.wrap(what, store.ErrNotFound)
	}
	return data, nil
}

// CountSessions implements store.Sessions.
func (s *Store) CountSessions(ctx context.Context) (n int, err error) {
	err = s.query(ctx, "CountSessions", "count sessions", sqlCountSessions, nil, nil, into(&n))
	return n, err
}
