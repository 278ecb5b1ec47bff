package postgres

import (
	"strings"

	"roost/jid"
	"roost/store"
)

// groupSeparator separates the groups of an item. XML does not allow this character.
const groupSeparator = "\x1f"

// rosterRows collects rows of contact, name, groups, state and version, and converts them
// to roster items. The texts of all items become one string: a roster is cached for half a
// minute, and separate strings would fragment the heap.
type rosterRows struct {
	text []byte
	rows []rosterRow
}

// rosterRow is a row. Its texts are given by their lengths in bytes.
type rosterRow struct {
	contact, name, groups int
	state, version        int64
}

// add adds a row in binary format, which it does not keep.
func (r *rosterRows) add(v [][]byte) {
	r.text = append(append(append(r.text, v[0]...), v[1]...), v[2]...)
	r.rows = append(r.rows, rosterRow{contact: len(v[0]), name: len(v[1]), groups: len(v[2]), state: int64Of(v[3]), version: int64Of(v[4])})
}

// items converts the rows to items.
func (r *rosterRows) items() ([]store.RosterItem, error) {
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
		it.Subscription = store.Subscription(row.state & int64(store.Both))
		it.Ask, it.Approved = row.state&stateAsk != 0, row.state&stateApproved != 0
		it.Version = row.version
	}
	return items, nil
}
