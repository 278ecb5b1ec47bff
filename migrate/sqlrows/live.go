package sqlrows

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// stallLimit is how long a database may take until it sends its next row. Tests change it.
var stallLimit = time.Minute

// errStalled means that a database has sent nothing for stallLimit.
var errStalled = errors.New("the database has sent nothing for a minute: look for a statement there that holds a lock on its tables, and run the same command again")

// lockSeconds is how long a database may wait for such a lock, so that its own error, which
// is about a lock, comes first.
const lockSeconds = 30

// watch ends a context when a database sends nothing for a while. What is done with its rows
// does not count.
type watch struct{ timer *time.Timer }

// newWatch returns a watch that ends a context by its function.
func newWatch(cancel context.CancelCauseFunc) *watch {
	return &watch{time.AfterFunc(stallLimit, func() { cancel(errStalled) })}
}

// waits is called before something is read from the database.
func (w *watch) waits() { w.timer.Reset(stallLimit) }

// got is called after something was read.
func (w *watch) got() { w.timer.Stop() }

// liveTable is a table of a database server.
type liveTable struct {
	name    string
	columns []string
	keys    []int // the columns of its primary key
}

// liveTables are the tables of a database server, and how they are read.
type liveTables struct {
	watch   *watch
	to      Receiver
	list    func(add func(table, column string, isKey bool)) error // the columns in their order
	hasRows func(table string) (bool, error)
	rows    func(liveTable) error
}

// readLive reads the tables of a database server. connect connects to it.
func readLive(parent context.Context, to Receiver, connect func(context.Context, liveTables) error) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	w := newWatch(cancel)
	defer w.got()
	err := connect(ctx, liveTables{watch: w, to: to})
	switch {
	case parent.Err() != nil:
		return parent.Err()
	case err != nil && errors.Is(context.Cause(ctx), errStalled):
		return errStalled
	}
	return err
}

// read reads all tables.
func (l liveTables) read() error {
	var tables []liveTable
	l.watch.waits()
	if err := l.list(func(table, column string, isKey bool) {
		i := slices.IndexFunc(tables, func(t liveTable) bool { return t.name == table })
		if i < 0 {
			i = len(tables)
			tables = append(tables, liveTable{name: table})
		}
		t := &tables[i]
		if isKey {
			t.keys = append(t.keys, len(t.columns))
		}
		t.columns = append(t.columns, column)
	}); err != nil {
		return err
	}
	slices.SortFunc(tables, func(a, b liveTable) int { return cmp.Compare(a.name, b.name) })
	for _, t := range tables {
		if err := l.table(t); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return nil
}

// table reads one table, or reports that it is not read.
func (l liveTables) table(t liveTable) error {
	l.watch.waits()
	if l.to.Want(t.name) {
		return l.rows(t)
	}
	some, err := l.hasRows(t.name)
	if some && err == nil {
		l.to.Unread("table "+t.name, t.name)
	}
	return err
}

// pass passes on a row, unless it is too large.
func (l liveTables) pass(r *Row) error {
	l.watch.got()
	size := 0
	for _, v := range r.values {
		size += len(v)
	}
	if size > maxRow {
		l.to.Problem(r.At, fmt.Sprintf("the row is larger than %d MiB", maxRow>>20))
		return nil
	}
	return l.to.Row(r)
}
