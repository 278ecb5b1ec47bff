package prosody

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"roost/migrate"
	"roost/migrate/sqlrows"
)

// Database is a migrate.Source of the SQL database of Prosody's module storage_sql.
type Database struct {
	From sqlrows.Source
	Now  time.Time // the time of requests and messages without one
}

// The tables of the database: values by key, and lists.
const (
	valueTable = "prosody"
	listTable  = "prosodyarchive"
)

// vcard4List is the store vcard4Store in a database.
const vcard4List = "pep_urn:xmpp:vcard4"

// sqlStores are the stores that are read, in this order for each account.
var sqlStores = []string{"accounts", "roster", "private", "blocklist", "vcard", vcard4List, "offline"}

// Read implements migrate.Source.
func (d Database) Read(ctx context.Context, to migrate.Receiver) (err error) {
	s, err := sqlrows.NewSorter()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	accounts := 0
	unread := make(map[string]bool)
	err = d.From.Read(ctx, sqlrows.Receiver{
		Want: func(table string) bool { return table == valueTable || table == listTable },
		Row: func(r *sqlrows.Row) error {
			host, name := r.Text("host"), r.Text("store")
			k := sqlrows.Key{Host: host, User: r.Text("user"), Part: slices.Index(sqlStores, name)}
			if k.Part == 0 {
				accounts++
			}
			if k.Part >= 0 && k.User != "" {
				k.Order, _ = strconv.ParseInt(r.Text("sort_id"), 10, 64) // of lists
				return s.Add(k, r)
			}
			id := host + "/" + name
			if slices.Contains(readStores, name) || unread[id] || len(unread) == maxUnread {
				return nil
			}
			unread[id] = true
			to.Problem(migrate.Problem{At: r.At, Text: fmt.Sprintf("the store %.100q of %.100s is not imported", name, host)})
			return nil
		},
		Unread: func(at, table string) {
			if table != "sqlite_sequence" {
				to.Problem(migrate.Problem{At: at, Text: fmt.Sprintf("the table %s is not imported", table)})
			}
		},
		Problem: func(at, text string) { to.Problem(migrate.Problem{At: at, Text: text}) },
	})
	if err != nil {
		return err
	}
	if accounts == 0 {
		return fmt.Errorf("%s: no rows of a store accounts in a table %s: it is not a database of Prosody, or Prosody keeps its accounts elsewhere", sqlrows.Printable(d.From.Name), valueTable)
	}
	r := &database{to: to, b: migrate.NewBuilder(to.Problem), now: d.Now}
	if err := s.Each(ctx, r.row); err != nil {
		return err
	}
	return r.end()
}

// maxUnread is how many stores that are not imported are reported.
const maxUnread = 1000

// database makes accounts of sorted rows.
type database struct {
	to  migrate.Receiver
	b   *migrate.Builder
	now time.Time

	key    sqlrows.Key // of the present account
	begun  bool        // there is one
	valid  bool        // and it can be imported
	main   string      // where it is
	keys   table       // of the store accounts
	vcard  whole       // of the older kind
	vcard4 whole       // of the newer kind: the last one
}

// whole is an element that is imported when all of it was read.
type whole struct {
	at    string
	table table
	text  markup
	size  int // in bytes
}

// row reads the next row.
func (r *database) row(k sqlrows.Key, row *sqlrows.Row) error {
	if !r.begun || k.Host != r.key.Host || k.User != r.key.User {
		if err := r.end(); err != nil {
			return err
		}
		r.begin(k, row)
	}
	if !r.valid {
		return nil
	}
	v, err := value(row.Text("type"), row.Text("value"))
	if err != nil {
		r.b.Skip(row.At, "%.100q in the store %s: %v", row.Text("key"), sqlStores[k.Part], err)
		return nil
	}
	r.part(k, row, v)
	return nil
}

// part reads a value.
func (r *database) part(k sqlrows.Key, row *sqlrows.Row, v any) {
	key, b := row.Text("key"), r.b
	switch name := sqlStores[k.Part]; name {
	case "accounts":
		r.keys.set(key, v)
	case "vcard":
		r.gather(&r.vcard, row, v)
	case vcard4List:
		r.vcard4 = whole{at: row.At}
		r.gather(&r.vcard4, row, v)
	case "offline":
		r.offline(row, v)
	default:
		t, isTable := v.(*table)
		text, isText := v.(markup)
		switch {
		case name == "blocklist" && key != "":
			b.Block(row.At, key)
			return
		case name == "private" && isText:
			b.Private(row.At, migrate.XML{Text: []byte(text)})
			return
		case !isTable:
			b.Skip(row.At, "%.100q in the store %s is not a table", key, name)
			return
		case key != "":
			t = &table{pairs: []pair{{key, v}}}
		}
		switch name {
		case "roster":
			roster(b, row.At, t, r.now)
		case "private":
			private(b, row.At, t)
		case "blocklist":
			blocklist(b, row.At, t)
		}
	}
}

// gather adds a row to an element.
func (r *database) gather(w *whole, row *sqlrows.Row, v any) {
	if w.at == "" {
		w.at = row.At
	}
	if w.size += len(row.Text("value")); w.size > migrate.MaxAccount {
		r.b.Skip(row.At, "vCard: it is larger than %d MiB", migrate.MaxAccount>>20)
		return
	}
	if text, ok := v.(markup); ok {
		w.text = text
		return
	}
	if t, ok := v.(*table); ok && row.Table == listTable {
		w.table = *t
		return
	}
	w.table.set(row.Text("key"), v)
}

// xml returns the element.
func (w *whole) xml() migrate.XML {
	if w.text != "" {
		return migrate.XML{Text: []byte(w.text)}
	}
	return migrate.XML{Text: []byte(element(&w.table))}
}

// offline reads a stored message.
func (r *database) offline(row *sqlrows.Row, v any) {
	at, now := row.At, r.now
	if row.Table != listTable {
		r.b.Skip(at, "stored message: it is in the form of a version before 0.10: let a newer version of Prosody convert it first")
		return
	}
	if when, err := strconv.ParseFloat(row.Text("when"), 64); err == nil && when > 0 && when < maxWhen {
		now = time.Unix(int64(when), 0)
	}
	switch v := v.(type) {
	case markup:
		r.b.Message(at, migrate.XML{Text: []byte(v)}, now)
	case *table:
		message(r.b, at, v, now)
	default:
		r.b.Skip(at, "stored message: it is not an element")
	}
}

// maxWhen limits times, in seconds: in this range they can be written.
const maxWhen = 1 << 37

// begin begins an account, whose first row is of the store accounts if there is one.
func (r *database) begin(k sqlrows.Key, row *sqlrows.Row) {
	*r = database{to: r.to, b: r.b, now: r.now, key: k, begun: true, main: row.At}
	r.valid = r.b.Begin(row.At, k.User, k.Host)
	if r.valid && k.Part != 0 {
		r.valid = false
		r.b.Skip(row.At, "there is no such account in the store accounts: what other stores have of it is left out")
	}
}

// end passes on the present account.
func (r *database) end() error {
	if !r.begun || !r.valid {
		return nil
	}
	account(r.b, r.main, &r.keys)
	switch {
	case r.vcard.at != "":
		r.b.VCard(r.vcard.at, r.vcard.xml())
	case r.vcard4.at != "":
		vcard4(r.b, r.vcard4.at, r.vcard4.xml())
	}
	if !r.b.Secret(r.main) {
		return nil
	}
	return r.to.Account(r.b.Account)
}

// set sets the value of a key. Without a key, a table has several values.
func (t *table) set(key string, v any) {
	if several, ok := v.(*table); ok && key == "" {
		t.list = append(t.list, several.list...)
		t.pairs = append(t.pairs, several.pairs...)
		return
	}
	for i := range t.pairs {
		if t.pairs[i].key == key {
			t.pairs[i].value = v
			return
		}
	}
	t.pairs = append(t.pairs, pair{key, v})
}

// markup is an element as text.
type markup string

// value returns a value of a type of module storage_sql: one of a table, or markup.
func value(kind, text string) (any, error) {
	switch kind {
	case "string":
		return text, nil
	case "xml":
		return markup(text), nil
	case "json":
		return parseJSON(text)
	case "boolean":
		if b := text == "true"; b || text == "false" {
			return b, nil
		}
		return nil, errors.New("the value is not a boolean")
	case "number":
		return number(text)
	}
	return nil, fmt.Errorf("values of the type %.100q are not supported", kind)
}

// number parses a number as Lua writes it.
func number(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return nil, errors.New("the value is not a number")
	}
	return n, nil
}
