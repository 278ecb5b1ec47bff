package store

import (
	"context"
	"time"

	"roost/jid"
)

// Rosters are the contact lists (RFC 6121 sections 2 and 3).
type Rosters interface {
	// Roster is a whole roster; an empty one of version 0 when the account has
	// none.
	Roster(ctx context.Context, owner jid.JID) (Roster, error)

	// RosterChanges is what changed behind version since, in the order of
	// versions and each contact at most once (RFC 6121 section 2.6). current
	// is the roster's version. ok is false when that cannot be told, because
	// since is too old or was never a version: the whole roster is to be sent.
	RosterChanges(ctx context.Context, owner jid.JID, since int64) (changes []RosterChange, current int64, ok bool, err error)

	// ApplyRoster changes the rosters of several owners in one transaction and
	// returns the version of each afterwards, in the order of updates. Where an
	// owner occurs more than once, each update expects the version that the one
	// before it leads to. If the version of one roster is not what its update expects
	// (ErrConflict), or one owner has no account (ErrNotFound), nothing is
	// changed; errors.As with *RosterError tells whose update it was.
	ApplyRoster(ctx context.Context, updates []RosterUpdate) ([]int64, error)

	// SubscriptionRequests are an owner's pending inbound requests, oldest
	// first.
	SubscriptionRequests(ctx context.Context, owner jid.JID) ([]Request, error)
}

// Subscription is the state of a roster item (RFC 6121 section 2.1.2.5).
type Subscription uint8

// The states of a subscription. From and To are bits: the contact gets the
// owner's presence (From), the owner gets the contact's (To).
const (
	None Subscription = 0
	To   Subscription = 1
	From Subscription = 2
	Both Subscription = 3
)

// String is the state as the roster has it: "none", "to", "from", "both".
func (s Subscription) String() string {
	return [...]string{"none", "to", "from", "both"}[s&3]
}

// HasTo reports whether the owner gets the contact's presence.
func (s Subscription) HasTo() bool { return s&To != 0 }

// HasFrom reports whether the contact gets the owner's presence.
func (s Subscription) HasFrom() bool { return s&From != 0 }

// Roster is a contact list.
type Roster struct {
	Generation int64 // Account.Generation of its owner
	Version    int64 // increases by one with every change of an item; begins anywhere past those of a former account of the same name; 0: no account
	Items      []RosterItem
	Requests   []string // bare JIDs whose inbound request is pending ("Pending In"), with or without an item
}

// RosterItem is one contact.
type RosterItem struct {
	JID          jid.JID // bare as a rule, but any address may be a contact
	Name         string
	Groups       []string // without duplicates, in no particular order
	Subscription Subscription
	Ask          bool  // a subscription request of ours is pending ("Pending Out")
	Approved     bool  // pre-approved (RFC 6121 section 3.4)
	Version      int64 // the roster's version with the item's last change
}

// RosterChange is one step from an older version of a roster to the current one.
type RosterChange struct {
	Version int64
	Removed bool       // Item has only a JID
	Item    RosterItem // as it is now
}

// RosterUpdate is what is to happen to one owner's roster.
type RosterUpdate struct {
	Owner  jid.JID
	Expect int64 // the version on which the caller based its decision

	Put    *RosterItem // added, or replaced whole; its Version is ignored. Nil: none
	Remove jid.JID     // the item that is removed, if it is there. Zero: none

	AddRequest    *Request // replaces one of the same contact. Nil: none
	RemoveRequest jid.JID  // the contact whose request is removed, if there is one. Zero: none
}

// ChangesItems reports whether the update changes an item, and with it the
// version, or only requests. A Remove of an item that is not there changes
// nothing.
func (u *RosterUpdate) ChangesItems() bool { return u.Put != nil || !u.Remove.IsZero() }

// Request is a contact's subscription request that waits for an answer (RFC
// 6121 section 3.1.3).
type Request struct {
	From     jid.JID   // bare
	Stanza   []byte    // the whole presence stanza, extensions included; number and size are the caller's to cap
	Received time.Time // UTC, to the second
}

// RosterError tells which update of ApplyRoster failed. It wraps ErrConflict or
// ErrNotFound.
type RosterError struct {
	Index   int     // of the update
	Owner   jid.JID // whose it is
	Current int64   // with ErrConflict: the version there is
	Err     error
}

// Error names the owner and what is wrong.
func (e *RosterError) Error() string { return "roster of " + e.Owner.String() + ": " + e.Err.Error() }

// Unwrap is the predeclared error.
func (e *RosterError) Unwrap() error { return e.Err }
