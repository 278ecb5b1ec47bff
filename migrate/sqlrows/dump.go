package sqlrows

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// dump reads the statements of a dump.
type dump struct {
	lexer
	to      Receiver
	scope   scope
	tables  bool                // there are any
	columns map[string][]string // of CREATE TABLE, by table: of those that are read
	unread  map[string]bool     // tables that were reported
	began   bool                // BEGIN of sqlite3 .dump, without its COMMIT
	row     Row
	long    []byte // a line that is longer than the buffer
}

func newDump(name, schema string, in *bufio.Reader, to Receiver) *dump {
	return &dump{lexer: lexer{name: name, in: in, line: 1}, to: to, scope: scope{only: schema}, columns: make(map[string][]string), unread: make(map[string]bool)}
}

// read reads the whole file.
func (d *dump) read(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.space(); d.ended() {
			break
		}
		d.one(ctx)
	}
	switch {
	case d.err != nil:
		return d.err
	case d.open > 0 || d.began:
		return fmt.Errorf("%s: the file is not complete: what the program writes at the end of a dump is missing", d.at())
	case !d.tables:
		return fmt.Errorf("%s: the file has no tables: it must be what sqlite3 .dump, pg_dump or mysqldump has written", d.name)
	}
	return d.scope.missing(d.name)
}

// one reads one statement.
func (d *dump) one(ctx context.Context) {
	switch d.peek() {
	case '\\': // a command of psql, which ends with its line
		d.command(d.rest())
		return
	case ';':
		d.next()
		return
	}
	switch word := strings.ToUpper(d.word()); word {
	case "INSERT", "REPLACE":
		d.insert(ctx)
	case "COPY":
		d.copy(ctx)
		return
	case "CREATE":
		d.create()
	case "PRAGMA":
		if d.dialect == unknown {
			d.dialect = sqliteText
		}
	case "BEGIN":
		d.began = d.began || d.dialect == sqliteText
	case "COMMIT":
		d.began = false
	case "ROLLBACK":
		d.fail("the dump ends with ROLLBACK: sqlite3 could not read the whole database")
	case "SET":
		d.set()
	case "USE":
		d.database, _ = d.ident()
	case "":
		d.fail("not SQL: a statement begins with %q", d.next())
	}
	d.statement()
}

// set reads a statement SET, and fails if the text is in another form than that of the
// defaults.
func (d *dump) set() {
	name := strings.ToLower(d.word())
	if name != "client_encoding" && name != "standard_conforming_strings" && name != "search_path" {
		return
	}
	if d.space(); !d.accept('=') {
		d.word() // TO
	}
	if name == "search_path" {
		d.space()
		if c := d.peek(); isWord(c) || c == '"' {
			d.schema, _ = d.ident() // of several, new tables are in the first one
		}
		return
	}
	value := strings.ToLower(d.wordOrString())
	switch {
	case name == "client_encoding" && value != "utf8" && value != "utf-8":
		d.fail("the text is in the character set %q: write the dump with pg_dump -E UTF8", clip(value))
	case name == "standard_conforming_strings" && value != "on":
		d.fail("the dump was written with standard_conforming_strings off: turn it on")
	}
}

// wordOrString reads a word or a string.
func (d *dump) wordOrString() string {
	if d.space(); d.accept('\'') {
		return d.text(false, false, maxName)
	}
	return d.word()
}

// create reads the names of the columns of CREATE TABLE.
func (d *dump) create() {
	word := strings.ToUpper(d.word())
	for word == "UNLOGGED" || word == "TEMPORARY" || word == "TEMP" {
		word = strings.ToUpper(d.word())
	}
	if word != "TABLE" {
		return
	}
	d.space()
	name, quoted := d.ident()
	if !quoted && strings.EqualFold(name, "IF") {
		d.word() // NOT
		d.word() // EXISTS
		name, _ = d.ident()
	}
	schema, name := d.qualified(name)
	if d.space(); d.peek() != '(' {
		return
	}
	d.tables = true
	if !d.needed(schema, name) {
		return
	}
	if d.columns[name] != nil {
		d.fail("the table %s is there twice: the file has more than one dump", clip(name))
	}
	d.next()
	var columns []string
	for d.err == nil {
		column, quoted := d.ident()
		if quoted || !d.constraint(column) {
			columns = append(columns, column)
		}
		if len(columns) > maxColumns {
			d.fail("the table %s has more than %d columns", clip(name), maxColumns)
		}
		if !d.definition() {
			break
		}
	}
	d.columns[name] = columns
}

// constraint reports whether a word begins a constraint or an index instead of a column.
func (d *dump) constraint(word string) bool {
	switch strings.ToUpper(word) {
	case "PRIMARY", "UNIQUE", "CONSTRAINT", "CHECK", "FOREIGN", "EXCLUDE", "LIKE":
		return true
	case "KEY", "INDEX", "FULLTEXT", "SPATIAL":
		return d.dialect == mysqlText
	}
	return false
}

// definition skips the rest of the definition of a column, and reports whether another one
// follows.
func (d *dump) definition() (more bool) {
	depth := 0
	for d.err == nil {
		d.space()
		switch c := d.peek(); {
		case c == '\'':
			d.next()
			d.skipString(d.dialect == mysqlText)
			continue
		case c == '"', c == '`':
			d.next()
			d.skipQuoted(c)
			continue
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				d.next()
				return false
			}
		case c == ',' && depth == 0:
			d.next()
			return true
		}
		d.next()
	}
	return false
}

// names reads a list of names in parentheses, if there is one.
func (d *dump) names() (names []string) {
	if d.space(); !d.accept('(') {
		return nil
	}
	for d.err == nil {
		name, _ := d.ident()
		if names = append(names, name); len(names) > maxColumns {
			d.fail("more than %d columns", maxColumns)
		}
		if d.space(); !d.accept(',') {
			break
		}
	}
	d.expect(')')
	return names
}

// begin begins the rows of a table, and reports whether they are read.
func (d *dump) begin(schema, table string, columns []string) bool {
	if d.tables = true; !d.needed(schema, table) {
		return false
	}
	if columns == nil {
		columns = d.columns[table]
	}
	if columns == nil {
		d.fail("the columns of the table %s are unknown: write the dump with the definitions of tables", clip(table))
		return false
	}
	d.row = Row{Table: table, columns: columns, values: make([]string, 0, len(columns))}
	return true
}

// skipped reports a table with rows that are not read, once.
func (d *dump) skipped(at, schema, table string) {
	if d.unread[table] || d.err != nil || d.scope.only != "" && d.scope.only != schema {
		return
	}
	if len(d.unread) > maxColumns {
		d.fail("there are more than %d tables", maxColumns)
		return
	}
	d.unread[table] = true
	d.to.Unread(at, table)
}

// insert reads the rows of a statement INSERT, up to its semicolon.
func (d *dump) insert(ctx context.Context) {
	at := d.at()
	for word := ""; word != "INTO" && d.err == nil; {
		if word = strings.ToUpper(d.word()); word == "" {
			d.fail("INSERT without INTO")
		}
	}
	schema, table := d.table()
	columns := d.names()
	if !d.begin(schema, table, columns) {
		d.skipped(at, schema, table)
		return
	}
	for word := ""; word != "VALUES" && d.err == nil; {
		if word = strings.ToUpper(d.word()); word == "" || word == "SELECT" {
			d.fail("INSERT without VALUES")
		}
	}
	for n := 1; d.err == nil; n++ {
		d.space()
		d.row.At = d.at()
		if n > 1 {
			d.row.At += fmt.Sprintf(" row %d", n)
		}
		d.tuple()
		if d.err == nil {
			d.deliver(ctx)
		}
		if d.space(); !d.accept(',') {
			break
		}
	}
	if d.peek() != ';' && !strings.EqualFold(d.word(), "ON") { // CONFLICT, CONFLICT DO NOTHING, DUPLICATE KEY
		d.fail("neither a comma nor a semicolon after a row")
	}
}

// tuple reads the values of a row in parentheses.
func (d *dump) tuple() {
	d.row.values = d.row.values[:0]
	d.expect('(')
	size := 0
	for d.err == nil {
		v := d.value()
		if size += len(v); size > maxRow || len(d.row.values) == maxColumns {
			d.fail("a row is larger than %d MiB, or has more than %d values", maxRow>>20, maxColumns)
		}
		d.row.values = append(d.row.values, v)
		if d.space(); !d.accept(',') {
			break
		}
	}
	d.expect(')')
}

// deliver passes on the row.
func (d *dump) deliver(ctx context.Context) {
	if n := len(d.row.columns); len(d.row.values) != n {
		d.to.Problem(d.row.At, fmt.Sprintf("a row of the table %s has %d values for %d columns", clip(d.row.Table), len(d.row.values), n))
		return
	}
	if d.err = ctx.Err(); d.err == nil {
		d.err = d.to.Row(&d.row)
	}
}
