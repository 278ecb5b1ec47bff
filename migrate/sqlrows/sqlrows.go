// Package sqlrows reads the rows of another server's SQL database: from a dump, which is the
// text that sqlite3 .dump, pg_dump and mysqldump write, from an SQLite file, or from a
// database of PostgreSQL, MySQL or MariaDB. It does not know the tables; packages that do
// group their rows by account with a Sorter.
//
// A dump is data, not a program: statements other than INSERT, COPY and CREATE TABLE are
// skipped, and what those say must be constants.
package sqlrows

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"roost/migrate"
)

// maxRow is the size of the largest row, in bytes.
const maxRow = migrate.MaxAccount

// maxColumns is the largest number of columns of a table.
const maxColumns = 1000

// Row is a row of a table. The Receiver that gets it must not keep it.
type Row struct {
	Table   string
	At      string // where it is: a file and a line, or a table and what identifies the row
	columns []string
	values  []string
}

// Text returns the value of a column as text, "" if there is none or if it is NULL.
func (r *Row) Text(column string) string {
	if i := slices.Index(r.columns, column); i >= 0 {
		return r.values[i]
	}
	return ""
}

// String returns the values, separated by tabs.
func (r *Row) String() string { return strings.Join(r.values, "\t") }

// Has reports whether the table has a column.
func (r *Row) Has(column string) bool { return slices.Contains(r.columns, column) }

// Receiver gets the rows.
type Receiver struct {
	// Want reports whether the rows of a table are read.
	Want func(table string) bool
	// Row gets each row of these tables. If it returns an error, reading ends with that.
	Row func(*Row) error
	// Unread gets each other table that has rows, once, and where the first one is.
	Unread func(at, table string)
	// Problem gets what is wrong with a row that is left out.
	Problem func(at, text string)
}

// Source is a database or a dump.
type Source struct {
	// Name is a file, or the URL of a database of PostgreSQL, MySQL or MariaDB.
	Name string
	// Open opens the file.
	Open func() (io.ReadCloser, error)
	// Schema is the database or the schema whose tables are read, as an error names it, if a
	// dump has tables of the same names in several. Otherwise, it is empty.
	Schema string
}

// IsURL reports whether a source is the URL of a database rather than a file.
func IsURL(name string) bool {
	scheme, _, ok := strings.Cut(name, "://")
	return ok && !strings.ContainsAny(scheme, "/.")
}

// Read passes all rows to a receiver, in no particular order. If ctx ends, it returns the
// error of ctx.
func (s Source) Read(ctx context.Context, to Receiver) (err error) {
	if IsURL(s.Name) {
		return s.readURL(ctx, to)
	}
	f, err := s.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := bufio.NewReaderSize(f, 1<<18)
	start, err := in.Peek(16)
	if err != nil && err != io.EOF {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if bytes.HasPrefix(start, []byte(sqliteMagic)) {
		if s.Schema != "" {
			return fmt.Errorf("%s: a file of SQLite has one database only: leave out --schema", s.Name)
		}
		if s.Name == "-" {
			return errors.New("a database of SQLite cannot be read from standard input: name its file")
		}
		return readSQLite(ctx, s.Name, to)
	}
	for _, k := range notText {
		if bytes.HasPrefix(start, []byte(k.magic)) {
			return fmt.Errorf("%s: %s", s.Name, k.text)
		}
	}
	return newDump(s.Name, s.Schema, in, to).read(ctx)
}

const sqliteMagic = "SQLite format 3\x00"

// notText are the beginnings of files that are no text.
var notText = []struct{ magic, text string }{
	{"PGDMP", "the file is an archive of pg_dump: convert it to SQL with pg_restore -f FILE.sql"},
	{"\x1f\x8b", "the file is compressed: decompress it with gunzip"},
	{"BZh", "the file is compressed: decompress it with bunzip2"},
	{"\xfd7zXZ", "the file is compressed: decompress it with unxz"},
	{"\x28\xb5\x2f\xfd", "the file is compressed: decompress it with unzstd"},
}

// readURL reads a database server.
func (s Source) readURL(ctx context.Context, to Receiver) error {
	u, err := url.Parse(s.Name)
	if err != nil {
		return errors.New("the source is not a valid URL") // the error has the password
	}
	switch u.Scheme {
	case "postgres", "postgresql":
		return readLive(ctx, to, func(ctx context.Context, t liveTables) error { return readPostgres(ctx, s.Name, t) })
	case "mysql", "mariadb":
		return readLive(ctx, to, func(ctx context.Context, t liveTables) error { return readMySQL(ctx, u, t) })
	}
	return fmt.Errorf("%s is not the URL of a database that roost reads: name a postgres:// or mysql:// URL, or a file", Printable(s.Name))
}

// Printable returns a source without a password that its URL may have, and without that of a client's
// key.
func Printable(name string) string {
	if !IsURL(name) {
		return name
	}
	u, err := url.Parse(name)
	if err != nil {
		return "the database"
	}
	q := u.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if q.Has(name) {
			q.Set(name, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}
