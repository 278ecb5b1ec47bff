package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// conn is a connection with its prepared statements. One goroutine at a time owns it.
type conn struct {
	*sqlite.Conn
	stmts  [numQueries]*sqlite.Stmt
	roster rosterRows

	counted counts // of the writer

	changed int // rows that the writer's transaction has changed, or at most that many; see maxRows

	// Set by writes, for the upkeep.
	freed bool // something was deleted
	scrub bool // and must be removed from all files
}

// stmt returns a prepared statement that is reset. It stays prepared until the connection
// is closed. A caller that does not step it to its end must reset it.
func (c *conn) stmt(q query) (*sqlite.Stmt, error) {
	if st := c.stmts[q]; st != nil {
		return st, nil
	}
	st, err := c.Prepare(queries[q])
	if err != nil {
		return nil, err
	}
	c.stmts[q] = st
	return st, nil
}

// account returns a statement whose first two parameters are an account's domain and
// localpart, which it binds.
func (c *conn) account(q query, owner jid.JID) (*sqlite.Stmt, error) {
	st, err := c.stmt(q)
	if err != nil {
		return nil, err
	}
	st.BindText(1, owner.Domain())
	st.BindText(2, owner.Local())
	return st, nil
}

// run steps a statement that returns no rows, resets it, and returns the number of rows
// that it changed.
func (c *conn) run(st *sqlite.Stmt) (changed int, err error) {
	if _, err := st.Step(); err != nil {
		return 0, err
	}
	changed = c.Changes()
	c.changed += changed
	return changed, st.Reset()
}

// each calls f for each row of a statement, and resets the statement.
func each(st *sqlite.Stmt, f func() error) error {
	defer st.Reset()
	for {
		ok, err := st.Step()
		if err != nil || !ok {
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
}

// queryInt returns the number that is the result of a query or pragma. The query does not
// stay prepared.
func queryInt(c *sqlite.Conn, query string) (n int64, err error) {
	err = sqlitex.ExecuteTransient(c, query, &sqlitex.ExecOptions{
		ResultFunc: func(st *sqlite.Stmt) error {
			n = st.ColumnInt64(0)
			return nil
		},
	})
	return n, err
}

// accountRow has the columns of an account that other statements need.
type accountRow struct {
	id, version, floor int64 // version and floor are those of the roster
	generation, event  int64
}

// accountRow returns the row of an account, or store.ErrNotFound.
func (c *conn) accountRow(owner jid.JID) (a accountRow, err error) {
	st, err := c.account(qAccountRow, owner)
	if err != nil {
		return a, err
	}
	found := false
	err = each(st, func() error {
		a = accountRow{id: st.ColumnInt64(0), version: st.ColumnInt64(1), floor: st.ColumnInt64(2), generation: st.ColumnInt64(3), event: st.ColumnInt64(4)}
		found = true
		return nil
	})
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return a, err
}

// blob returns a copy of a column's bytes, never nil.
func blob(st *sqlite.Stmt, col int) []byte {
	b := make([]byte, st.ColumnLen(col))
	st.ColumnBytes(col, b)
	return b
}

// read runs f, which executes the operation op, with a connection of the pool.
func (s *Store) read(ctx context.Context, op, what string, f func(*conn) error) error {
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: op})
	if err != nil {
		return err
	}
	defer done()
	return s.readPart(ctx, what, f)
}

// readPart runs f, which is part of an operation, with a connection of the pool. A read
// takes microseconds, so only the wait for a connection ends with ctx.
func (s *Store) readPart(ctx context.Context, what string, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return s.wrap(what, err)
	}
	select {
	case c := <-s.readers:
		defer func() { s.readers <- c }() // also if f panics
		return s.wrap(what, f(c))
	case <-ctx.Done():
		return s.wrap(what, ctx.Err())
	case <-s.closed:
		return s.wrap(what, store.ErrClosed)
	}
}
