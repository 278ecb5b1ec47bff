package router

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"

	"roost/jid"
	"roost/session"
	"roost/store"
)

// Other nodes may change a roster while a session of the account is saved. So the version of the
// roster that its client has is saved with the session. When the session is back, on any node, what
// has changed since that version is read from the store and pushed: no node needs to remember it.
// Blocklists are treated in the same way (blocklistkept.go). Pushes that were on their way to the node
// when it read the version are not among these: see pushMissed.

// rosterKept is the version of the roster that the client of a saved session has, until the client
// was sent what has changed since.
var rosterKept = session.NewSlot[int64]()

// keptVersions are what the clients of sessions that are about to be saved have, by account.
type keptVersions struct {
	rosters    map[string]int64
	blocklists map[string]sentBlocklist
}

// BeforeSave is called before sessions are saved, while they still accept stanzas, so that they get
// later changes of their rosters. Without a cluster it does nothing, because nobody changes rosters
// while the server is stopped.
func (r *Router) BeforeSave(ctx context.Context, all []*session.Session) error {
	if r.nodes == nil {
		return nil
	}
	owners, lists := make(map[string]jid.JID), make(map[string]sentBlocklist)
	for _, s := range all {
		lists[s.BareJID()] = r.sentBlocklistOf(s)
		if interested.Has(s) {
			owners[s.BareJID()] = s.JID().Bare()
		}
	}
	versions, err := r.rosterVersions(ctx, slices.Collect(maps.Values(owners)))
	if err != nil {
		r.nodesFailed("clients that resume their sessions on other nodes may not be told of changed rosters, because the store cannot be read", err)
	}
	r.saving.Store(&keptVersions{versions, lists})
	return err
}

// rosterVersions returns the versions of rosters by account.
func (r *Router) rosterVersions(ctx context.Context, owners []jid.JID) (map[string]int64, error) {
	versions, err := r.config().Store.RosterVersions(ctx, owners)
	if err != nil {
		return nil, err
	}
	byAccount := make(map[string]int64, len(owners))
	for i, owner := range owners {
		byAccount[owner.String()] = versions[i]
	}
	return byAccount, nil
}

// saveVersion appends the version of the roster that a session's client has.
func (r *Router) saveVersion(dst []byte, s *session.Session) []byte {
	version := int64(0)
	if kept := rosterKept.Get(s); kept != nil {
		version = *kept
	} else if all := r.saving.Load(); all != nil && interested.Has(s) {
		version = all.rosters[s.BareJID()]
	}
	if version == 0 {
		return dst
	}
	return binary.AppendUvarint(dst, uint64(version))
}

var errVersion = errors.New("the version of a roster is not a number")

func (r *Router) restoreVersion(s *session.Session, data []byte) error {
	version, n := binary.Uvarint(data)
	if n <= 0 {
		return errVersion
	}
	if r.nodes != nil {
		*rosterKept.Make(s) = int64(version)
	}
	return nil
}

// learnKept pushes to the client of a session that has come here what has changed in its roster and
// its blocklist, now or later, if the session was saved before, or was about to be. Only a worker for
// writes may call it.
func (r *Router) learnKept(s *session.Session) {
	if rosterKept.Get(s) != nil || blocklistKept.Get(s) != nil {
		r.tryToLearn(keptChange(s))
	}
}

// keptChange returns the change that stands for all that a session's client has missed.
func keptChange(s *session.Session) missedChange {
	return missedChange{rosterChange: rosterChange{account: strings.Clone(s.BareJID())}, saved: true}
}

// versionBatch is how many versions are read at once.
const versionBatch = 1000

// learnSaved pushes to the clients of the sessions that this node has restored what has changed in
// their rosters and blocklists. There may be very many sessions, and most have not changed, so it
// compares versions and lists first, many at a time.
func (r *Router) learnSaved() {
	if r.nodes == nil {
		return
	}
	r.sessions.Go(session.Write, func(*session.Turn) {
		var some []*session.Session
		r.sessions.Each(func(s *session.Session) bool {
			some = append(some, s)
			if len(some) == versionBatch {
				r.learnSavedOf(some)
				some = some[:0]
			}
			return r.ctx.Err() == nil
		})
		r.learnSavedOf(some)
	})
}

// learnSavedOf is learnSaved for some sessions.
func (r *Router) learnSavedOf(some []*session.Session) {
	if len(some) == 0 {
		return
	}
	owners := make([]jid.JID, len(some))
	for i, s := range some {
		owners[i] = s.JID().Bare()
	}
	versions, err := r.rosterVersions(r.ctx, owners)
	var lists [][]string
	if err == nil {
		lists, err = r.config().Store.BlockedOf(r.ctx, owners)
	}
	if err != nil {
		r.nodesFailed("rosters and blocklists that other nodes may have changed could not be read, and will be read later", err)
		again := slices.Clone(some)
		r.retryLater(func() { r.learnSavedOf(again) })
		return
	}
	for i, s := range some {
		if kept := rosterKept.Get(s); kept != nil && versions[s.BareJID()] == *kept {
			rosterKept.Drop(s)
		}
		current := learnList(s, lists[i])
		if current {
			blocklistKept.Drop(s)
		}
		if !current || rosterKept.Get(s) != nil { // unless it was pushed with that of another session of the account
			r.tryToLearn(keptChange(s))
		}
	}
}

// pushSaved pushes what has changed in a roster while sessions were saved.
func (r *Router) pushSaved(t *session.Turn, owner jid.JID) error {
	account := owner.String()
	unlock := r.lockRosters(owner)
	defer unlock()
	since := int64(0)
	for s := range r.Recipients(account, Interested) {
		if kept := rosterKept.Get(s); kept != nil && (since == 0 || *kept < since) {
			since = *kept
		}
	}
	if since == 0 {
		return nil
	}
	changes, err := r.changesSince(owner, since)
	if err != nil {
		return err
	}
	changes = slices.DeleteFunc(changes, func(c store.RosterChange) bool {
		return !r.pushed.isLatest(account, c.Item.JID.String(), c.Version)
	})
	for s := range r.Recipients(account, Interested) {
		kept := rosterKept.Get(s)
		if kept == nil {
			continue
		}
		for i := range changes {
			if c := &changes[i]; c.Version > *kept {
				b := appendPush(t.GetBuf(), s.FullJID(), &c.Item, c.Removed, c.Version)
				s.SendBytes(t, b)
				t.PutBuf(b)
			}
		}
		rosterKept.Drop(s)
	}
	return nil
}

// changesSince returns what has changed in a roster since a version. If the version is too old, it
// does not return removed items, because the store no longer knows all of them.
func (r *Router) changesSince(owner jid.JID, since int64) ([]store.RosterChange, error) {
	changes, _, known, err := r.config().Store.RosterChanges(r.ctx, owner, since)
	if err != nil || known {
		return changes, err
	}
	ro, err := r.config().Store.Roster(r.ctx, owner)
	if err != nil {
		return nil, err
	}
	for _, item := range ro.Items {
		if item.Version > since {
			changes = append(changes, store.RosterChange{Version: item.Version, Item: item})
		}
	}
	slices.SortFunc(changes, func(a, b store.RosterChange) int { return cmp.Compare(a.Version, b.Version) })
	return changes, nil
}
