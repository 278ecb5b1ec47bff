package session

import (
	"context"
	"crypto/tls"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
	"roost/store"
)

// Router routes the stanzas of sessions; package router implements it. All methods
// are called by the goroutine that handles the session's input.
type Router interface {
	// Stanza routes one stanza of a bound session. Where that has to wait for
	// the store it returns what for, and how far it has come: it is called
	// again with that stage on a worker of that kind. A stanza that has just
	// come begins at stage 0. A turn that may write is asked for nothing more but Derive.
	Stanza(t *Turn, s *Session, st *stanza.Stanza, stage int) (next int, need Work)

	// Unbound handles an iq of a client that has bound no resource: in-band
	// registration above all. False: there is no such request. Where it has to
	// wait for the store it returns what for and is called again on a worker.
	PreBindIQ(t *Turn, s *Session, st *stanza.Stanza) (known bool, need Work)

	// CaughtUp reports whether CatchUp has nothing to do.
	CaughtUp(event int64) bool

	// CatchUp is called before a session is put in the tables, on a worker for
	// writes unless CaughtUp was true. When it returns, everybody concerned has
	// been told of what happened to accounts up to an event: nothing that is in
	// memory of a former account of the same name is used for this one.
	CatchUp(t *Turn, event int64) error

	// UnboundSpace reports whether a client that is not authenticated may send
	// iqs with a payload of this namespace.
	PreAuthIQ(payload parser.Element) bool

	// Bound is called on a worker after the session was put in the tables and
	// before the client is told. False: there is no such account any more.
	OnBind(t *Turn, s *Session) bool

	// Left is called for a session that is no longer in the tables. It tells
	// everybody concerned and ends with SetPresence(nil, 0). With a turn that
	// must not block it may answer false and is called again on a worker.
	OnUnavailable(t *Turn, s *Session) bool
}

// Accounts is what the session asks of the store to authenticate a client.
type Accounts interface {
	// Account returns the account with this bare JID, or store.ErrNotFound.
	Account(ctx context.Context, bare jid.JID) (store.Account, error)

	// Iterations returns how many accounts, or how many of a sample, have each
	// number of iterations.
	Iterations(ctx context.Context) (map[int]int, error)
}

// TLSFunc returns the configuration of STARTTLS on a stream to one of the domains,
// always the same.
type TLSFunc func(domain string) *tls.Config
