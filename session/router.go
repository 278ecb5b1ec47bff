package session

import (
	"context"
	"crypto/tls"
	"iter"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
	"roost/store"
)

// Router routes the stanzas of sessions; package router implements it. The goroutine that
// handles the session's input calls all methods.
type Router interface {
	// Stanza routes one stanza of a bound session. If it needs a worker, it returns the
	// kind of work and the stage it has reached, and is called again with that stage on a
	// worker of that kind. A new stanza starts at stage 0. On a turn that may write, Stanza
	// never requests anything but Derive, or Write after Gate.Enter has returned false.
	Stanza(t *Turn, s *Session, st *stanza.Stanza, stage int) (next int, need Work)

	// PreBindIQ handles an iq of a client that has not bound a resource, such as in-band
	// registration. It returns false if it does not know the request. If it needs a worker,
	// it returns the kind of work and is called again on one.
	PreBindIQ(t *Turn, s *Session, st *stanza.Stanza) (known bool, need Work)

	// CaughtUp reports whether CatchUp has nothing to do.
	CaughtUp(event int64) bool

	// CatchUp is called before a session is put in the tables or resumed, on a worker for
	// writes unless CaughtUp returned true. When it returns, all account events up to the given
	// one have been processed: no cached data and no session of a deleted account of the same
	// name is used for this one.
	CatchUp(t *Turn, event int64) error

	// PreAuthIQ reports whether a client that has not authenticated may send an iq with
	// this payload.
	PreAuthIQ(payload parser.Element) bool

	// OnBind is called on a worker after the session was put in the tables and before the
	// client gets the result. It returns an error if the session may not be bound:
	// stanza.NotAuthorized if the account no longer exists, stanza.Conflict if the resource
	// is in use elsewhere and policy does not allow to replace it, or a resource constraint.
	OnBind(t *Turn, s *Session, policy ConflictPolicy) *stanza.ErrorReply

	// EndElsewhere ends, with a conflict, those sessions of the account of s on other nodes
	// for whose resource which returns true. It is called on a worker.
	EndElsewhere(t *Turn, s *Session, which func(resource string) bool)

	// Unlinked is called when a session was removed from the tables, unless another session
	// has its address by then. It must not block, and must not call the manager.
	Unlinked(s *Session)

	// OnUnavailable is called for a session that was removed from the tables. It notifies
	// everyone concerned and ends with SetPresence(nil, 0). On a turn that must not block
	// it may return false; it is then called again on a worker.
	OnUnavailable(t *Turn, s *Session) bool

	// HandOn handles the stanzas that were sent to the client of s and not acknowledged,
	// when the session ends and before OnUnavailable. It is called on a worker for writes.
	// batches yields them in order, and then those that s was sent in the meantime. A batch
	// is valid until the next one, and HandOn may change it; then the session drops it.
	HandOn(t *Turn, s *Session, batches iter.Seq[[]Unacked])

	// Acked is called when the client of s has acknowledged messages that SendStored has
	// sent, with their IDs, before the session drops them.
	Acked(t *Turn, s *Session, ids []int64)

	// Unwanted returns a function that reports which of the stanzas sent to a detached session
	// must no longer be sent to its client; nil: all may be sent. The function must not use the
	// session.
	Unwanted(s *Session) func(b []byte) bool

	// Returned is called when the client has resumed a restored session for the first time.
	Returned(t *Turn, s *Session)

	// Fetch begins to look for the session of f on other nodes, to move it here. It returns
	// false if there are no other nodes. It must not block.
	Fetch(f *Fetch) bool

	// Departing is called when a detached session is about to move to another node, before
	// SaveState. It must not block.
	Departing(t *Turn, s *Session)

	// Relay sends a stanza, borrowed, to a session that has moved to another node, and
	// reports whether it could. stored and stamped are as for SendStored. It must not block
	// and must not use the session.
	Relay(s *Session, b []byte, stored int64, stamped bool) bool

	// SaveState calls add for each part of the session's state that other packages own and
	// that Suspend saves. It appends the data to buf, which it returns for the next call; data
	// is valid until then. No worker has the session.
	SaveState(s *Session, buf []byte, add func(name string, data []byte)) []byte

	// RestoreState gives the session the state that SaveState has passed to add. It does
	// nothing if it does not know the name. Restore calls it before the session is in the
	// tables; it may read from the store. After an error the session cannot be resumed.
	RestoreState(s *Session, name string, data []byte) error
}

// Accounts is the part of the store that a session needs to authenticate a client.
type Accounts interface {
	// Account returns the account with this bare JID, or store.ErrNotFound.
	Account(ctx context.Context, bare jid.JID) (store.Account, error)

	// Shapes returns the number of accounts, or of a sample of them, by the shape of their
	// credentials.
	Shapes(ctx context.Context) (map[store.Shape]int, error)

	// MissingKeys returns the hash functions that at least one account of a domain has no
	// keys for.
	MissingKeys(ctx context.Context, domain string) (store.HashSet, error)

	// AddKeys adds the keys that an account lacks; see store.Accounts.
	AddKeys(ctx context.Context, bare jid.JID, was int64, c store.Credentials) error
}

// TLSFunc returns the STARTTLS configuration for one of the served domains. It must always
// return the same one for a domain.
type TLSFunc func(domain string) *tls.Config
