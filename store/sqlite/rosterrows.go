package sqlite

import (
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"

	"roost/jid"
	"roost/store"
)

// groupSeparator stands between the groups of an item. XML has no such
// character.
const groupSeparator = "\x1f"

// Bits of roster_item.state beyond the subscription.
const (
	stateAsk      = 1 << 2
	stateApproved = 1 << 3
	statePending  = 1 << 4 // in event_contact only
)

// rosterRows gathers rows of contact, name, groups, state, version, and makes
// roster items of them. The texts of all of them become one string: rosters live
// for half a minute, and in pieces each would leave holes in the memory of those
// who live for days. A connection has one, for one query at a time.
type rosterRows struct {
	text []byte
	rows []rosterRow
}

// rosterRow is a row whose texts are the next so many bytes.
type rosterRow struct {
	contact, name, groups int
	state                 int
	version               int64
}

// maxRowsKept is how many rows' memory is kept for the next query.
const maxRowsKept = 256

// add reads the row that a statement is at.
func (r *rosterRows) add(st *sqlite.Stmt) {
	r.rows = append(r.rows, rosterRow{
		contact: r.addText(st, 0), name: r.addText(st, 1), groups: r.addText(st, 2),
		state: st.ColumnInt(3), version: st.ColumnInt64(4),
	})
}

func (r *rosterRows) addText(st *sqlite.Stmt, col int) int {
	n, used := st.ColumnLen(col), len(r.text)
	r.text = slices.Grow(r.text, n)[:used+n]
	st.ColumnBytes(col, r.text[used:])
	return n
}

// take makes items of the rows and forgets them.
func (r *rosterRows) take() ([]store.RosterItem, error) {
	defer r.forget()
	if len(r.rows) == 0 {
		return nil, nil
	}
	text := string(r.text)
	cut := func(n int) (s string) {
		s, text = text[:n], text[n:]
		return s
	}
	items := make([]store.RosterItem, len(r.rows))
	for i, row := range r.rows {
		it := &items[i]
		var err error
		if it.JID, err = jid.Parse(cut(row.contact)); err != nil {
			return nil, err
		}
		it.Name = cut(row.name)
		if groups := cut(row.groups); groups != "" {
			it.Groups = strings.Split(groups, groupSeparator)
		}
		it.Subscription = store.Subscription(row.state & int(store.Both))
		it.Ask, it.Approved = row.state&stateAsk != 0, row.state&stateApproved != 0
		it.Version = row.version
	}
	return items, nil
}

func (r *rosterRows) forget() {
	if cap(r.rows) > maxRowsKept {
		*r = rosterRows{}
		return
	}
	r.text, r.rows = r.text[:0], r.rows[:0]
}
