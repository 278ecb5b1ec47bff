package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/jid"
	"roost/store"
)

// What a row of sqlLoginState is.
const (
	rowAccount = iota // n is the generation, version that of the roster; state is twice the day of the last use, plus 1 if messages are stored
	rowItem
	rowRequest
	rowBlocked
)

// sqlLoginState reads all that a login needs, in one statement and so in one snapshot.
const sqlLoginState = `WITH a AS MATERIALIZED (SELECT id, roster_version, generation FROM account WHERE domain = $1 AND local = $2)
	SELECT 0::bigint, '', '', '', EXISTS (SELECT 1 FROM offline WHERE account = a.id)::int::bigint
			+ 2 * coalesce((SELECT day FROM account_use WHERE account = a.id), 0), a.roster_version, a.generation FROM a
	UNION ALL SELECT 1, contact, name, groups, state, version, 0 FROM roster_item WHERE account = (SELECT id FROM a)
	UNION ALL SELECT 2, contact, '', '', 0, 0, id FROM roster_request WHERE account = (SELECT id FROM a)
	UNION ALL SELECT 3, key, '', '', 0, 0, 0 FROM blob WHERE account = (SELECT id FROM a) AND kind = '` + store.BlockedKind + `'`

// LoginState implements store.Store.
func (s *Store) LoginState(ctx context.Context, owner jid.JID) (store.LoginState, error) {
	return s.loginState(ctx, "LoginState", owner)
}

// Roster implements store.Rosters.
func (s *Store) Roster(ctx context.Context, owner jid.JID) (store.Roster, error) {
	state, err := s.loginState(ctx, "Roster", owner)
	return state.Roster, err
}

func (s *Store) loginState(ctx context.Context, op string, owner jid.JID) (state store.LoginState, err error) {
	var items rosterRows
	var requests []pendingRequest
	reset := func() { state, items, requests = store.LoginState{}, rosterRows{}, nil }
	err = s.lookup(ctx, op, "read roster of "+owner.BareString(), sqlLoginState, address(owner), reset, func(rows pgx.Rows) error {
		// The values in binary format: scanning would cost as much as all the rest.
		v := rows.RawValues()
		switch int64Of(v[0]) {
		case rowAccount:
			state.HasOffline, state.Used = int64Of(v[4])&1 != 0, store.Day(int64Of(v[4])>>1)
			state.Roster.Version, state.Roster.Generation = int64Of(v[5]), int64Of(v[6])
		case rowItem:
			items.add(v[1:])
		case rowRequest:
			requests = append(requests, pendingRequest{int64Of(v[6]), string(v[1])})
		case rowBlocked:
			state.Roster.Blocked = append(state.Roster.Blocked, string(v[1]))
		}
		return nil
	})
	if err == nil {
		state.Roster.Items, err = items.items()
		err = s.wrap("read roster of "+owner.BareString(), err)
	}
	if err != nil {
		return store.LoginState{}, err
	}
	state.Roster.Requests = inOrder(requests)
	slices.Sort(state.Roster.Blocked)
	return state, nil
}

type pendingRequest struct {
	id   int64 // in the order of arrival
	from string
}

// inOrder returns the contacts of requests in the order of their arrival.
func inOrder(requests []pendingRequest) (contacts []string) {
	slices.SortFunc(requests, func(a, b pendingRequest) int { return int(a.id - b.id) })
	for _, r := range requests {
		contacts = append(contacts, r.from)
	}
	return contacts
}

// What a row of sqlChanges is, in addition to those of sqlLoginState.
const rowRemoved = rowRequest

const sqlChanges = `WITH a AS MATERIALIZED (SELECT id, roster_version, roster_floor FROM account WHERE domain = $1 AND local = $2),
		known AS MATERIALIZED (SELECT id FROM a WHERE $3 BETWEEN roster_floor AND roster_version)
	SELECT 0::bigint, '', '', '', EXISTS (SELECT 1 FROM known)::int::bigint, a.roster_version FROM a
	UNION ALL SELECT 1, contact, name, groups, state, version FROM roster_item WHERE account = (SELECT id FROM known) AND version > $3
	UNION ALL SELECT 2, contact, '', '', 0, version FROM roster_removed WHERE account = (SELECT id FROM known) AND version > $3`

// RosterChanges implements store.Rosters.
func (s *Store) RosterChanges(ctx context.Context, owner jid.JID, since int64) (changes []store.RosterChange, current int64, ok bool, err error) {
	what := "read roster changes of " + owner.BareString()
	var items, removed rosterRows
	reset := func() { items, removed, current, ok = rosterRows{}, rosterRows{}, 0, false }
	err = s.lookup(ctx, "RosterChanges", what, sqlChanges, append(address(owner), since), reset, func(rows pgx.Rows) error {
		v := rows.RawValues()
		switch int64Of(v[0]) {
		case rowAccount:
			ok, current = int64Of(v[4]) != 0, int64Of(v[5])
		case rowItem:
			items.add(v[1:])
		case rowRemoved:
			removed.add(v[1:])
		}
		return nil
	})
	for i, rows := range []*rosterRows{&items, &removed} {
		var list []store.RosterItem
		if err == nil {
			list, err = rows.items()
			err = s.wrap(what, err)
		}
		for _, item := range list {
			c := store.RosterChange{Version: item.Version, Removed: i == 1, Item: item}
			if c.Removed {
				c.Item = store.RosterItem{JID: item.JID}
			}
			changes = append(changes, c)
		}
	}
	if err != nil {
		return nil, 0, false, err
	}
	slices.SortFunc(changes, func(a, b store.RosterChange) int { return int(a.Version - b.Version) })
	return changes, current, ok, nil
}

const sqlRequests = `SELECT contact, received, stanza FROM roster_request
	WHERE account = (SELECT id FROM account WHERE domain = $1 AND local = $2) ORDER BY id`

// SubscriptionRequests implements store.Rosters.
func (s *Store) SubscriptionRequests(ctx context.Context, owner jid.JID) (requests []store.Request, err error) {
	reset := func() { requests = nil }
	err = s.lookup(ctx, "SubscriptionRequests", "read subscription requests of "+owner.BareString(), sqlRequests, address(owner), reset, func(rows pgx.Rows) error {
		var contact string
		var received int64
		var stanza []byte
		if err := rows.Scan(&contact, &received, &stanza); err != nil {
			return err
		}
		from, err := jid.Parse(contact)
		requests = append(requests, store.Request{From: from, Received: time.Unix(received, 0).UTC(), Stanza: stanza})
		return err
	})
	return requests, err
}
