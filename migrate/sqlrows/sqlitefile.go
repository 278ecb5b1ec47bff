package sqlrows

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// quoted returns a name in double quotes.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// readSQLite reads a database file. Another program may have it open.
func readSQLite(ctx context.Context, name string, to Receiver) (err error) {
	c, err := sqlite.OpenConn(name, sqlite.OpenReadOnly)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetInterrupt(ctx.Done())
	err = sqliteTables(ctx, c, name, to)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func sqliteTables(ctx context.Context, c *sqlite.Conn, name string, to Receiver) error {
	query := func(sql string, f func(*sqlite.Stmt) error) error {
		err := sqlitex.ExecuteTransient(c, sql, &sqlitex.ExecOptions{ResultFunc: f})
		if err != nil && sqlite.ErrCode(err) != sqlite.ResultError {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return err
	}
	if err := query("BEGIN", nil); err != nil {
		return err
	}
	var tables []string
	err := query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'", func(st *sqlite.Stmt) error {
		tables = append(tables, st.ColumnText(0))
		return nil
	})
	if err != nil {
		return err
	}
	for _, table := range tables {
		at := name + ": table " + table
		if !to.Want(table) {
			if err := query("SELECT 1 FROM "+quoted(table)+" LIMIT 1", func(*sqlite.Stmt) error {
				to.Unread(at, table)
				return nil
			}); err != nil {
				return err
			}
			continue
		}
		row, id := Row{Table: table}, "rowid"
		if query("SELECT rowid FROM "+quoted(table)+" LIMIT 0", nil) != nil {
			id = "NULL" // a table WITHOUT ROWID
		}
		if err := query("SELECT "+id+", * FROM "+quoted(table), func(st *sqlite.Stmt) error {
			if row.columns == nil {
				for i := 1; i < st.ColumnCount(); i++ {
					row.columns = append(row.columns, st.ColumnName(i))
				}
			}
			if row.At = at; id == "rowid" {
				row.At += " rowid " + st.ColumnText(0)
			}
			row.values = row.values[:0]
			size := 0
			for i := range row.columns {
				row.values = append(row.values, columnText(st, i+1))
				size += len(row.values[i])
			}
			if size > maxRow {
				to.Problem(row.At, fmt.Sprintf("the row is larger than %d MiB", maxRow>>20))
				return nil
			}
			return to.Row(&row)
		}); err != nil {
			return err
		}
	}
	return nil
}

// columnText returns a value as text.
func columnText(st *sqlite.Stmt, i int) string {
	if st.ColumnType(i) != sqlite.TypeBlob {
		return st.ColumnText(i)
	}
	b := make([]byte, st.ColumnLen(i))
	return string(b[:st.ColumnBytes(i, b)])
}
