package router

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// Roster is an account's contact list in memory: an immutable, shared snapshot, sorted by
// address.
type Roster struct {
	Version    int64
	Generation int64              // of its owner's account
	Items      []store.RosterItem // sorted by JID
	Requests   []string           // bare JIDs with a pending inbound request, sorted
	blocked    *Blocklist         // of its owner
	used       atomic.Int64       // the day on which the use of the account was noted last, not a part of the snapshot: see noteUse
}

func newRoster(sr store.Roster) *Roster {
	r := &Roster{Version: sr.Version, Generation: sr.Generation, Items: sr.Items, Requests: sr.Requests,
		blocked: newBlocklist(sr.Blocked)}
	slices.SortFunc(r.Items, func(a, b store.RosterItem) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	slices.Sort(r.Requests)
	return r
}

// weight returns the approximate memory use of the roster, in bytes.
func (r *Roster) weight() uint32 {
	n := 200
	for i := range r.Items {
		it := &r.Items[i]
		n += 96 + len(it.JID.String()) + len(it.Name)
		for _, g := range it.Groups {
			n += 16 + len(g)
		}
	}
	for _, q := range r.Requests {
		n += 16 + len(q)
	}
	return uint32(n + r.blocked.weight())
}

// sentBytes returns an upper limit of the roster's size in XML.
func (r *Roster) sentBytes() int {
	n := 0
	for i := range r.Items {
		n += sentBytes(&r.Items[i])
	}
	return n
}

// sentBytes returns an upper limit of an item's size in XML: its markup, and its text with
// some characters escaped. If only the text counted, a roster with many short groups could be
// twenty times larger than its limit.
func sentBytes(it *store.RosterItem) int {
	const markup, group = 90, len("<group></group>")
	n := markup + escapedLen(it.JID.String()) + escapedLen(it.Name)
	for _, g := range it.Groups {
		n += group + escapedLen(g)
	}
	return n
}

// escapedLen returns an upper limit of the length of a text after escaping.
func escapedLen(s string) int {
	n := len(s)
	for i := range len(s) {
		switch s[i] {
		case '\'', '"', '&', '<', '>', '\t', '\n', '\r':
			n += len("&apos;") - 1
		}
	}
	return n
}

// itemBytes returns the size of what a client has written in an item.
func itemBytes(it *store.RosterItem) int {
	n := len(it.JID.String()) + len(it.Name)
	for _, g := range it.Groups {
		n += len(g)
	}
	return n
}

// checkRosterLimits returns an error if an item would make a roster too large.
func (r *Router) checkRosterLimits(ro *Roster, item *store.RosterItem) error {
	old, found := ro.Item(item.JID.String())
	if !found && len(ro.Items) >= r.config().MaxRoster {
		return errRosterFull
	}
	more := sentBytes(item)
	if found {
		more -= sentBytes(&old)
	}
	if more > 0 && ro.sentBytes()+more > r.config().RosterBytes {
		return errRosterFull
	}
	return nil
}

var errRosterFull = stanza.ResourceConstraint.WithText("The roster is full.")

func (r *Roster) find(contact string) (int, bool) {
	return slices.BinarySearchFunc(r.Items, contact, func(it store.RosterItem, c string) int {
		return strings.Compare(it.JID.String(), c)
	})
}

// Item returns the item of a contact, or a zero item.
func (r *Roster) Item(contact string) (store.RosterItem, bool) {
	if i, ok := r.find(contact); ok {
		return r.Items[i], true
	}
	return store.RosterItem{}, false
}

// Pending reports whether a contact's subscription request is pending.
func (r *Roster) Pending(contact string) bool {
	_, ok := slices.BinarySearch(r.Requests, contact)
	return ok
}

// Subscribed reports whether the contact gets the owner's presence: nobody does if r is nil.
func (r *Roster) Subscribed(contact string) bool {
	if r == nil {
		return false
	}
	it, ok := r.Item(contact)
	return ok && it.Subscription.HasFrom()
}

// copy returns a copy, which shares the lists.
func (r *Roster) copy() *Roster {
	n := &Roster{Version: r.Version, Generation: r.Generation, Items: r.Items, Requests: r.Requests, blocked: r.blocked}
	n.used.Store(r.used.Load())
	return n
}

// after returns the roster after an update was applied.
func (r *Roster) after(u *store.RosterUpdate, version int64) *Roster {
	n := r.copy()
	n.Version = version
	if u.Put != nil {
		it := *u.Put
		it.Version = version
		i, found := r.find(it.JID.String())
		n.Items = slices.Clone(r.Items)
		if found {
			n.Items[i] = it
		} else {
			n.Items = slices.Insert(n.Items, i, it)
		}
	}
	if !u.Remove.IsZero() {
		if i, found := r.find(u.Remove.String()); found {
			n.Items = slices.Delete(slices.Clone(r.Items), i, i+1)
		}
	}
	if u.AddRequest != nil {
		from := u.AddRequest.From.String()
		if i, found := slices.BinarySearch(r.Requests, from); !found {
			n.Requests = slices.Insert(slices.Clone(r.Requests), i, from)
		}
	}
	if !u.RemoveRequest.IsZero() {
		if i, found := slices.BinarySearch(n.Requests, u.RemoveRequest.String()); found {
			n.Requests = slices.Delete(slices.Clone(n.Requests), i, i+1)
		}
	}
	return n
}

// lockRosters takes the roster locks of one or two accounts, in the order of their stripes,
// and returns a function that unlocks them. Only turns that may write may call it: the
// locks are held during commits.
func (r *Router) lockRosters(a jid.JID, others ...jid.JID) (unlock func()) {
	first := &r.rosterLocks[r.stripe(a.String())]
	if len(others) == 0 {
		first.Lock()
		return first.Unlock
	}
	i, j := r.stripe(a.String()), r.stripe(others[0].String())
	if i == j {
		first.Lock()
		return first.Unlock
	}
	first, second := &r.rosterLocks[min(i, j)], &r.rosterLocks[max(i, j)]
	first.Lock()
	second.Lock()
	return func() {
		second.Unlock()
		first.Unlock()
	}
}

// cached returns an account's roster if it is in memory.
func (r *Router) cached(bare string) (*Roster, bool) { return r.rosters.GetIfPresent(bare) }

// Roster returns an account's roster, read from the store if it is not in memory. Only
// workers may call it. Without the roster lock, the roster may change at any time.
func (r *Router) Roster(owner jid.JID) (*Roster, error) {
	if ro, ok := r.cached(owner.String()); ok {
		return ro, nil
	}
	seen := r.changesOf(owner.String()).Load()
	sr, err := r.config().Store.Roster(r.ctx, owner)
	if err != nil {
		return nil, err
	}
	ro := newRoster(sr)
	r.remember(owner.Clone(), ro, seen)
	return ro, nil
}

// tryRoster is Roster for a turn that may not wait for the store: if the roster is not in
// memory, it returns the work that the turn has to wait for. owner may be borrowed.
func (r *Router) tryRoster(t *session.Turn, owner jid.JID) (ro *Roster, need session.Work, err error) {
	if ro, ok := r.cached(owner.String()); ok {
		return ro, session.Done, nil
	}
	if !t.MayBlock() {
		return nil, session.Read, nil
	}
	ro, err = r.Roster(owner.Clone())
	return ro, session.Done, err
}

// tryOwnRoster is tryRoster for a session's own account.
func (r *Router) tryOwnRoster(t *session.Turn, s *session.Session) (ro *Roster, need session.Work, err error) {
	if ro, need, err = r.tryRoster(t, s.JID().Bare()); ro != nil {
		ro = own(s, ro)
	}
	return ro, need, err
}

// cachedOwn returns the roster of a session's own account, if it is in memory.
func (r *Router) cachedOwn(s *session.Session) (*Roster, bool) {
	ro, ok := r.cached(s.BareJID())
	if !ok {
		return nil, false
	}
	return own(s, ro), true
}

// ownRoster returns the roster of a session's own account. Only workers may call it.
func (r *Router) ownRoster(s *session.Session) (*Roster, error) {
	ro, err := r.Roster(s.JID().Bare())
	if err != nil {
		return nil, err
	}
	return own(s, ro), nil
}

// own returns ro, or an empty roster if ro belongs to an account that was created after the
// session authenticated: the session is that of a former account of the same name, and will
// end soon.
func own(s *session.Session, ro *Roster) *Roster {
	if s.AuthenticatedBefore(ro.Generation) {
		return &Roster{}
	}
	return ro
}

// rosterToChange returns the roster of a session's own account as the basis of a change:
// the store refuses the change if the roster has changed by then. Only turns that may write
// may call it.
func (r *Router) rosterToChange(s *session.Session) (*Roster, error) {
	ro, err := r.Roster(s.JID().Bare())
	if err != nil {
		return nil, err
	}
	if ro.Version == 0 || s.AuthenticatedBefore(ro.Generation) {
		return nil, stanza.NotAuthorized
	}
	return ro, nil
}

// change is one account's part of a roster change.
type change struct {
	update  store.RosterUpdate
	before  *Roster
	after   *Roster
	item    store.RosterItem // after the change, for the push
	removed bool             // the item was removed
}

// isEmpty reports whether the change does nothing.
func (c *change) isEmpty() bool {
	u := &c.update
	return u.Put == nil && u.Remove.IsZero() && u.AddRequest == nil && u.RemoveRequest.IsZero()
}

// apply makes changes durable and visible. The caller holds the roster locks of all owners.
// An empty change is passed to the store too, unless there is no such account, because the
// other change was decided by both rosters.
func (r *Router) apply(changes ...*change) error {
	var updates []store.RosterUpdate
	var done []*change
	empty := true
	for _, c := range changes {
		c.after = c.before
		if c.isEmpty() && c.before.Version == 0 {
			continue
		}
		empty = empty && c.isEmpty()
		c.update.Expect = c.before.Version
		updates = append(updates, c.update)
		done = append(done, c)
	}
	if empty {
		return nil
	}
	versions, err := r.config().Store.ApplyRoster(r.ctx, updates)
	for i, c := range done {
		switch {
		case err != nil:
			r.evict(c.update.Owner.String()) // another process may have changed it: read it again
		case !c.isEmpty():
			c.after = c.before.after(&c.update, versions[i])
			r.publish(c)
			r.rosterElsewhere(c.missed())
		}
	}
	return err
}

// maxTries is how often a roster change is attempted.
const maxTries = 5

// errContended rejects a change that conflicted with other changes in every attempt.
var errContended = stanza.ResourceConstraint.WithText("Others are changing the roster. Try again later.")

// retry makes a roster change: f reads rosters, decides on the change and applies it. If
// another process has changed or deleted in the meantime what f has read, nothing was
// changed, and f is called again.
func retry(f func() error) (err error) {
	for range maxTries {
		err = f()
		if !errors.Is(err, store.ErrConflict) && !ownerGone(err) {
			return err
		}
	}
	if ownerGone(err) {
		return err
	}
	return errContended
}

// ownerGone reports whether an account whose roster was to be changed was deleted.
func ownerGone(err error) bool {
	var e *store.RosterError
	return errors.As(err, &e) && errors.Is(err, store.ErrNotFound)
}
