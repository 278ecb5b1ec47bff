package router

import (
	"roost/session"
	"roost/stanza"
)

// Stats are the counters of a Router since it was made. RosterBytes and RosterEntries are
// current values.
type Stats struct {
	// Messages by what became of them. One to an account with several clients counts once.
	Delivered int64 // to at least one client, or by a route to another domain
	Stored    int64 // for when a client becomes available
	Refused   int64 // the sender was sent an error, unless that would reveal which accounts exist
	Dropped   int64 // there was no resource to take them, and their kind is neither stored nor refused (RFC 6121 section 8.5)
	Handled   int64 // by an extension

	OfflineDelivered int64 // stored messages that were sent to a client
	OfflineDeleted   int64 // of these, those that were deleted from the store
	OfflineExpired   int64 // stored messages that this server has deleted because they were too old

	// What was refused because an account has sent too much to those who do not know it.
	StrangerMessages, SubscriptionRequests int64

	Invited int64 // accounts that were created by invitations

	// The cache of rosters.
	RosterHits, RosterMisses, RosterEvictions int64
	RosterBytes, RosterLimit                  int64
	RosterEntries                             int
}

// Messages returns the number of all messages.
func (s *Stats) Messages() int64 {
	return s.Delivered + s.Stored + s.Refused + s.Dropped + s.Handled
}

var (
	countMessages  = session.NewCounter(messageOutcomes)
	countDelivered = session.NewCounter(1) // stored messages
)

// What becomes of a message.
const (
	messageDelivered = iota
	messageStored
	messageRefused
	messageDropped
	messageHandled
	messageOutcomes
)

// countMessage counts a stanza, if it is a message, when it is clear what becomes of it.
func countMessage(t *session.Turn, st *stanza.Stanza, outcome int) {
	if st.Kind == stanza.Message {
		countMessages.Add(t, outcome, 1)
	}
}

// Stats returns a snapshot. The numbers may be from slightly different moments.
func (r *Router) Stats() Stats {
	message := func(outcome int) int64 { return countMessages.Total(r.sessions, outcome) }
	r.rosters.CleanUp() // otherwise the size may lack what has just been put there
	rosters := r.rosters.Stats()
	return Stats{
		Delivered: message(messageDelivered), Stored: message(messageStored), Refused: message(messageRefused),
		Dropped: message(messageDropped), Handled: message(messageHandled),
		OfflineDelivered: countDelivered.Total(r.sessions, 0), OfflineDeleted: r.undeleted.deleted.Load(), OfflineExpired: r.expired.Load(),
		StrangerMessages: r.strangers.refusedMessages.Load(), SubscriptionRequests: r.strangers.refusedRequests.Load(),
		Invited:    countInvitedAccounts.Total(r.sessions, 0),
		RosterHits: int64(rosters.Hits), RosterMisses: int64(rosters.Misses), RosterEvictions: int64(rosters.Evictions),
		RosterBytes: int64(r.rosters.WeightedSize()), RosterLimit: int64(r.config().RosterCache), RosterEntries: r.rosters.EstimatedSize(),
	}
}
