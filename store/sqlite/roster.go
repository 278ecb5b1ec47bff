package sqlite

import (
	"context"
	"errors"
	"slices"
	"time"

	"zombiezen.com/go/sqlite"

	"roost/jid"
	"roost/store"
)

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
	err := s.read(ctx, "RostersOf", "read rosters", func(c *conn) error {
		for i, owner := range owners {
			state, err := c.loginState(owner)
			if err != nil {
				return err
			}
			all[i] = state.Roster
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
	err := s.read(ctx, "RosterVersions", "read the versions of rosters", func(c *conn) error {
		for i, owner := range owners {
			a, err := c.accountRow(owner)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
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

// BlockedOf implements store.Rosters.
func (s *Store) BlockedOf(ctx context.Context, owners []jid.JID) ([][]string, error) {
	blocked := make([][]string, len(owners))
	err := s.read(ctx, "BlockedOf", "read blocklists", func(c *conn) error {
		for i, owner := range owners {
			a, err := c.accountRow(owner)
			if err == nil {
				blocked[i], err = c.blobKeys(a.id, store.BlockedKind)
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
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
	err = s.read(ctx, op, "read roster of "+owner.BareString(), func(c *conn) error {
		state, err = c.loginState(owner)
		return err
	})
	if err != nil {
		return store.LoginState{}, err
	}
	return state, nil
}

func (c *conn) loginState(owner jid.JID) (state store.LoginState, err error) {
	st, err := c.account(qLoginState, owner)
	if err != nil {
		return state, err
	}
	// Until this statement is reset, all reads of the connection see the same snapshot.
	defer st.Reset()
	ok, err := st.Step()
	if err != nil || !ok {
		return state, err
	}
	id := st.ColumnInt64(0)
	state.Roster.Version = st.ColumnInt64(1)
	state.HasOffline = st.ColumnBool(2)
	state.Roster.Generation = st.ColumnInt64(3)
	state.Used = store.Day(st.ColumnInt64(5))
	if st.ColumnBool(4) {
		if state.Roster.Blocked, err = c.blobKeys(id, store.BlockedKind); err != nil {
			return state, err
		}
	}
	if state.Roster.Items, err = c.rosterItems(id); err != nil {
		return state, err
	}
	state.Roster.Requests, err = c.rosterRequests(id)
	return state, err
}

// rosterItems returns all items of an account.
func (c *conn) rosterItems(id int64) ([]store.RosterItem, error) {
	st, err := c.stmt(qRosterItems)
	if err != nil {
		return nil, err
	}
	st.BindInt64(1, id)
	defer c.roster.reset()
	if err := each(st, func() error { c.roster.add(st); return nil }); err != nil {
		return nil, err
	}
	return c.roster.items()
}

// rosterRequests returns the contacts whose requests are pending.
func (c *conn) rosterRequests(id int64) (contacts []string, err error) {
	st, err := c.stmt(qRosterRequests)
	if err != nil {
		return nil, err
	}
	st.BindInt64(1, id)
	err = each(st, func() error {
		contacts = append(contacts, st.ColumnText(0))
		return nil
	})
	return contacts, err
}

// RosterChanges implements store.Rosters.
func (s *Store) RosterChanges(ctx context.Context, owner jid.JID, since int64) (changes []store.RosterChange, current int64, ok bool, err error) {
	err = s.read(ctx, "RosterChanges", "read roster changes of "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qAccountRow, owner)
		if err != nil {
			return err
		}
		defer st.Reset() // at the end, as in loginState
		found, err := st.Step()
		if err != nil || !found {
			return err
		}
		id, version, floor := st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2)
		current = version
		if since < floor || since > version {
			return nil
		}
		ok = true
		changes, err = c.rosterChanges(id, since)
		return err
	})
	if err != nil {
		return nil, 0, false, err
	}
	return changes, current, ok, nil
}

func (c *conn) rosterChanges(id, since int64) (changes []store.RosterChange, err error) {
	defer c.roster.reset()
	err = c.eachSince(qItemsSince, id, since, func(st *sqlite.Stmt) error {
		c.roster.add(st)
		return nil
	})
	if err != nil {
		return nil, err
	}
	items, err := c.roster.items()
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		changes = append(changes, store.RosterChange{Version: item.Version, Item: item})
	}
	err = c.eachSince(qRemovedSince, id, since, func(st *sqlite.Stmt) error {
		contact, err := jid.Parse(st.ColumnText(0))
		changes = append(changes, store.RosterChange{Version: st.ColumnInt64(1), Removed: true, Item: store.RosterItem{JID: contact}})
		return err
	})
	slices.SortFunc(changes, func(a, b store.RosterChange) int { return int(a.Version - b.Version) })
	return changes, err
}

// eachSince calls f for each row of a statement about an account and a version.
func (c *conn) eachSince(q query, id, since int64, f func(*sqlite.Stmt) error) error {
	st, err := c.stmt(q)
	if err != nil {
		return err
	}
	st.BindInt64(1, id)
	st.BindInt64(2, since)
	return each(st, func() error { return f(st) })
}

// SubscriptionRequests implements store.Rosters.
func (s *Store) SubscriptionRequests(ctx context.Context, owner jid.JID) (requests []store.Request, err error) {
	err = s.read(ctx, "SubscriptionRequests", "read subscription requests of "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qRequests, owner)
		if err != nil {
			return err
		}
		return each(st, func() error {
			from, err := jid.Parse(st.ColumnText(0))
			requests = append(requests, store.Request{From: from, Received: time.Unix(st.ColumnInt64(1), 0).UTC(), Stanza: blob(st, 2)})
			return err
		})
	})
	return requests, err
}

// errGroup means that a caller did not reject characters that XML does not allow.
var errGroup = errors.New("a group is empty or contains a control character")
