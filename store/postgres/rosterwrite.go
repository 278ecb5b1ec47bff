package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"roost/jid"
	"roost/store"
)

// maxRemoved is the number of removed items of a roster that are remembered. A client that
// has missed more gets the complete roster.
const maxRemoved = 64

// errGroup means that a caller did not reject characters that XML does not allow.
var errGroup = errors.New("a group is empty or contains a control character")

const (
	sqlApplyRoster  = `SELECT 0::bigint, status, version, ARRAY[version] FROM apply_roster($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	sqlApplyRosters = `SELECT coalesce(failed, 0), status, coalesce(current, 0), versions
		FROM apply_rosters($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
)

// rosterArgs are the arguments for an update. Pointers that are nil mean that there is no
// such part.
type rosterArgs struct {
	domain, local             string
	expect                    int64
	contact, name, groups     *string
	state                     *int64
	remove, from, removeAsked *string
	received                  *int64
	stanza                    []byte
}

// argsOf returns the arguments for an update.
func argsOf(u *store.RosterUpdate) (a rosterArgs, err error) {
	a = rosterArgs{domain: u.Owner.Domain(), local: u.Owner.Local(), expect: u.Expect}
	if item := u.Put; item != nil {
		if slices.ContainsFunc(item.Groups, badGroup) {
			return a, errGroup
		}
		if err := store.CheckKey(item.JID.String()); err != nil {
			return a, err
		}
		a.contact, a.name, a.groups, a.state = text(item.JID), &item.Name, new(strings.Join(item.Groups, groupSeparator)), new(stateOf(item))
	}
	if !u.Remove.IsZero() {
		a.remove = text(u.Remove)
	}
	if !u.RemoveRequest.IsZero() {
		a.removeAsked = text(u.RemoveRequest)
	}
	if r := u.AddRequest; r != nil {
		a.from, a.received, a.stanza = text(r.From.Bare()), new(r.Received.Unix()), bytesOf(r.Stanza)
	}
	return a, nil
}

// badGroup reports whether a group cannot be stored.
func badGroup(g string) bool { return g == "" || strings.Contains(g, groupSeparator) }

// stateOf returns the state of an item as it is stored.
func stateOf(item *store.RosterItem) int64 {
	state := int64(item.Subscription & store.Both)
	if item.Ask {
		state |= stateAsk
	}
	if item.Approved {
		state |= stateApproved
	}
	return state
}

func text(j jid.JID) *string { return new(j.String()) }

// ApplyRoster implements store.Rosters.
func (s *Store) ApplyRoster(ctx context.Context, updates []store.RosterUpdate) (versions []int64, err error) {
	w := &write{}
	all := make([]rosterArgs, len(updates))
	for i := range updates {
		if all[i], err = argsOf(&updates[i]); err != nil {
			w.refuse(err)
		}
	}
	if len(all) == 1 {
		a := &all[0]
		w.sql, w.owner = sqlApplyRoster, ownerOf(updates[0].Owner)
		w.args = []any{a.domain, a.local, a.expect, a.contact, a.name, a.groups, a.state, a.remove, a.from, a.received, a.stanza, a.removeAsked, maxRemoved}
	} else {
		w.sql, w.args = sqlApplyRosters, rosterColumns(all)
	}
	w.row = func(rows pgx.Rows) error {
		var failed, status, current int64
		if err := rows.Scan(&failed, &status, &current, &versions); err != nil || status == 0 {
			return err
		}
		return &store.RosterError{Index: int(failed), Owner: updates[failed].Owner.Bare().Clone(), Current: current, Err: statusError(status)}
	}
	if err := s.exec(ctx, "ApplyRoster", "change roster", w); err != nil {
		return nil, err
	}
	return versions, nil
}

// rosterColumns returns the arguments for several updates: one array for each parameter.
func rosterColumns(all []rosterArgs) []any {
	var (
		domains, locals                                       = []string{}, []string{}
		contacts, names, groups, removes, froms, removeAskeds []*string
		states, receiveds                                     []*int64
		expects                                               []int64
		stanzas                                               [][]byte
	)
	for i := range all {
		a := &all[i]
		domains, locals, expects = append(domains, a.domain), append(locals, a.local), append(expects, a.expect)
		contacts, names, groups, states = append(contacts, a.contact), append(names, a.name), append(groups, a.groups), append(states, a.state)
		removes, froms, removeAskeds = append(removes, a.remove), append(froms, a.from), append(removeAskeds, a.removeAsked)
		receiveds, stanzas = append(receiveds, a.received), append(stanzas, a.stanza)
	}
	return []any{domains, locals, expects, contacts, names, groups, states, removes, froms, receiveds, stanzas, removeAskeds, maxRemoved}
}
