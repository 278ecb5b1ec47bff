package ejabberd

import (
	"slices"
	"strconv"
	"strings"

	"roost/migrate"
	"roost/migrate/sqlrows"
	"roost/parser"
	"roost/store"
)

// user reads a row of the table users: keys, or a password. A newer schema has a row for
// each of them, with its type; in the older one, a prefix of the stored key is the hash.
func (r *reader) user(row *sqlrows.Row) {
	if t := r.created(row); t != r.now {
		r.b.Created = t
	}
	password, salt, iterations := row.Text("password"), row.Text("salt"), row.Text("iterationcount")
	mechanism := hashTypes[row.Text("type")]
	if mechanism == "" {
		mechanism = store.SHA1.Mechanism()
	}
	if salt == "" && (iterations == "0" || iterations == "") {
		mechanism = ""
	} else if hash, key, ok := strings.Cut(password, ":"); ok {
		mechanism, password = "SCRAM-"+strings.Replace(strings.ToUpper(hash), "SHA", "SHA-", 1), key
	}
	if r.seen[mechanism] {
		r.b.Skip(row.At, "the account is there twice")
		return
	}
	r.seen[mechanism] = true
	if mechanism == "" {
		r.b.Password = password
		return
	}
	n, err := strconv.Atoi(iterations)
	if err != nil {
		r.b.Skip(row.At, "keys for %s: the iteration count is not a number", mechanism)
		return
	}
	r.b.EncodedKeys(row.At, mechanism, n, salt, password, row.Text("serverkey"))
}

// group reads a row of the table rostergroups.
func (r *reader) group(row *sqlrows.Row) {
	address, group := row.Text("jid"), row.Text("grp")
	if r.size += len(address) + len(group); r.size > migrate.MaxAccount {
		r.b.Skip(row.At, "the account has too many groups: the group %.100q of %.100q is left out", group, address)
		return
	}
	r.groups[address] = append(r.groups[address], group)
}

// subscriptions are the values of the column subscription.
var subscriptions = map[string]store.Subscription{"N": store.None, "T": store.To, "F": store.From, "B": store.Both}

// contact reads a row of the table rosterusers: a contact, or a subscription request, or
// both.
func (r *reader) contact(row *sqlrows.Row) {
	address, ask := row.Text("jid"), strings.TrimSpace(row.Text("ask"))
	subscription := strings.TrimSpace(row.Text("subscription"))
	sub, ok := subscriptions[subscription]
	if !ok {
		r.b.Skip(row.At, "contact %.100q: the subscription %.100q is none of N, T, F and B", address, subscription)
	}
	if ask == "I" || ask == "B" {
		r.request(row, address)
	}
	if ask == "I" && sub == store.None && ok {
		return // ejabberd does not show it to clients as a contact
	}
	r.b.Contact(row.At, address, store.RosterItem{
		Name: row.Text("nick"), Groups: r.groups[address], Subscription: sub,
		Ask: ask == "O" || ask == "B" || ask == "S", Approved: isTrue(row.Text("approved")),
	})
}

// request adds the subscription request of a contact.
func (r *reader) request(row *sqlrows.Row, address string) {
	status := row.Text("askmessage")
	if status == "" {
		r.b.RequestFrom(row.At, address, r.created(row))
		return
	}
	text := []byte("<presence type='subscribe' from='")
	text = append(parser.AppendEscaped(text, address), "'><status>"...)
	text = append(parser.AppendEscaped(text, status), "</status></presence>"...)
	r.b.Request(row.At, migrate.XML{Text: text}, r.created(row))
}

// isTrue returns a boolean of PostgreSQL, MySQL or SQLite.
func isTrue(value string) bool { return slices.Contains([]string{"t", "true", "1", "\x01"}, value) }

// list reads a row of the table privacy_list. Of the default list, the addresses that it
// denies everything are blocked.
func (r *reader) list(row *sqlrows.Row) error {
	if name := row.Text("name"); r.privacy == "" || name != r.privacy {
		r.b.Skip(row.At, "the privacy list %.100q is not imported: it is not the default", name)
		return nil
	}
	return r.sorter.Kept(r.ctx, row.Text("id"), func(rule *sqlrows.Row) error {
		everything := isTrue(rule.Text("match_all"))
		if !everything {
			everything = true
			for _, column := range []string{"match_iq", "match_message", "match_presence_in", "match_presence_out"} {
				everything = everything && isTrue(rule.Text(column))
			}
		}
		if !everything || rule.Text("t") != "j" || rule.Text("action") != "d" {
			r.b.Skip(rule.At, "a rule of a privacy list is not imported: only those are that deny an address everything")
			return nil
		}
		r.b.Block(rule.At, rule.Text("value"))
		return nil
	})
}
