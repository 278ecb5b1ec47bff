package postgres

import (
	"context"
	"time"
)

// The steps of ForgetDeleted: each is a transaction that excludes all other writes for some
// milliseconds, and the time between two is for these.
const (
	forgetStep  = 1000 // names, and events with their contacts
	forgetPause = 50 * time.Millisecond
)

const sqlForgetDeleted = `SELECT forget_deleted($1, $2, $3, $4)`

// ForgetDeleted implements store.Accounts.
func (s *Store) ForgetDeleted(ctx context.Context, names, events time.Time) error {
	after := int64(0)
	for {
		w := &write{sql: sqlForgetDeleted, args: []any{names.Unix(), events.Unix(), after, forgetStep}, row: into(&after)}
		if err := s.exec(ctx, "ForgetDeleted", "forget deleted accounts", w); err != nil || after < 0 {
			return err
		}
		select {
		case <-time.After(forgetPause):
		case <-ctx.Done(): // the next step fails
		}
	}
}
