package store

import (
	"context"
	"time"
)

// Sessions keeps sessions that wait for their clients while no server has them: between a
// planned stop of a server and its next start. They are plain data, which the store does not
// interpret. Several nodes may share a store; each takes its own sessions when it starts, and
// those of a node that does not come back are taken by others.
type Sessions interface {
	// PutSessions adds sessions after those that there are, in one transaction.
	PutSessions(ctx context.Context, all []SavedSession) error

	// TakeSessions returns the data of a node's oldest sessions, in the order in which they
	// were added, and deletes them, in one transaction: none is ever returned twice, by
	// this method or another one. It returns as many as fit in maxBytes, but at least one
	// if there is one, and at most MaxSessions.
	TakeSessions(ctx context.Context, node string, maxBytes int) ([][]byte, error)

	// TakeSession returns the data of the session with a key, of any node, and deletes it.
	// If there is none, it returns ErrNotFound. Of several with the same key, the one that
	// was added last counts, and all are deleted.
	TakeSession(ctx context.Context, key string) ([]byte, error)

	// TakeOverdueSessions is TakeSessions for the sessions of any node whose Until is not
	// after now.
	TakeOverdueSessions(ctx context.Context, now time.Time, maxBytes int) ([][]byte, error)

	// CountSessions returns the number of SavedSessions of all nodes.
	CountSessions(ctx context.Context) (int, error)
}

// MaxSessions is the largest number of sessions that are taken in one transaction.
const MaxSessions = 1 << 14

// SavedSession is a session as data, or several sessions of one node.
type SavedSession struct {
	Node  string    // the node that has saved it; "" without a cluster
	Key   string    // by which TakeSession finds it; not a secret; "": TakeSession does not find it
	Until time.Time // how long it waits for its client, to the second; zero: for ever
	Data  []byte
}
