package memstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"roost/jid"
	"roost/store"
)

// maxRemoved is the number of removed items of a roster that are remembered.
const maxRemoved = 64

// errGroup means that a caller did not reject characters that XML does not allow.
var errGroup = errors.New("a group is empty or contains a control character")

// copyItem returns a copy that shares no memory with it.
func copyItem(it store.RosterItem) store.RosterItem {
	it.JID, it.Name = it.JID.Clone(), strings.Clone(it.Name)
	groups := it.Groups
	it.Groups = nil
	for _, g := range groups {
		it.Groups = append(it.Groups, strings.Clone(g))
	}
	return it
}

// roster returns a copy of an account's roster, in the order of addresses.
func (a *account) roster() store.Roster {
	r := store.Roster{Generation: a.Generation, Version: a.version}
	for _, key := range slices.Sorted(maps.Keys(a.items)) {
		r.Items = append(r.Items, copyItem(a.items[key]))
	}
	for _, q := range a.requests {
		r.Requests = append(r.Requests, q.From.String())
	}
	r.Blocked = a.blobKeys(store.BlockedKind)
	return r
}

// LoginState implements store.Store.
func (s *Store) LoginState(ctx context.Context, owner jid.JID) (store.LoginState, error) {
	return s.loginState(ctx, "LoginState", owner)
}

// Roster implements store.Rosters.
func (s *Store) Roster(ctx context.Context, owner jid.JID) (store.Roster, error) {
	state, err := s.loginState(ctx, "Roster", owner)
	return state.Roster, err
}

// RostersOf implements store.Rosters.
func (s *Store) RostersOf(ctx context.Context, owners []jid.JID) ([]store.Roster, error) {
	all := make([]store.Roster, len(owners))
	err := s.read(ctx, "RostersOf", "read rosters", func(l *Location) error {
		for i, owner := range owners {
			if a := l.find(owner); a != nil {
				all[i] = a.roster()
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// RosterVersions implements store.Rosters.
func (s *Store) RosterVersions(ctx context.Context, owners []jid.JID) ([]int64, error) {
	versions := make([]int64, len(owners))
	err := s.read(ctx, "RosterVersions", "read the versions of rosters", func(l *Location) error {
		for i, owner := range owners {
			if a := l.find(owner); a != nil {
				versions[i] = a.version
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return versions, nil
}

// BlockedOf implements store.Rosters.
func (s *Store) BlockedOf(ctx context.Context, owners []jid.JID) ([][]string, error) {
	blocked := make([][]string, len(owners))
	err := s.read(ctx, "BlockedOf", "read blocklists", func(l *Location) error {
		for i, owner := range owners {
			if a := l.find(owner); a != nil {
				blocked[i] = a.blobKeys(store.BlockedKind)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return blocked, nil
}

func (s *Store) loginState(ctx context.Context, op string, owner jid.JID) (state store.LoginState, err error) {
	err = s.read(ctx, op, "read roster of "+owner.BareString(), func(l *Location) error {
		if a := l.find(owner); a != nil {
			state = store.LoginState{Roster: a.roster(), HasOffline: len(a.offline) > 0, Used: a.used}
		}
		return nil
	})
	return state, err
}

// RosterChanges implements store.Rosters.
func (s *Store) RosterChanges(ctx context.Context, owner jid.JID, since int64) (changes []store.RosterChange, current int64, ok bool, err error) {
	err = s.read(ctx, "RosterChanges", "read roster changes of "+owner.BareString(), func(l *Location) error {
		a := l.find(owner)
		if a == nil {
			return nil
		}
		current, ok = a.version, since >= a.floor && since <= a.version
		if !ok {
			return nil
		}
		for _, it := range a.items {
			if it.Version > since {
				changes = append(changes, store.RosterChange{Version: it.Version, Item: copyItem(it)})
			}
		}
		for _, c := range a.removed {
			if c.Version > since {
				changes = append(changes, c)
			}
		}
		slices.SortFunc(changes, func(a, b store.RosterChange) int { return int(a.Version - b.Version) })
		return nil
	})
	return changes, current, ok, err
}

// ApplyRoster implements store.Rosters.
func (s *Store) ApplyRoster(ctx context.Context, updates []store.RosterUpdate) ([]int64, error) {
	versions := make([]int64, len(updates))
	err := s.write(ctx, "ApplyRoster", "change roster", func(t *tx) error {
		for i := range updates {
			u := &updates[i]
			a, err := t.account(u.Owner)
			var current int64
			if err == nil && a.version != u.Expect {
				current, err = a.version, store.ErrConflict
			}
			if err != nil {
				return &store.RosterError{Index: i, Owner: u.Owner.Bare().Clone(), Current: current, Err: err}
			}
			if err := a.apply(u); err != nil {
				return err
			}
			versions[i] = a.version
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return versions, nil
}

// apply applies an update.
func (a *account) apply(u *store.RosterUpdate) error {
	if u.Put != nil {
		if slices.ContainsFunc(u.Put.Groups, func(g string) bool { return g == "" || strings.Contains(g, "\x1f") }) {
			return errGroup
		}
		if err := store.CheckKey(u.Put.JID.String()); err != nil {
			return err
		}
		a.version++
		it := copyItem(*u.Put)
		it.Version = a.version
		a.items[it.JID.String()] = it
		a.removed = slices.DeleteFunc(a.removed, func(c store.RosterChange) bool { return c.Item.JID == it.JID })
	}
	if _, ok := a.items[u.Remove.String()]; ok {
		a.version++
		delete(a.items, u.Remove.String())
		a.removed = append(a.removed, store.RosterChange{Version: a.version, Removed: true, Item: store.RosterItem{JID: u.Remove.Clone()}})
		if n := len(a.removed) - maxRemoved; n > 0 {
			a.floor, a.removed = a.removed[n-1].Version, a.removed[n:]
		}
	}
	if !u.RemoveRequest.IsZero() {
		a.removeRequest(u.RemoveRequest)
	}
	if u.AddRequest != nil {
		a.addRequest(u.AddRequest)
	}
	return nil
}

// removeRequest removes a contact's request and reports whether there was one.
func (a *account) removeRequest(from jid.JID) bool {
	n := len(a.requests)
	a.requests = slices.DeleteFunc(a.requests, func(q store.Request) bool { return q.From == from })
	return len(a.requests) < n
}

// addRequest adds a request or replaces that of the same contact.
func (a *account) addRequest(r *store.Request) {
	q := store.Request{From: r.From.Bare().Clone(), Stanza: slices.Clone(r.Stanza), Received: seconds(r.Received)}
	if i := slices.IndexFunc(a.requests, func(old store.Request) bool { return old.From == q.From }); i >= 0 {
		a.requests[i] = q
		return
	}
	a.requests = append(a.requests, q)
}

// SubscriptionRequests implements store.Rosters.
func (s *Store) SubscriptionRequests(ctx context.Context, owner jid.JID) (requests []store.Request, err error) {
	err = s.read(ctx, "SubscriptionRequests", "read subscription requests of "+owner.BareString(), func(l *Location) error {
		if a := l.find(owner); a != nil {
			for _, q := range a.requests {
				q.Stanza = slices.Clone(q.Stanza)
				requests = append(requests, q)
			}
		}
		return nil
	})
	return requests, err
}

// endSubscriptions removes an account's subscriptions, requests and pre-approvals from all
// other rosters, and returns what those had, in the order of their addresses.
func (t *tx) endSubscriptions(with jid.JID) (ended []store.EventContact) {
	for _, key := range slices.Sorted(maps.Keys(t.l.accounts)) {
		it, ok := t.l.accounts[key].items[with.String()]
		concerned := ok && (it.Subscription != store.None || it.Ask || it.Approved)
		requested := slices.ContainsFunc(t.l.accounts[key].requests, func(q store.Request) bool { return q.From == with })
		if key == with.String() || !concerned && !requested {
			continue
		}
		a, _ := t.account(t.l.accounts[key].JID)
		ended = append(ended, store.EventContact{JID: a.JID, Subscription: it.Subscription, Ask: it.Ask, Approved: it.Approved, Pending: a.removeRequest(with)})
		if concerned {
			a.version++
			a.items[with.String()] = store.RosterItem{JID: it.JID, Name: it.Name, Groups: it.Groups, Version: a.version}
		}
	}
	return ended
}
