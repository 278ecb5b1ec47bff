// Package ejabberd reads the accounts of an ejabberd server from its SQL database. Package pie
// reads the files that ejabberd's command export_piefxis writes.
package ejabberd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"roost/migrate"
	"roost/migrate/sqlrows"
	"roost/store"
)

// Database is a migrate.Source of a database with ejabberd's tables, in either of its two
// schemas: with the domain of each account, or with those of one domain only.
type Database struct {
	From   sqlrows.Source
	Domain string    // of the accounts, for the schema without domains
	Now    time.Time // the time of messages and requests without one
}

// The tables that are read, in this order for each account.
var tables = []string{"users", "rostergroups", "rosterusers", "spool", "vcard", "private_storage", "last", "privacy_default_list", "privacy_list"}

// rulesTable has the rules of privacy lists, by the ID of the list.
const rulesTable = "privacy_list_data"

// harmless are tables with nothing that would have to be imported: what follows from other
// tables, what ends with the server, and what belongs to tokens, which do not move.
var harmless = []string{
	"bosh", "caps_features", "oauth_client", "oauth_token", "proxy65", "push_session", "roster_version", "route", "schema_version", "sm", "vcard_search",
	"muc_online_room", "muc_online_users", "pubsub_node_option", "pubsub_node_owner", "pubsub_state", "pubsub_subscription_opt", "sqlite_sequence",
}

// Read implements migrate.Source.
func (d Database) Read(ctx context.Context, to migrate.Receiver) (err error) {
	s, err := sqlrows.NewSorter()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	users := 0
	err = d.From.Read(ctx, sqlrows.Receiver{
		Want: func(table string) bool { return slices.Contains(tables, table) || table == rulesTable },
		Row: func(r *sqlrows.Row) error {
			if r.Table == rulesTable {
				return s.Keep(r.Text("id"), r)
			}
			k := sqlrows.Key{Host: d.Domain, User: r.Text("username"), Part: slices.Index(tables, r.Table)}
			if k.Part == 0 {
				users++
			}
			switch has := r.Has("server_host"); {
			case has && d.Domain != "":
				return fmt.Errorf("%s: the database has the domains of its accounts: leave out --domain", r.At)
			case has:
				k.Host = r.Text("server_host")
			case d.Domain == "":
				return fmt.Errorf("%s: the database does not have the domain of its accounts: name it with --domain", r.At)
			}
			k.Order, _ = strconv.ParseInt(r.Text("seq"), 10, 64) // of stored messages
			return s.Add(k, r)
		},
		Unread: func(at, table string) {
			if !slices.Contains(harmless, table) {
				to.Problem(migrate.Problem{At: at, Text: fmt.Sprintf("the table %s is not imported", table)})
			}
		},
		Problem: func(at, text string) { to.Problem(migrate.Problem{At: at, Text: text, Whole: false}) },
	})
	if err != nil {
		return err
	}
	if users == 0 {
		return fmt.Errorf("%s: no rows of a table users: it is not a database of ejabberd, or ejabberd keeps its accounts elsewhere (auth_method)", sqlrows.Printable(d.From.Name))
	}
	r := &reader{ctx: ctx, to: to, b: migrate.NewBuilder(to.Problem), sorter: s, now: d.Now}
	if err := s.Each(ctx, r.row); err != nil {
		return err
	}
	return r.end()
}

// reader makes accounts of sorted rows.
type reader struct {
	ctx    context.Context
	to     migrate.Receiver
	b      *migrate.Builder
	sorter *sqlrows.Sorter
	now    time.Time

	key     sqlrows.Key         // of the present account
	begun   bool                // there is one
	valid   bool                // and it can be imported
	main    string              // where it is
	seen    map[string]bool     // the mechanisms, or "" for a password, that it has
	groups  map[string][]string // of contacts, by their addresses
	size    int                 // of groups, in bytes
	privacy string              // the name of the default privacy list
}

// row reads the next row.
func (r *reader) row(k sqlrows.Key, row *sqlrows.Row) error {
	if !r.begun || k.Host != r.key.Host || k.User != r.key.User {
		if err := r.end(); err != nil {
			return err
		}
		r.begin(k, row)
	}
	if !r.valid {
		return nil
	}
	switch row.Table {
	case "users":
		r.user(row)
	case "rostergroups":
		r.group(row)
	case "rosterusers":
		r.contact(row)
	case "spool":
		r.b.Message(row.At, migrate.XML{Text: []byte(row.Text("xml"))}, r.created(row))
	case "vcard":
		r.b.VCard(row.At, migrate.XML{Text: []byte(row.Text("vcard"))})
	case "private_storage":
		r.b.Private(row.At, migrate.XML{Text: []byte(row.Text("data"))})
	case "last":
		r.last(row)
	case "privacy_default_list":
		r.privacy = row.Text("name")
	case "privacy_list":
		return r.list(row)
	}
	return nil
}

// begin begins an account, whose first row is that of the table users if there is one.
func (r *reader) begin(k sqlrows.Key, row *sqlrows.Row) {
	r.key, r.begun, r.main = k, true, row.At
	r.seen, r.groups, r.size, r.privacy = make(map[string]bool), make(map[string][]string), 0, ""
	r.valid = r.b.Begin(row.At, k.User, k.Host)
	if r.valid && row.Table != "users" {
		r.valid = false
		r.b.Skip(row.At, "there is no such account in the table users: what other tables have of it is left out")
	}
}

// end passes on the present account.
func (r *reader) end() error {
	if !r.begun || !r.valid || !r.b.Secret(r.main) {
		return nil
	}
	return r.to.Account(r.b.Account)
}

// created returns when a row was added, if that is known. ejabberd does not store the time
// zone, but PostgreSQL may have one, in hours or with minutes.
func (r *reader) created(row *sqlrows.Row) time.Time {
	for _, layout := range []string{time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(layout, row.Text("created_at")); err == nil && t.Year() >= 1970 && t.Year() <= 9999 {
			return t
		}
	}
	return r.now
}

// last reads when the account was last online.
func (r *reader) last(row *sqlrows.Row) {
	seconds, err := strconv.ParseInt(row.Text("seconds"), 10, 64)
	if err != nil || seconds < 0 || seconds > maxSeconds {
		r.b.Skip(row.At, "the time when it was last online is not a number of seconds")
		return
	}
	if r.b.Last != nil {
		r.b.Skip(row.At, "the time when it was last online is there twice")
		return
	}
	r.b.Online(row.At, time.Unix(seconds, 0), row.Text("state"))
}

// maxSeconds is the last second of the year 9999.
var maxSeconds = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()

// hashTypes are the values of the column type of keys
// (ejabberd_auth_sql:hash_to_num).
var hashTypes = map[string]string{"2": store.SHA1.Mechanism(), "3": store.SHA256.Mechanism(), "4": "SCRAM-SHA-512"}
