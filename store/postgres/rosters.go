package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"roost/jid"
	"roost/store"
)

// sqlRosters has the rows of sqlLoginState for several accounts, and the number of the account
// in the last column. LATERAL and OFFSET make it search for the rows of each account in an index,
// whatever the statistics of the tables are.
const sqlRosters = `WITH o AS MATERIALIZED (SELECT n, a.id, a.roster_version, a.generation
			FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (domain, local, n),
			LATERAL (SELECT * FROM account WHERE domain = u.domain AND local = u.local OFFSET 0) AS a)
	SELECT 0::bigint, '', '', '', 0::bigint, roster_version, generation, n FROM o
	UNION ALL SELECT 1, contact, name, groups, state, version, 0, n
		FROM o, LATERAL (SELECT * FROM roster_item WHERE account = o.id OFFSET 0) AS i
	UNION ALL SELECT 2, contact, '', '', 0, 0, r.id, n
		FROM o, LATERAL (SELECT * FROM roster_request WHERE account = o.id OFFSET 0) AS r
	UNION ALL SELECT 3, key, '', '', 0, 0, 0, n
		FROM o, LATERAL (SELECT * FROM blob WHERE account = o.id AND kind = '` + store.BlockedKind + `' OFFSET 0) AS b`

const sqlVersions = `SELECT n, roster_version FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (domain, local, n),
	LATERAL (SELECT * FROM account WHERE domain = u.domain AND local = u.local OFFSET 0) AS a`

const sqlBlocked = `SELECT n, b.key FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (domain, local, n),
	LATERAL (SELECT * FROM account WHERE domain = u.domain AND local = u.local OFFSET 0) AS a,
	LATERAL (SELECT * FROM blob WHERE account = a.id AND kind = '` + store.BlockedKind + `' OFFSET 0) AS b`

// RosterVersions implements store.Rosters.
func (s *Store) RosterVersions(ctx context.Context, owners []jid.JID) (versions []int64, err error) {
	domains, locals := addresses(owners)
	reset := func() { versions = make([]int64, len(owners)) }
	err = s.query(ctx, "RosterVersions", "read the versions of rosters", sqlVersions, []any{domains, locals}, reset, func(rows pgx.Rows) error {
		v := rows.RawValues()
		versions[int64Of(v[0])-1] = int64Of(v[1])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return versions, nil
}

// BlockedOf implements store.Rosters.
func (s *Store) BlockedOf(ctx context.Context, owners []jid.JID) (blocked [][]string, err error) {
	domains, locals := addresses(owners)
	reset := func() { blocked = make([][]string, len(owners)) }
	err = s.query(ctx, "BlockedOf", "read blocklists", sqlBlocked, []any{domains, locals}, reset, func(rows pgx.Rows) error {
		v := rows.RawValues()
		i := int64Of(v[0]) - 1
		blocked[i] = append(blocked[i], string(v[1]))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, addresses := range blocked {
		slices.Sort(addresses)
	}
	return blocked, nil
}

// addresses returns the parts of addresses.
func addresses(all []jid.JID) (domains, locals []string) {
	domains, locals = make([]string, len(all)), make([]string, len(all))
	for i, j := range all {
		domains[i], locals[i] = j.Domain(), j.Local()
	}
	return domains, locals
}

// RostersOf implements store.Rosters.
func (s *Store) RostersOf(ctx context.Context, owners []jid.JID) ([]store.Roster, error) {
	const what = "read rosters"
	domains, locals := addresses(owners)
	var all []store.Roster
	var items []rosterRows
	var requests [][]pendingRequest
	reset := func() {
		all, items, requests = make([]store.Roster, len(owners)), make([]rosterRows, len(owners)), make([][]pendingRequest, len(owners))
	}
	err := s.query(ctx, "RostersOf", what, sqlRosters, []any{domains, locals}, reset, func(rows pgx.Rows) error {
		v := rows.RawValues()
		i := int64Of(v[7]) - 1
		switch int64Of(v[0]) {
		case rowAccount:
			all[i].Version, all[i].Generation = int64Of(v[5]), int64Of(v[6])
		case rowItem:
			items[i].add(v[1:])
		case rowRequest:
			requests[i] = append(requests[i], pendingRequest{int64Of(v[6]), string(v[1])})
		case rowBlocked:
			all[i].Blocked = append(all[i].Blocked, string(v[1]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Items, err = items[i].items(); err != nil {
			return nil, s.wrap(what, err)
		}
		all[i].Requests = inOrder(requests[i])
		slices.Sort(all[i].Blocked)
	}
	return all, nil
}
