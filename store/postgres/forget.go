package postgres

import (
	"context"
	"time"
)

// The newest event stays: its ID is the one from which servers continue.
const sqlForgetDeleted = `WITH names AS (DELETE FROM tombstone WHERE deleted < $1),
	gone AS (DELETE FROM account_event WHERE at < $2 AND id < (SELECT max(id) FROM account_event) RETURNING 1)
	SELECT count(*) FROM gone`

// ForgetDeleted implements store.Accounts.
func (s *Store) ForgetDeleted(ctx context.Context, names, events time.Time) error {
	var n int64
	return s.exec(ctx, "ForgetDeleted", "forget deleted accounts", &write{sql: sqlForgetDeleted, args: []any{names.Unix(), events.Unix()}, row: into(&n)})
}
