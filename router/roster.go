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

// Roster is an account's contact list as it is held in memory: an immutable
// snapshot, sorted by address, shared by everybody who reads it.
type Roster struct {
	Version    int64
	Generation int64              // of its owner's account
	Items      []store.RosterItem // sorted by JID
	Requests   []string           // bare JIDs with a pending inbound request, sorted
}

func newRoster(sr store.Roster) *Roster {
	r := &Roster{Version: sr.Version, Generation: sr.Generation, Items: sr.Items, Requests: sr.Requests}
	slices.SortFunc(r.Items, func(a, b store.RosterItem) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	slices.Sort(r.Requests)
	return r
}

// weight is about what the roster takes in memory, in bytes.
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
	return uint32(n)
}

// sentBytes is the size of the roster as it is sent, at most.
func (r *Roster) sentBytes() int {
	n := 0
	for i := range r.Items {
		n += sentBytes(&r.Items[i])
	}
	return n
}

// sentBytes is the size of an item as it is sent, at most: its markup, and text in
// which some characters are escaped. Counted without that, a roster of short groups
// would be twenty times larger than its limit.
func sentBytes(it *store.RosterItem) int {
	const markup, group = 90, len("<group></group>")
	n := markup + escapedLen(it.JID.String()) + escapedLen(it.Name)
	for _, g := range it.Groups {
		n += group + escapedLen(g)
	}
	return n
}

// escapedLen is the length of a text when it is escaped, at most.
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

// itemBytes is what a client has written in an item.
func itemBytes(it *store.RosterItem) int {
	n := len(it.JID.String()) + len(it.Name)
	for _, g := range it.Groups {
		n += len(g)
	}
	return n
}

// checkRosterLimits refuses an item that would make a roster too large.
func (r *Router) checkRosterLimits(ro *Roster, item *store.RosterItem) error {
	old, found := ro.Item(item.JID.String())
	if !found && len(ro.Items) >= r.cfg.MaxRoster {
		return errRosterFull
	}
	more := sentBytes(item)
	if found {
		more -= sentBytes(&old)
	}
	if more > 0 && ro.sentBytes()+more > r.cfg.RosterBytes {
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

// Pending reports whether a contact's subscription request waits for an answer.
func (r *Roster) Pending(contact string) bool {
	_, ok := slices.BinarySearch(r.Requests, contact)
	return ok
}

// Subscribed reports whether the contact gets the owner's presence.
func (r *Roster) Subscribed(contact string) bool {
	it, ok := r.Item(contact)
	return ok && it.Subscription.HasFrom()
}

// after returns the roster as it is when an update was applied.
func (r *Roster) after(u *store.RosterUpdate, version int64) *Roster {
	n := &Roster{Version: version, Generation: r.Generation, Items: r.Items, Requests: r.Requests}
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

// lockRosters takes the roster locks of one or two accounts, in the order of
// their stripes, and returns the unlock. Only turns that may write may call it: the
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

// Roster is an account's roster, read from the store where it is not in memory.
// Only workers may call it. Whoever holds no lock may get one that is about to
// change.
func (r *Router) Roster(owner jid.JID) (*Roster, error) {
	if ro, ok := r.cached(owner.String()); ok {
		return ro, nil
	}
	seen := r.changesOf(owner.String()).Load()
	sr, err := r.cfg.Store.Roster(r.ctx, owner)
	if err != nil {
		return nil, err
	}
	ro := newRoster(sr)
	r.remember(owner.Clone(), ro, seen)
	return ro, nil
}

// tryRoster is Roster for a turn that may not wait for the store: where the roster is
// not in memory it returns what the turn has to wait for. owner may be borrowed.
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

// cachedOwn is the roster of a session's own account, if it is in memory.
func (r *Router) cachedOwn(s *session.Session) (*Roster, bool) {
	ro, ok := r.cached(s.BareJID())
	if !ok {
		return nil, false
	}
	return own(s, ro), true
}

// ownRoster is the roster of a session's own account. Only workers may call it.
func (r *Router) ownRoster(s *session.Session) (*Roster, error) {
	ro, err := r.Roster(s.JID().Bare())
	if err != nil {
		return nil, err
	}
	return own(s, ro), nil
}

// own is a roster, or an empty one where it is that of an account which was created
// after the session had authenticated: the session is that of a former account of
// the same name, and ends soon.
func own(s *session.Session, ro *Roster) *Roster {
	if s.AuthenticatedBefore(ro.Generation) {
		return &Roster{}
	}
	return ro
}

// rosterToChange is the roster of a session's own account, on which a change is to be
// based: the store refuses the change if the roster is another one by then. Only
// turns that may write may call it.
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

// changesOf counts the changes of an account's roster, and of some others'.
func (r *Router) changesOf(bare string) *atomic.Uint32 { return &r.changes[r.stripe(bare)] }

// remember keeps a roster that was read after seen changes: one that has changed
// meanwhile may be older than what is in memory. owner is kept too: a session's
// own JID as it is, because a copy, which lives half a minute, would leave a hole
// between those of sessions that live for days.
func (r *Router) remember(owner jid.JID, ro *Roster, seen uint32) {
	if ro.Version == 0 {
		// There is no such account. It may be made at any moment, by another
		// process too.
		return
	}
	mu := r.lockPresence(owner.String())
	defer mu.Unlock()
	if r.changesOf(owner.String()).Load() == seen && r.fitsCache(ro) {
		r.rosters.Set(owner.String(), ro)
	}
}

// fitsCache reports whether a roster may be kept in memory. The cache evicts one that
// is larger than the whole of it only some time later, and others before it.
func (r *Router) fitsCache(ro *Roster) bool { return int(ro.weight()) <= r.cfg.RosterCache }

// publish makes a changed roster the one that everybody reads, or has it read anew
// if it is nil.
func (r *Router) publish(owner string, ro *Roster) {
	mu := r.lockPresence(owner)
	defer mu.Unlock()
	r.changesOf(owner).Add(1)
	if ro != nil && r.fitsCache(ro) {
		r.rosters.Set(strings.Clone(owner), ro)
	} else {
		r.rosters.Invalidate(owner)
	}
}

// change is one account's side of a change of rosters.
type change struct {
	update store.RosterUpdate
	before *Roster
	after  *Roster
	item   store.RosterItem // as it is afterwards, for the push
	gone   bool             // the item was removed
}

// isEmpty reports whether there is nothing to do.
func (c *change) isEmpty() bool {
	u := &c.update
	return u.Put == nil && u.Remove.IsZero() && u.AddRequest == nil && u.RemoveRequest.IsZero()
}

// apply makes changes durable and visible. The caller holds the roster locks of
// all owners. A side with nothing to do is passed to the store too, unless there is
// no such account: what the other side becomes was decided by both.
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
	versions, err := r.cfg.Store.ApplyRoster(r.ctx, updates)
	for i, c := range done {
		switch {
		case err != nil:
			r.publish(c.update.Owner.String(), nil) // somebody else may have changed it: it is read anew
		case !c.isEmpty():
			c.after = c.before.after(&c.update, versions[i])
			r.publish(c.update.Owner.String(), c.after)
		}
	}
	return err
}

// maxTries is how often a change of rosters is tried.
const maxTries = 5

// errContended refuses a change that others were always faster than.
var errContended = stanza.ResourceConstraint.WithText("The roster is being changed by others; try again.")

// retry makes a change of rosters, which f reads, decides on and applies. Another
// process may have changed or deleted meanwhile what f has read: then nothing has
// happened, and f begins anew.
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

// ownerGone reports whether one of the accounts whose rosters were to be changed has
// been deleted.
func ownerGone(err error) bool {
	var e *store.RosterError
	return errors.As(err, &e) && errors.Is(err, store.ErrNotFound)
}
