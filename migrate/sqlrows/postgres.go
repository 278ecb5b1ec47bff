package sqlrows

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// postgresSettings make the server send text as pg_dump writes it, whatever is set for the
// user or the database, all rows or an error, and nothing end the transaction while rows are
// sorted. They are set after connecting, because connection poolers refuse most of them
// before.
var postgresSettings = []string{
	"client_encoding = 'UTF8'", "DateStyle = 'ISO'", "IntervalStyle = 'postgres'", "TimeZone = 'UTC'", "bytea_output = 'hex'", "extra_float_digits = 1",
	"row_security = off", "statement_timeout = 0", "idle_in_transaction_session_timeout = 0", fmt.Sprintf("lock_timeout = '%ds'", lockSeconds),
}

// readPostgres reads the tables of a database that are visible without the name of a schema,
// as they are at one moment.
func readPostgres(ctx context.Context, url string, tables liveTables) (err error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	// The first query of the transaction determines the moment.
	tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it has changed nothing
	if _, err := tx.Exec(ctx, "SET LOCAL "+strings.Join(postgresSettings, "; SET LOCAL ")); err != nil {
		return err
	}
	p := postgres{ctx, tx, tables}
	tables.list, tables.hasRows, tables.rows = p.list, p.hasRows, p.rows
	return tables.read()
}

// postgres reads tables in a transaction.
type postgres struct {
	ctx    context.Context
	tx     pgx.Tx
	tables liveTables
}

const postgresColumns = `SELECT c.relname, a.attname
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid) AND c.relnamespace <> 'pg_catalog'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
	ORDER BY c.relname, a.attnum`

func (p postgres) list(add func(table, column string, isKey bool)) error {
	rows, err := p.tx.Query(p.ctx, postgresColumns)
	if err != nil {
		return err
	}
	var table, column string
	_, err = pgx.ForEachRow(rows, []any{&table, &column}, func() error {
		add(table, column, false) // rows have a ctid
		return nil
	})
	return err
}

func (p postgres) hasRows(table string) (some bool, err error) {
	err = p.tx.QueryRow(p.ctx, "SELECT EXISTS (SELECT FROM "+quoted(table)+")").Scan(&some)
	return some, err
}

func (p postgres) rows(t liveTable) error {
	var sql strings.Builder
	sql.WriteString("SELECT ctid::text")
	for _, name := range t.columns {
		sql.WriteString(", " + quoted(name) + "::text")
	}
	rows, err := p.tx.Query(p.ctx, sql.String()+" FROM "+quoted(t.name))
	if err != nil {
		return err
	}
	defer rows.Close()
	row := Row{Table: t.name, columns: t.columns}
	for rows.Next() {
		raw := rows.RawValues() // text is the same in both formats
		row.At = "table " + t.name + " ctid " + string(raw[0])
		row.values = row.values[:0]
		for _, v := range raw[1:] {
			row.values = append(row.values, string(v))
		}
		if err := p.tables.pass(&row); err != nil {
			return err
		}
		p.tables.watch.waits()
	}
	return rows.Err()
}
