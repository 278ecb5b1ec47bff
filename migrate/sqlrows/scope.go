package sqlrows

import (
	"fmt"
	"slices"
	"strings"
)

// scope is where the tables are that are read: all in one database and schema, because the
// tables of other programs may have the same names.
type scope struct {
	only  string   // as Source.Schema
	has   bool     // it has such tables
	found []string // those that have such tables; at most maxScopes
	first string   // such a table, of the first of them
}

// maxScopes is how many names an error lists.
const maxScopes = 10

// qualified reads the rest of a name after its first part, and returns its database or
// schema, or both with a dot between them, and the name without these.
func (d *dump) qualified(name string) (schema, table string) {
	schema = d.schema
	for d.accept('.') {
		schema = name
		name, _ = d.ident()
	}
	switch {
	case schema == "":
		schema = d.database
	case d.database != "" && d.dialect != mysqlText: // MySQL has no schemas in its databases
		schema = d.database + "." + schema
	}
	return schema, name
}

// table reads the name of a table.
func (d *dump) table() (schema, table string) {
	name, _ := d.ident()
	return d.qualified(name)
}

// command does what a command of psql says about names: pg_dump -C and pg_dumpall write one
// for each database.
func (d *dump) command(line string) {
	name, rest, _ := strings.Cut(line, " ")
	if name == `\connect` || name == `\c` {
		d.database, d.schema = strings.Trim(strings.TrimSpace(rest), `"`), ""
	}
}

// needed reports whether the rows of a table are read. It fails if such tables are in more
// than one database or schema, unless the right one is known.
func (d *dump) needed(schema, table string) bool {
	if d.err != nil || !d.to.Want(table) {
		return false
	}
	s := &d.scope
	if len(s.found) == 0 {
		s.first = table
	}
	if !slices.Contains(s.found, schema) && len(s.found) < maxScopes {
		s.found = append(s.found, schema)
	}
	if s.only != "" {
		s.has = s.has || schema == s.only
		return schema == s.only
	}
	if schema != s.found[0] {
		d.fail("there are tables to import in more than one database or schema, such as %s in %s and %s in %s: name the right one with --schema",
			clip(s.first), scopeName(s.found[0]), clip(table), scopeName(schema))
	}
	return d.err == nil
}

// scopeName returns the name of a database or schema for messages.
func scopeName(name string) string {
	if name == "" {
		return "one without a name"
	}
	return fmt.Sprintf("%q", clip(name))
}

// missing returns an error if the dump does not have the schema to read.
func (s *scope) missing(file string) error {
	if s.only == "" || s.has {
		return nil
	}
	var names []string
	for _, name := range s.found {
		if name != "" {
			names = append(names, scopeName(name))
		}
	}
	switch {
	case s.found == nil:
		return fmt.Errorf("%s: there are no tables to import in %q, and in no other database or schema", file, s.only)
	case names == nil:
		return fmt.Errorf("%s: there is no %q: the dump does not name its database: leave out --schema", file, s.only)
	}
	return fmt.Errorf("%s: there are no tables to import in %q: name one of these with --schema: %s", file, s.only, strings.Join(names, ", "))
}
