// Package store defines what outlives a session: accounts, rosters, offline messages,
// last activity, and small blobs such as vCards. It has the types and the interface.
// store/sqlite implements it, and store/storetest tests any implementation.
//
// # Durability
//
// A write that returned nil is durable: it survives the end of the process and of the
// machine. Writes for one owner by one goroutine happen in the order of the calls. A
// write that returned an error changed nothing, unless the disk or the network failed
// at the very end. If the context ends before a write has begun, the write never
// happens; after that, the call waits for the outcome.
//
// # Addresses
//
// Owners and accounts are bare JIDs with a localpart; of a full JID, the bare JID
// counts. An implementation never keeps a JID or a slice that was passed to it, and
// never returns memory that it shares with another caller.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"roost/jid"
)

// Errors of a Store. They are returned with context: test for them with errors.Is.
var (
	ErrNotFound     = errors.New("not found")
	ErrExists       = errors.New("already exists")
	ErrHeld         = errors.New("an account of this name was deleted not long ago, or the name is reserved") // of RegisterAccount
	ErrConflict     = errors.New("changed by someone else in the meantime")
	ErrQuota        = errors.New("quota exceeded")
	ErrContactQuota = fmt.Errorf("%w, the sender is in the roster", ErrQuota) // of AppendOffline
	ErrBlocked      = errors.New("the sender is blocked")                     // of AppendOffline
	ErrClosed       = errors.New("the store is closed")
	ErrLongKey      = fmt.Errorf("an address or a key is longer than %d bytes", MaxKey) // that of a roster item, or of a blob
)

// MaxKey is the length of the longest address of a roster item and of the longest key of a blob,
// in bytes. PostgreSQL has no space in its indexes for three parts of 1023 bytes (RFC 7622
// section 3.1), but all bare JIDs are shorter.
const MaxKey = 2500

// CheckKey returns ErrLongKey for an address or a key that is longer than MaxKey.
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return ErrLongKey
	}
	return nil
}

// Store is all that a server keeps. Its methods may be called from any goroutine. They
// may wait for a disk or a network, so code that must not block must not call them.
//
// For an account that does not exist, reads find nothing (an empty Roster, no message,
// no blob) and return no error, unless the method says otherwise. Writes return
// ErrNotFound, but deleting something that does not exist is not an error.
//
// If ctx has ended, a method does nothing and returns an error that wraps ctx.Err().
type Store interface {
	Accounts
	Rosters
	Offline
	Blobs
	Activity
	Blocks
	Sessions
	Invitations

	// LoginState returns all that binding a resource needs, in one read.
	LoginState(ctx context.Context, owner jid.JID) (LoginState, error)

	// Close finishes the writes that have been accepted and closes the store. All
	// other methods then return ErrClosed, as does a Watch that is running. Closing a
	// store again does nothing.
	Close() error
}

// ImportMode says what ImportAccounts does with accounts that already exist.
type ImportMode int

// The modes.
const (
	SkipExisting   ImportMode = iota // leave them as they are
	UpdateExisting                   // replace their credentials, with an event that ends their sessions
	UpdateQuietly                    // replace their credentials; their sessions stay
)

// ImportModeOf returns the mode that updates existing accounts or not and, if it does, keeps
// their sessions or not.
func ImportModeOf(update, keepSessions bool) ImportMode {
	switch {
	case !update:
		return SkipExisting
	case keepSessions:
		return UpdateQuietly
	}
	return UpdateExisting
}

// Accounts stores the accounts that may log in.
type Accounts interface {
	// Account returns one account, or ErrNotFound without context: formatting an
	// error takes time, which would tell whether an account exists.
	Account(ctx context.Context, bare jid.JID) (Account, error)

	// Shapes returns the number of accounts by the shape of their credentials. If there
	// are many accounts, it may count a sample only, which stays the same until accounts
	// change.
	Shapes(ctx context.Context) (map[Shape]int, error)

	// MissingKeys returns the hash functions that at least one account of a domain has
	// no keys for. Its cost does not depend on the number of accounts.
	MissingKeys(ctx context.Context, domain string) (HashSet, error)

	// CreateAccount adds an account, with an empty roster. If the account exists, it
	// returns ErrExists. A zero Created means now.
	CreateAccount(ctx context.Context, a Account) error

	// RegisterAccount adds an account as CreateAccount does, or returns ErrExists. If an
	// account of its name was deleted at since or later, it returns ErrHeld: messages and
	// subscriptions for the former owner would reach the new one. It returns that error also
	// if an invitation reserves the name. The store may forget the names of accounts that
	// were deleted before since, and in any case after HoldLimit.
	RegisterAccount(ctx context.Context, a Account, since time.Time) error

	// SetCredentials replaces an account's credentials, or returns ErrNotFound. Unless
	// was is AnyEvent, the account's newest event (Account.Event) must be was: if
	// anything else has happened to the account, such as that it was deleted and
	// created again, nothing changes and SetCredentials returns ErrConflict.
	//
	// event is the ID of the event by which servers end the sessions that authenticated
	// with the old credentials. With keepSessions, they end only the streams that have
	// not bound a resource.
	SetCredentials(ctx context.Context, bare jid.JID, was int64, c Credentials, keepSessions bool) (event int64, err error)

	// AddKeys adds keys to an account, for the hash functions that it has none for; the
	// others in c are ignored. The password stays the same, so this is no event. Unless
	// was is AnyEvent, the account's newest event must be was; otherwise nothing
	// changes and AddKeys returns ErrConflict. Without an account it returns
	// ErrNotFound.
	AddKeys(ctx context.Context, bare jid.JID, was int64, c Credentials) error

	// SetDisabled locks or unlocks an account, or returns ErrNotFound.
	SetDisabled(ctx context.Context, bare jid.JID, disabled bool) error

	// DeleteAccount deletes an account and all its data, or returns ErrNotFound.
	// Unless was is AnyEvent, the account's newest event (Account.Event) must be was:
	// if anything else has happened to the account, nothing changes and DeleteAccount
	// returns ErrConflict. So an account that was created under the same name after
	// the caller had read the old one is not deleted.
	//
	// The roster items that other accounts have for it stay, but subscriptions,
	// requests and approvals end on both sides. EventContacts returns the accounts
	// whose rosters changed.
	DeleteAccount(ctx context.Context, bare jid.JID, was int64) error

	// DeleteUnused deletes an account as DeleteAccount does if it was used last before the
	// time unused, or if it was never used and was created before the time never; see
	// Account.Used. A zero time selects no account. Otherwise nothing changes and DeleteUnused
	// returns ErrConflict. It returns ErrNotFound without an account.
	DeleteUnused(ctx context.Context, bare jid.JID, unused, never time.Time) error

	// ForgetDeleted forgets the names of accounts that were deleted before names, and the
	// account events before events, except the newest one. If there are many, it does so in
	// several transactions, so that other writes need not wait; an error, or the end of ctx,
	// may leave some.
	ForgetDeleted(ctx context.Context, names, events time.Time) error

	// ListAccounts returns at most limit accounts after the address after, which is
	// zero for the first page, in the order of domain and localpart. An empty domain
	// means all domains. The accounts have no credentials.
	ListAccounts(ctx context.Context, domain string, after jid.JID, limit int) ([]Account, error)

	// ListLacking is as ListAccounts, for the accounts that have no keys for a hash
	// function. It finds them by an index.
	ListLacking(ctx context.Context, h Hash, domain string, after jid.JID, limit int) ([]Account, error)

	// ImportAccounts creates the accounts that do not exist, in one transaction. mode
	// says what it does with the others. It returns the number of accounts that it
	// created and of those that existed.
	ImportAccounts(ctx context.Context, accounts []Account, mode ImportMode) (created, existing int, err error)

	// CreateAccounts creates the accounts that do not exist, with all their data, in one
	// transaction; it leaves those that exist as they are. created tells which were
	// created. No quota applies, and messages are stored although their sender is blocked.
	// With an address or a key that is longer than MaxKey, it returns ErrLongKey, and creates
	// none.
	CreateAccounts(ctx context.Context, all []AccountData) (created []bool, err error)

	// Watch calls f for what happens to accounts, in this process or another: with the
	// events after the event after, oldest first, each once, and normally within a
	// second. f runs on the caller's goroutine and owns the slice. Watch returns when
	// ctx ends (with its error), when f returns an error (with that error), or when
	// the store cannot be read. To continue, call Watch again with the last event that
	// was processed; LastAccountEvent returns where to start.
	Watch(ctx context.Context, after int64, f func([]AccountEvent) error) error

	// AccountEvents returns at most limit events after the event after, oldest first,
	// for callers that cannot wait for Watch. Events are kept for at least an hour.
	AccountEvents(ctx context.Context, after int64, limit int) ([]AccountEvent, error)

	// EventContacts returns the accounts whose rosters a deletion changed, in the
	// order of their addresses: at most limit after the address after, which is zero
	// for the first page. They are kept as long as the event.
	EventContacts(ctx context.Context, event int64, after jid.JID, limit int) ([]EventContact, error)

	// LastAccountEvent returns the ID of the newest event, or 0 if there is none.
	LastAccountEvent(ctx context.Context) (int64, error)
}

// HoldLimit is how long a store knows the names of deleted accounts.
const HoldLimit = 366 * 24 * time.Hour

// IsUnused reports whether an account is one that DeleteUnused deletes. Only accounts of lists have
// what this needs.
func (a *Account) IsUnused(unused, never time.Time) bool {
	if a.Used.IsZero() {
		return a.Created.Before(never)
	}
	return a.Used.Before(unused)
}

// AnyEvent makes SetCredentials, AddKeys and DeleteAccount act whatever has happened to an account.
const AnyEvent int64 = -1

// Account is one account.
type Account struct {
	JID         jid.JID // bare
	Credentials Credentials
	Disabled    bool      // may not log in
	Created     time.Time // to the second

	// Used is when the account was used last, as far as is known: when its last resource left,
	// or the end of the day on which NoteUse was called for it. Zero: never. Only lists have it.
	Used time.Time

	// The store sets Generation and Event. Generation is the ID of the event of the
	// account's creation, which distinguishes it from any other account of the same
	// name. Event is the ID of its newest event: an event with a larger ID happened
	// after the account was read.
	Generation, Event int64
}

// EventKind is the kind of an account event.
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

// AccountEvent is something that happened to an account.
type AccountEvent struct {
	ID   int64 // increases, possibly with gaps, and is never reused
	JID  jid.JID
	Kind EventKind
	At   time.Time // to the second
}

// EventContact is an account whose roster was changed by the deletion of another
// account, and what its roster had for that account before.
type EventContact struct {
	JID          jid.JID // bare
	Subscription Subscription
	Ask          bool // the account had requested a subscription to the deleted one
	Approved     bool
	Pending      bool // the deleted account had requested a subscription
}

// Offline stores messages until their recipient is online (XEP-0160).
type Offline interface {
	// AppendOffline stores a message, complete except for the delay stamp. If it
	// exceeds the quota, nothing is stored and AppendOffline returns ErrQuota; if the
	// sender's bare JID is in the owner's roster, that is ErrContactQuota. Without an
	// account it returns ErrNotFound. If the owner has blocked the sender, that is, a key
	// of its blobs of kind BlockedKind is the sender's full JID, bare JID or domain, nothing
	// is stored and AppendOffline returns ErrBlocked. An account cannot block itself. The
	// cost does not depend on the number of stored messages, unless the quota may be
	// exceeded.
	AppendOffline(ctx context.Context, owner jid.JID, m NewMessage, quota OfflineQuota) error

	// AppendOfflineAll stores several messages for an account, in order and in one
	// transaction. stored has a result for each: the message's ID, or the error that
	// AppendOffline would have returned for it. If err is not nil, none is stored. Those that
	// take the place of another one are not subject to the quota; the other one is deleted,
	// also if the message is refused, because its sender is blocked.
	AppendOfflineAll(ctx context.Context, owner jid.JID, all []NewMessage, quota OfflineQuota) (stored []StoredMessage, err error)

	// Offline returns messages with an ID larger than after, in the order in which
	// they were stored: as many as fit in maxBytes, but at least one if there is one.
	// more reports whether others follow.
	Offline(ctx context.Context, owner jid.JID, after int64, maxBytes int) (msgs []OfflineMessage, more bool, err error)

	// DeleteOffline deletes an account's messages with these IDs, if they exist.
	DeleteOffline(ctx context.Context, owner jid.JID, ids []int64) error

	// ExpireOffline deletes messages, of all accounts, that were received before a time,
	// and returns their number, at most limit. If it returns 0, there are none left, but
	// for those that were stored after limit others which were received later.
	ExpireOffline(ctx context.Context, before time.Time, limit int) (deleted int, err error)

	// CountOffline returns the number of stored messages.
	CountOffline(ctx context.Context, owner jid.JID) (int, error)
}

// NewMessage is a message to be stored.
type NewMessage struct {
	From     jid.JID // the sender; required; quotas count by its bare JID
	Stanza   []byte
	Received time.Time // stored to the millisecond
	Replaces int64     // for AppendOfflineAll: the ID of a message of the same account that it takes the place of; 0: none
}

// StoredMessage is the outcome for one of several messages to be stored.
type StoredMessage struct {
	ID  int64 // 0 if it was refused
	Err error // why it was refused: ErrQuota, ErrContactQuota, ErrBlocked or ErrNotFound
}

// OfflineQuota limits the messages stored for one account and the bytes of their
// stanzas: of all senders together, and of each, so that one sender cannot use all of
// the space. 0 means no limit.
type OfflineQuota struct {
	Messages       int
	Bytes          int64
	SenderMessages int
	SenderBytes    int64
}

// OfflineMessage is a stored message.
type OfflineMessage struct {
	ID       int64     // increases in the order of arrival
	Received time.Time // UTC, to the millisecond
	Stanza   []byte
}

// LoginState is what binding a resource needs to know.
type LoginState struct {
	Roster     Roster
	HasOffline bool // messages are stored
	Used       Day  // the newest day of NoteUse, 0 if there is none
}
