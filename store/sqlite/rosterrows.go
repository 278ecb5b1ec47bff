package sqlite

import (
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"

	"roost/jid"
	"roost/store"
)

// groupSeparator separates the groups of an item. XML does not allow this character.
const groupSeparator = "\x1f"

// Bits of roster_item.state in addition to the subscription.
const (
	stateAsk      = 1 << 2
	stateApproved = 1 << 3
	statePending  = 1 << 4 // in event_contact only
)

// rosterRows collects rows of contact, name, groups, state and version, and converts them
// to roster items. The texts of all items become one string: a roster is cached for half a
// minute, and separate strings would fragment the heap. A connection has one rosterRows,
// for one query at a time.
type rosterRows struct {
	text []byte
	rows []rosterRow
}

// rosterRow is a row. Its texts are given by their lengths in bytes.
type rosterRow struct {
	contact, name, groups int
	state                 int
	version               int64
}

// maxRowsKept is the number of rows whose memory is kept for the next query.
const maxRowsKept = 256

// add reads the current row of a statement.
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

// items converts the rows to items and removes them.
func (r *rosterRows) items() ([]store.RosterItem, error) {
	defer r.reset()
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

func (r *rosterRows) reset() {
	if cap(r.rows) > maxRowsKept {
		*r = rosterRows{}
		return
	}
	r.text, r.rows = r.text[:0], r.rows[:0]
}
