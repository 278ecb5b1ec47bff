// Package store is what outlives a session: accounts, rosters, offline
// messages, and small blobs such as vcards. It has the types and the
// interface; store/sqlite implements it, and store/storetest is the suite that
// every implementation must pass.
//
// # Durability
//
// A write that returned nil is durable: it survives the end of the process and
// of the machine. Writes of one owner by one goroutine happen in the order of
// the calls. A write that returned an error left nothing behind, unless the disk
// or the network failed at the very end. When the context ends before a write
// has begun, it never happens; after that its outcome is waited for.
//
// # Addresses
//
// Owners and accounts are bare JIDs with a localpart; a full JID is taken for
// its bare JID. An implementation never keeps a JID or a slice that it was
// lent, and never shares memory of what it returns with another caller.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"roost/jid"
)

// What a Store answers. Errors are wrapped: test them with errors.Is.
var (
	ErrNotFound     = errors.New("not found")
	ErrExists       = errors.New("exists already")
	ErrConflict     = errors.New("changed by somebody else meanwhile")
	ErrQuota        = errors.New("quota exceeded")
	ErrContactQuota = fmt.Errorf("%w, the sender is in the roster", ErrQuota) // of AppendOffline
	ErrClosed       = errors.New("the store is closed")
)

// Store is everything that a server keeps. Its methods may be called from any
// goroutine; they may wait for a disk or a network, so that nothing which must
// not wait may call them.
//
// Of an account that does not exist, reads return nothing found (an empty
// Roster, no message, no blob) and no error, unless said otherwise; writes
// return ErrNotFound, except that deleting what is not there is no error.
type Store interface {
	Accounts
	Rosters
	Offline
	Blobs
	Activity

	// LoginState is all that binding a resource needs, in one read.
	LoginState(ctx context.Context, owner jid.JID) (LoginState, error)

	// Close answers the writes under way and closes the store.
	Close() error
}

// ImportMode is what ImportAccounts does with accounts that are there.
type ImportMode int

// The modes.
const (
	SkipExisting   ImportMode = iota // they are left as they are
	UpdateExisting                   // their credentials are replaced, and an event tells their sessions to end
	UpdateQuietly                    // the same, and their sessions go on
)

// Accounts are who may log in.
type Accounts interface {
	// Account is one account, or ErrNotFound.
	Account(ctx context.Context, bare jid.JID) (Account, error)

	// Iterations returns how many accounts have each number of iterations in
	// their credentials. Where there are many it may look at a sample, always
	// the same while accounts do not change.
	Iterations(ctx context.Context) (map[int]int, error)

	// CreateAccount adds an account, with an empty roster; ErrExists when it is
	// there already. A zero Created is filled in.
	CreateAccount(ctx context.Context, a Account) error

	// SetCredentials replaces an account's credentials, or returns ErrNotFound.
	// event is the ID of the event that tells servers to end the sessions that
	// authenticated with the old ones; with keepSessions it tells them to end
	// only streams that are not bound yet.
	SetCredentials(ctx context.Context, bare jid.JID, c Credentials, keepSessions bool) (event int64, err error)

	// ReplaceCredentials is SetCredentials, without keepSessions, for an account whose newest
	// event (Account.Event) is was: where anything has happened to it since, it changes
	// nothing and returns ErrConflict.
	ReplaceCredentials(ctx context.Context, bare jid.JID, was int64, c Credentials) (event int64, err error)

	// SetDisabled locks an account or lets it in again, or returns ErrNotFound.
	SetDisabled(ctx context.Context, bare jid.JID, disabled bool) error

	// DeleteAccount deletes an account and all its data, or returns
	// ErrNotFound. What others keep of it (their roster items) stays, but for
	// subscriptions, requests and approvals: those end on both sides. Whose
	// rosters that changed is read by EventContacts.
	DeleteAccount(ctx context.Context, bare jid.JID) error

	// ListAccounts lists accounts in the order of domain and localpart: at most
	// limit of them behind after, which is zero at first. An empty domain means
	// all domains. Credentials are left out.
	ListAccounts(ctx context.Context, domain string, after jid.JID, limit int) ([]Account, error)

	// ImportAccounts creates the accounts that are not there, in one
	// transaction, and reports how many it created and how many were there. What
	// becomes of those is said by mode.
	ImportAccounts(ctx context.Context, accounts []Account, mode ImportMode) (created, existing int, err error)

	// Watch calls f with what happens to accounts, by this process or any other:
	// the events after the event after, oldest first, none twice, as soon as they
	// are noticed, which takes a second at most in normal operation. f runs on the
	// caller's goroutine. Watch returns when ctx ends (with its error), when f
	// returns an error (with that one), or when the store cannot be read; to go on,
	// it is called again with the last event that was acted on.
	// LastAccountEvent tells where to begin.
	Watch(ctx context.Context, after int64, f func([]AccountEvent) error) error

	// AccountEvents reads at most limit events after the event after, oldest first,
	// for callers that cannot wait until Watch has noticed them. Events are kept for
	// at least an hour.
	AccountEvents(ctx context.Context, after int64, limit int) ([]AccountEvent, error)

	// EventContacts is whose rosters a deletion has changed, in the order of
	// addresses: at most limit of them after the address after, which is zero at
	// first. It is kept as long as the event.
	EventContacts(ctx context.Context, event int64, after jid.JID, limit int) ([]EventContact, error)

	// LastAccountEvent is the ID of the newest event, 0 when there is none.
	LastAccountEvent(ctx context.Context) (int64, error)
}

// Account is one account.
type Account struct {
	JID         jid.JID // bare
	Credentials Credentials
	Disabled    bool      // may not log in
	Created     time.Time // to the second

	// Set by the store: the IDs of the event of its creation, which tells it from
	// any other account of the same name, and of its newest event. An event with
	// a larger ID than Event happened after the account was read.
	Generation, Event int64
}

// EventKind is what happened to an account.
type EventKind uint8

// The kinds of account events.
const (
	AccountCreated     EventKind = 1
	AccountDeleted     EventKind = 2
	CredentialsChanged EventKind = 3
	AccountDisabled    EventKind = 4
	AccountEnabled     EventKind = 5
	CredentialsRenewed EventKind = 6 // changed, and the sessions stay
)

// AccountEvent is one thing that happened to an account.
type AccountEvent struct {
	ID   int64 // increases, is never used again; not without gaps
	JID  jid.JID
	Kind EventKind
	At   time.Time // to the second
}

// EventContact is an account whose roster was changed by the deletion of another
// one, and what its roster had of that one before.
type EventContact struct {
	JID          jid.JID // bare
	Subscription Subscription
	Ask          bool // a subscription request was pending at the deleted account
	Approved     bool
	Pending      bool // a subscription request of the deleted account was pending
}

// Offline are messages that wait for their recipient (XEP-0160).
type Offline interface {
	// AppendOffline keeps a message, whole as it is to be delivered (without
	// the delay stamp). It returns ErrQuota, which is ErrContactQuota if the sender's bare
	// JID is in the owner's roster, and keeps nothing, where the
	// message would go past the quota, and ErrNotFound where there is no such
	// account. Its cost does not depend on how many messages wait.
	AppendOffline(ctx context.Context, owner jid.JID, m NewMessage, quota OfflineQuota) error

	// Offline reads messages in the order in which they were kept, those with
	// an ID past after: as many as fit in maxBytes, but one at least if there
	// is one. more: there are others behind them.
	Offline(ctx context.Context, owner jid.JID, after int64, maxBytes int) (msgs []OfflineMessage, more bool, err error)

	// DeleteOffline deletes an account's messages with an ID of at most upTo.
	DeleteOffline(ctx context.Context, owner jid.JID, upTo int64) error

	// CountOffline is the number of messages waiting.
	CountOffline(ctx context.Context, owner jid.JID) (int, error)
}

// NewMessage is a message that is to wait.
type NewMessage struct {
	From     jid.JID // the sender, of whom the bare JID counts; required
	Stanza   []byte
	Received time.Time // kept to the millisecond
}

// OfflineQuota limits what waits for one account: messages and the bytes of their
// stanzas, of all senders together and of each of them, so that one sender
// cannot take all the space that there is. A limit of 0 is none.
type OfflineQuota struct {
	Messages       int
	Bytes          int64
	SenderMessages int
	SenderBytes    int64
}

// OfflineMessage is one message that waits.
type OfflineMessage struct {
	ID       int64     // increases in the order of arrival
	Received time.Time // UTC, to the millisecond
	Stanza   []byte
}

// Activity is when accounts were last there (XEP-0012, RFC 6121 section 4.3.2).
type Activity interface {
	// SetLast records when the last resource of each account went, in one
	// transaction. Accounts that do not exist, or were created after LastActivity.Event,
	// are passed over.
	SetLast(ctx context.Context, batch []LastActivity) error

	// LastActivity is what was recorded last, or ErrNotFound.
	Last(ctx context.Context, owner jid.JID) (LastActivity, error)
}

// LastActivity is when an account was last there.
type LastActivity struct {
	Owner  jid.JID
	At     time.Time // UTC, to the second
	Status []byte    // the text of its last unavailable presence, or nothing
	Event  int64     // for SetLast: an event of the account that is meant; 0: of whichever there is
}

// LoginState is what binding a resource needs to know.
type LoginState struct {
	Roster     Roster
	HasOffline bool // messages are waiting
}
