package sqlite

import (
	"context"
	"strings"

	"roost/jid"
	"roost/store"
)

// maxRemoved is the number of removed items of a roster that are remembered. A client that
// has missed more gets the complete roster.
const maxRemoved = 64

// ApplyRoster implements store.Rosters.
func (s *Store) ApplyRoster(ctx context.Context, updates []store.RosterUpdate) ([]int64, error) {
	versions := make([]int64, len(updates))
	err := s.write(ctx, "ApplyRoster", "change roster", 0, func(c *conn) error {
		for i := range updates {
			version, err := c.applyRoster(i, &updates[i])
			if err != nil {
				return err
			}
			versions[i] = version
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return versions, nil
}

// applyRoster applies an update, which has the index i, and returns the roster's new
// version.
func (c *conn) applyRoster(i int, u *store.RosterUpdate) (int64, error) {
	a, err := c.accountRow(u.Owner)
	id, version, floor := a.id, a.version, a.floor
	if err == nil && version != u.Expect {
		err = store.ErrConflict
	}
	if err != nil {
		return 0, &store.RosterError{Index: i, Owner: u.Owner.Bare().Clone(), Current: version, Err: err}
	}
	before := version
	if u.Put != nil {
		version++
		if err := c.putItem(id, u.Put, version); err != nil {
			return 0, err
		}
	}
	if !u.Remove.IsZero() {
		if version, floor, err = c.removeItem(id, u.Remove, version, floor); err != nil {
			return 0, err
		}
	}
	if version != before {
		if err := c.execInts(qSetVersion, id, version, floor); err != nil {
			return 0, err
		}
	}
	return version, c.applyRequests(id, u)
}

// putItem adds or replaces an item.
func (c *conn) putItem(id int64, item *store.RosterItem, version int64) error {
	for _, g := range item.Groups {
		if g == "" || strings.Contains(g, groupSeparator) {
			return errGroup
		}
	}
	if err := store.CheckKey(item.JID.String()); err != nil {
		return err
	}
	state := int64(item.Subscription & store.Both)
	if item.Ask {
		state |= stateAsk
	}
	if item.Approved {
		state |= stateApproved
	}
	st, err := c.stmt(qPutItem)
	if err != nil {
		return err
	}
	st.BindInt64(1, id)
	st.BindText(2, item.JID.String())
	st.BindText(3, item.Name)
	st.BindText(4, strings.Join(item.Groups, groupSeparator))
	st.BindInt64(5, state)
	st.BindInt64(6, version)
	if _, err := c.run(st); err != nil {
		return err
	}
	_, err = c.execContact(qDeleteRemoved, id, item.JID)
	return err
}

// removeItem removes an item if it exists, and records the removal. It returns the
// roster's version and floor.
func (c *conn) removeItem(id int64, contact jid.JID, version, floor int64) (int64, int64, error) {
	n, err := c.execContact(qDeleteItem, id, contact)
	if err != nil || n == 0 {
		return version, floor, err
	}
	version++
	st, err := c.stmt(qPutRemoved)
	if err != nil {
		return 0, 0, err
	}
	st.BindInt64(1, id)
	st.BindText(2, contact.String())
	st.BindInt64(3, version)
	if _, err := c.run(st); err != nil {
		return 0, 0, err
	}
	floor, err = c.pruneRemoved(id, floor)
	return version, floor, err
}

// pruneRemoved forgets the oldest removed items if there are too many, and returns the
// version since which all changes are known.
func (c *conn) pruneRemoved(id, floor int64) (int64, error) {
	st, err := c.stmt(qOldestKept)
	if err != nil {
		return 0, err
	}
	st.BindInt64(1, id)
	st.BindInt64(2, maxRemoved)
	tooMany := false
	err = each(st, func() error {
		floor, tooMany = st.ColumnInt64(0), true
		return nil
	})
	if err != nil || !tooMany {
		return floor, err
	}
	return floor, c.execInts(qPruneRemoved, id, floor)
}

// applyRequests applies the part of an update that is about pending requests.
func (c *conn) applyRequests(id int64, u *store.RosterUpdate) error {
	if !u.RemoveRequest.IsZero() {
		if _, err := c.execContact(qDeleteRequest, id, u.RemoveRequest); err != nil {
			return err
		}
	}
	r := u.AddRequest
	if r == nil {
		return nil
	}
	st, err := c.stmt(qPutRequest)
	if err != nil {
		return err
	}
	st.BindInt64(1, id)
	st.BindText(2, r.From.BareString())
	st.BindInt64(3, r.Received.Unix())
	st.BindBytes(4, r.Stanza)
	_, err = c.run(st)
	return err
}

// execContact runs a statement about an account's contact.
func (c *conn) execContact(q query, id int64, contact jid.JID) (changed int, err error) {
	st, err := c.stmt(q)
	if err != nil {
		return 0, err
	}
	st.BindInt64(1, id)
	st.BindText(2, contact.String())
	return c.run(st)
}

// execInts runs a statement whose parameters are numbers.
func (c *conn) execInts(q query, args ...int64) error {
	st, err := c.stmt(q)
	if err != nil {
		return err
	}
	for i, arg := range args {
		st.BindInt64(i+1, arg)
	}
	_, err = c.run(st)
	return err
}
