package store

import "context"

// Sessions keeps sessions between a planned stop of a server and its next start. They are
// plain data, which the store does not interpret.
type Sessions interface {
	// PutSessions adds units of data after those that there are, in one transaction.
	PutSessions(ctx context.Context, units [][]byte) error

	// TakeSessions returns the oldest units, in the order in which they were added, and
	// deletes them, in one transaction: no unit is ever returned twice. It returns as many
	// as fit in maxBytes, but at least one if there is one.
	TakeSessions(ctx context.Context, maxBytes int) ([][]byte, error)

	// CountSessions returns the number of units.
	CountSessions(ctx context.Context) (int, error)
}
