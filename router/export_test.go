package router

import (
	"testing"
	"time"

	"roost/jid"
)

// PresenceLocked reports whether an account's presence lock is held.
func (r *Router) PresenceLocked(bare string) bool {
	mu := &r.presenceLocks[r.stripe(bare)]
	if mu.TryLock() {
		mu.Unlock()
		return false
	}
	return true
}

// RostersLocked reports whether an account's roster lock is held.
func (r *Router) RostersLocked(bare string) bool {
	mu := &r.rosterLocks[r.stripe(bare)]
	if mu.TryLock() {
		mu.Unlock()
		return false
	}
	return true
}

// ForgetUntaken forgets the messages of which no resource has taken a copy lately.
func (r *Router) ForgetUntaken() {
	r.untaken.mu.Lock()
	defer r.untaken.mu.Unlock()
	clear(r.untaken.last)
}

// StoredItem is what another node sends when it has stored messages for an account.
var StoredItem = storedItem

// ItemRest is the first byte of what follows a session that has moved. The others are those of items
// that a node passes on for it, and of what they are passed on in.
const (
	ItemRest         = byte(itemRest)
	ItemPassed       = byte(itemPassed)
	ItemBroadcast    = byte(itemBroadcast)
	ItemAvailable    = byte(itemAvailable)
	ItemProbe        = byte(itemProbe)
	ItemSubscription = byte(itemSubscription)
	ItemPush         = byte(itemPush)
	ItemBlocklist    = byte(itemBlocklist)
)

// NewBlocklist makes a list of these addresses.
var NewBlocklist = newBlocklist

// SpendAdvances makes the clock of presence changes advance no more.
func (r *Router) SpendAdvances() {
	c := &r.changesSeen
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare, c.added = 0, time.Now().Add(time.Hour)
}

// RememberChanges limits how many accounts of other nodes are remembered for inactive clients.
func RememberChanges(t testing.TB, n int) {
	before := maxChanges
	maxChanges = n
	t.Cleanup(func() { maxChanges = before })
}

// CheckDepartures sets how often it is checked whether the node is alive that a session moves to.
func CheckDepartures(t testing.TB, every time.Duration) {
	before := departCheck
	departCheck = every
	t.Cleanup(func() { departCheck = before })
}

// IsTaken reports whether an item between nodes says that a session has arrived.
func IsTaken(item []byte) bool { return itemKind(item[0]) == itemTaken }

// WaitForKicks has clients wait as long as necessary for the ends of sessions on other nodes.
func WaitForKicks(t testing.TB) {
	before := kickLimit
	kickLimit = time.Hour
	t.Cleanup(func() { kickLimit = before })
}

// GiveUpKicks has clients wait hardly at all for the ends of sessions on other nodes.
func GiveUpKicks(t testing.TB) {
	before := kickLimit
	kickLimit = time.Nanosecond
	t.Cleanup(func() { kickLimit = before })
}

// Kicking is how many clients wait for the ends of sessions on other nodes.
func (r *Router) Kicking() int32 { return r.kicking.Load() }

// Stripe returns the index of an account's locks.
func (r *Router) Stripe(bare string) uint64 { return r.stripe(bare) }

// FlagReached says that a list of resources follows in an item with a message.
const FlagReached = messageReached

// MessageItem is a message between nodes, with these flags and fields that belong to them, from a
// client of a node; 0: of the one that has sent the item.
func MessageItem(flags uint64, fields []byte, node NodeID, from jid.JID, xml string) []byte {
	b := appendNumber(appendKind(nil, itemMessage), flags)
	b = append(appendNumber(appendNumber(b, 0), 0), fields...)
	return append(appendField(appendNumber(b, uint64(node)), from.String()), xml...)
}

// ReachedFields are the fields of an item with FlagReached: one resource takes the message.
func ReachedFields(resource string, node NodeID) []byte {
	m := nodeMessage{reached: []reached{{resource, node, true}}}
	return m.appendTo(nil, 0)[3:] // without flags, hops and ID
}

// LeastStored is about the size of the smallest stored message.
const LeastStored = leastStored
