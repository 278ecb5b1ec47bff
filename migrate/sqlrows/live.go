package sqlrows

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
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

// readPostgres reads the tables of a database that are visible without the name of a schema,
// as they are at one moment.
func readPostgres(ctx context.Context, url string, to Receiver) (err error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it has changed nothing
	err = postgresTables(ctx, tx, to)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

const sqlTables = `SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid) AND c.relnamespace <> 'pg_catalog'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
	GROUP BY c.relname`

func postgresTables(ctx context.Context, tx pgx.Tx, to Receiver) error {
	columns := make(map[string][]string)
	rows, err := tx.Query(ctx, sqlTables)
	if err != nil {
		return err
	}
	var table string
	var names []string
	if _, err := pgx.ForEachRow(rows, []any{&table, &names}, func() error {
		columns[table], names = names, nil
		return nil
	}); err != nil {
		return err
	}
	for table, names := range columns {
		if !to.Want(table) {
			var some bool
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+quoted(table)+")").Scan(&some); err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
			if some {
				to.Unread("table "+table, table)
			}
			continue
		}
		if err := postgresTable(ctx, tx, table, names, to); err != nil {
			return err
		}
	}
	return nil
}

// postgresTable reads the rows of a table.
func postgresTable(ctx context.Context, tx pgx.Tx, table string, names []string, to Receiver) error {
	var sql strings.Builder
	sql.WriteString("SELECT ctid::text")
	for _, name := range names {
		sql.WriteString(", " + quoted(name) + "::text")
	}
	rows, err := tx.Query(ctx, sql.String()+" FROM "+quoted(table))
	if err != nil {
		return fmt.Errorf("table %s: %w", table, err)
	}
	defer rows.Close()
	row := Row{Table: table, columns: names}
	for rows.Next() {
		raw := rows.RawValues() // text is the same in both formats
		row.At = "table " + table + " ctid " + string(raw[0])
		row.values = row.values[:0]
		size := 0
		for _, v := range raw[1:] {
			row.values = append(row.values, string(v))
			size += len(v)
		}
		if size > maxRow {
			to.Problem(row.At, fmt.Sprintf("the row is larger than %d MiB", maxRow>>20))
			continue
		}
		if err := to.Row(&row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("table %s: %w", table, err)
	}
	return nil
}
