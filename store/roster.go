package store

import (
	"context"
	"time"

	"roost/jid"
)

// Rosters stores contact lists (RFC 6121 sections 2 and 3).
type Rosters interface {
	// Roster returns a complete roster; if there is no such account, an empty one of
	// version 0.
	Roster(ctx context.Context, owner jid.JID) (Roster, error)

	// RostersOf is Roster for several owners, in their order. The rosters may be of different
	// moments.
	RostersOf(ctx context.Context, owners []jid.JID) ([]Roster, error)

	// RosterVersions returns the versions of the rosters of several owners, in their order, 0 for
	// those that have no account.
	RosterVersions(ctx context.Context, owners []jid.JID) ([]int64, error)

	// BlockedOf returns what several owners have blocked, in their order, as in Roster.Blocked.
	BlockedOf(ctx context.Context, owners []jid.JID) ([][]string, error)

	// RosterChanges returns what changed after version since, in the order of versions
	// and each contact at most once (RFC 6121 section 2.6). current is the roster's
	// version. ok is false if the changes are not known, because since is too old or
	// was never a version: the client then needs the complete roster.
	RosterChanges(ctx context.Context, owner jid.JID, since int64) (changes []RosterChange, current int64, ok bool, err error)

	// ApplyRoster changes the rosters of several owners in one transaction, and returns
	// the resulting versions in the order of updates. If an owner occurs more than
	// once, each update must expect the version that results from the one before it.
	// If a roster does not have the version that its update expects (ErrConflict), or
	// an owner has no account (ErrNotFound), nothing changes; the error is a
	// *RosterError, for errors.As, which names the update. For an item whose address is
	// longer than MaxKey, it returns ErrLongKey, and nothing changes.
	ApplyRoster(ctx context.Context, updates []RosterUpdate) ([]int64, error)

	// SubscriptionRequests returns an owner's pending inbound requests, oldest first.
	SubscriptionRequests(ctx context.Context, owner jid.JID) ([]Request, error)
}

// BlockedKind is the kind of the blobs whose keys are the addresses that an account has
// blocked (XEP-0191).
const BlockedKind = "urn:xmpp:blocking"

// Subscription is the state of a roster item (RFC 6121 section 2.1.2.5).
type Subscription uint8

// The states of a subscription. From and To are bits: with From, the contact receives
// the owner's presence; with To, the owner receives the contact's.
const (
	None Subscription = 0
	To   Subscription = 1
	From Subscription = 2
	Both Subscription = 3
)

// String returns the state as it is written in a roster: "none", "to", "from", "both".
func (s Subscription) String() string {
	return [...]string{"none", "to", "from", "both"}[s&3]
}

// HasTo reports whether the owner receives the contact's presence.
func (s Subscription) HasTo() bool { return s&To != 0 }

// HasFrom reports whether the contact receives the owner's presence.
func (s Subscription) HasFrom() bool { return s&From != 0 }

// Roster is a contact list.
type Roster struct {
	Generation int64 // Account.Generation of its owner
	Version    int64 // increases by one with each change of an item; larger than any version of a former account of the same name; 0 means no account
	Items      []RosterItem
	Requests   []string // bare JIDs whose inbound request is pending ("Pending In"), with or without an item
	Blocked    []string // keys of the owner's blobs of kind BlockedKind, in the order of their bytes: addresses that it has blocked
}

// RosterItem is one contact.
type RosterItem struct {
	JID          jid.JID // usually bare, but any address may be a contact
	Name         string
	Groups       []string // without duplicates, in no particular order
	Subscription Subscription
	Ask          bool  // a subscription request of the owner is pending ("Pending Out")
	Approved     bool  // pre-approved (RFC 6121 section 3.4)
	Version      int64 // of the roster after the item's last change
}

// RosterChange is one step from an older version of a roster to the current one.
type RosterChange struct {
	Version int64
	Removed bool       // Item has only a JID
	Item    RosterItem // as it is now
}

// RosterUpdate is a change of one owner's roster.
type RosterUpdate struct {
	Owner  jid.JID
	Expect int64 // the version on which the caller based its decision

	Put    *RosterItem // to be added, or to replace the item of that contact; its Version is ignored; nil means none
	Remove jid.JID     // the contact whose item is removed, if it exists; zero means none

	AddRequest    *Request // replaces one of the same contact; nil means none
	RemoveRequest jid.JID  // the contact whose request is removed, if it exists; zero means none
}

// ChangesItems reports whether the update is for an item, and so changes the version, or
// only for requests. Removing an item that does not exist changes nothing.
func (u *RosterUpdate) ChangesItems() bool { return u.Put != nil || !u.Remove.IsZero() }

// Request is a contact's subscription request to which the owner has not replied (RFC
// 6121 section 3.1.3).
type Request struct {
	From     jid.JID   // bare
	Stanza   []byte    // the complete presence stanza; the caller limits number and size
	Received time.Time // UTC, to the second
}

// RosterError names the update of ApplyRoster that failed. It wraps ErrConflict or
// ErrNotFound.
type RosterError struct {
	Index   int     // of the update
	Owner   jid.JID // of the roster
	Current int64   // with ErrConflict: the roster's version
	Err     error
}

// Error returns a text with the owner and the reason.
func (e *RosterError) Error() string { return "roster of " + e.Owner.String() + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *RosterError) Unwrap() error { return e.Err }
