package sqlrows

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Sorter groups rows by account. It holds few of them in memory: the others are in temporary
// files of SQLite, in the directory of the environment variable SQLITE_TMPDIR or TMPDIR, that
// no other user can open and that vanish when the process ends.
type Sorter struct {
	db        *sqlite.Conn
	add, keep *sqlite.Stmt
	kept      *sqlite.Stmt
	shapes    []Row // of tables, with their columns
	buf       []byte
}

// Key is where a row comes in the order of Each.
type Key struct {
	Host, User string
	Part       int   // which kind of data
	Order      int64 // among those of the same kind; rows with equal ones stay in their order
}

// NewSorter returns an empty Sorter.
func NewSorter() (*Sorter, error) {
	db, err := sqlite.OpenConn("", sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	s := &Sorter{db: db}
	for _, sql := range []string{
		"PRAGMA synchronous = off", "PRAGMA journal_mode = off", "PRAGMA temp_store = file", "BEGIN",
		"CREATE TABLE part (host TEXT, user TEXT, part INT, n INT, row BLOB)", "CREATE TABLE kept (id TEXT, row BLOB)", "CREATE INDEX kept_id ON kept (id)",
	} {
		if err == nil {
			err = sqlitex.ExecuteTransient(db, sql, nil)
		}
	}
	for st, sql := range map[**sqlite.Stmt]string{
		&s.add:  "INSERT INTO part VALUES (?1, ?2, ?3, ?4, ?5)",
		&s.keep: "INSERT INTO kept VALUES (?1, ?2)",
		&s.kept: "SELECT row FROM kept WHERE id = ?1 ORDER BY rowid",
	} {
		if err == nil {
			*st, err = db.Prepare(sql)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("temporary file: %w", err), db.Close())
	}
	return s, nil
}

// Close removes the temporary files.
func (s *Sorter) Close() error { return s.db.Close() }

// Add adds a row of an account.
func (s *Sorter) Add(k Key, r *Row) error {
	s.add.BindText(1, k.Host)
	s.add.BindText(2, k.User)
	s.add.BindInt64(3, int64(k.Part))
	s.add.BindInt64(4, k.Order)
	return s.run(s.add, 5, r)
}

// Keep adds a row that Kept returns.
func (s *Sorter) Keep(id string, r *Row) error {
	s.keep.BindText(1, id)
	return s.run(s.keep, 2, r)
}

// run binds a row to a parameter of a statement, and runs it.
func (s *Sorter) run(st *sqlite.Stmt, param int, r *Row) error {
	if err := s.bindRow(st, param, r); err != nil {
		return err
	}
	_, err := st.Step()
	if err = errors.Join(err, st.Reset()); err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	return nil
}

// Each calls f for each row in the order of their keys. The row is valid until f returns.
func (s *Sorter) Each(ctx context.Context, f func(Key, *Row) error) error {
	st, err := s.db.Prepare("SELECT host, user, part, row FROM part ORDER BY host, user, part, n, rowid")
	if err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	s.db.SetInterrupt(ctx.Done())
	return s.each(ctx, st, 3, func(r *Row) error {
		return f(Key{Host: st.ColumnText(0), User: st.ColumnText(1), Part: st.ColumnInt(2)}, r)
	})
}

// Kept calls f for each row that was added with an ID. The row is valid until f returns.
func (s *Sorter) Kept(ctx context.Context, id string, f func(*Row) error) error {
	s.kept.BindText(1, id)
	return s.each(ctx, s.kept, 0, f)
}

func (s *Sorter) each(ctx context.Context, st *sqlite.Stmt, column int, f func(*Row) error) error {
	defer st.Reset()
	for {
		ok, err := st.Step()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("temporary file: %w", err)
		}
		if !ok {
			return nil
		}
		b := make([]byte, st.ColumnLen(column))
		st.ColumnBytes(column, b)
		if err := f(s.decoded(b)); err != nil {
			return err
		}
	}
}

// maxShapes is the largest number of lists of columns. A program that writes dumps writes
// one for each table.
const maxShapes = 100

// bindRow binds a row as bytes: the number of its shape, and its place and values with their
// lengths.
func (s *Sorter) bindRow(st *sqlite.Stmt, param int, r *Row) error {
	shape := s.shape(r)
	if shape < 0 {
		return fmt.Errorf("%s: there are more than %d lists of columns", r.At, maxShapes)
	}
	b := binary.AppendUvarint(s.buf[:0], uint64(shape))
	for _, v := range append([]string{r.At}, r.values...) {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	s.buf = b
	st.BindBytes(param, b)
	return nil
}

// shape returns the number of a table with its columns, -1 if there are too many.
func (s *Sorter) shape(r *Row) int {
	for i := range s.shapes {
		if s.shapes[i].Table == r.Table && slices.Equal(s.shapes[i].columns, r.columns) {
			return i
		}
	}
	if len(s.shapes) == maxShapes {
		return -1
	}
	s.shapes = append(s.shapes, Row{Table: r.Table, columns: slices.Clone(r.columns)})
	return len(s.shapes) - 1
}

// decoded returns the row that bindRow has encoded.
func (s *Sorter) decoded(b []byte) *Row {
	number := func() int {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return int(v)
	}
	shape := &s.shapes[number()]
	r := &Row{Table: shape.Table, columns: shape.columns, values: make([]string, len(shape.columns))}
	text := func() string {
		n := number()
		v := string(b[:n])
		b = b[n:]
		return v
	}
	r.At = text()
	for i := range r.values {
		r.values[i] = text()
	}
	return r
}
