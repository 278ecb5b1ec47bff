package sqlrows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// mysqlStart makes the server send text as mysqldump writes it, whatever its defaults are,
// and starts a transaction that sees the tables as they are now. The comments are for one of
// MariaDB and MySQL; the other one skips them.
var mysqlStart = []string{
	fmt.Sprintf("SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 3600, lock_wait_timeout = %d "+
		"/*M!100101 , max_statement_time = 0 */ /*!50708 , max_execution_time = 0 */", lockSeconds),
	"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
	"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
}

// readMySQL reads the tables of a database, as they are at one moment if their engine has
// transactions, as InnoDB has.
func readMySQL(ctx context.Context, u *url.URL, tables liveTables) (err error) {
	config, err := mysqlConfig(u)
	if err != nil {
		return err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("failed to connect to %s: %w", u.Redacted(), err)
	}
	defer func() { _ = c.Close() }() // it has changed nothing
	for _, statement := range mysqlStart {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	m := mysqlTables{ctx, c, tables}
	tables.list, tables.hasRows, tables.rows = m.list, m.hasRows, m.rows
	return tables.read()
}

// mysqlTables reads tables by a connection.
type mysqlTables struct {
	ctx    context.Context
	c      *sql.Conn
	tables liveTables
}

// backquoted returns a name in backquotes.
func backquoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

const mysqlColumns = `SELECT c.table_name, c.column_name, c.column_key = 'PRI'
	FROM information_schema.columns c JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
	WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'
	ORDER BY c.table_name, c.ordinal_position`

func (m mysqlTables) list(add func(table, column string, isKey bool)) error {
	var table, column string
	var isKey bool
	return m.query(mysqlColumns, []any{&table, &column, &isKey}, func() error {
		add(table, column, isKey)
		return nil
	})
}

func (m mysqlTables) hasRows(table string) (some bool, err error) {
	err = m.c.QueryRowContext(m.ctx, "SELECT EXISTS (SELECT 1 FROM "+backquoted(table)+")").Scan(&some)
	return some, err
}

// rows reads a table. The server sends its rows as they are read, and none is held.
func (m mysqlTables) rows(t liveTable) error {
	var names []string
	raw, into := make([]sql.RawBytes, len(t.columns)), make([]any, len(t.columns))
	for i, name := range t.columns {
		names = append(names, backquoted(name))
		into[i] = &raw[i]
	}
	row, n := Row{Table: t.name, columns: t.columns}, 0
	return m.query("SELECT "+strings.Join(names, ", ")+" FROM "+backquoted(t.name), into, func() error {
		row.values = row.values[:0]
		for _, v := range raw {
			row.values = append(row.values, string(v))
		}
		n++
		row.At = t.place(row.values, n)
		return m.tables.pass(&row)
	})
}

// place returns where a row is: the values of its primary key, or its number in the order in
// which the server sends them.
func (t *liveTable) place(values []string, number int) string {
	var b strings.Builder
	b.WriteString("table " + t.name)
	for _, i := range t.keys {
		fmt.Fprintf(&b, " %s %q", t.columns[i], clip(values[i]))
	}
	if t.keys == nil {
		fmt.Fprintf(&b, " row %d", number)
	}
	return b.String()
}

// query calls f for each row of a result, which is in into then.
func (m mysqlTables) query(text string, into []any, f func() error) (err error) {
	rows, err := m.c.QueryContext(m.ctx, text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
		m.tables.watch.waits()
	}
	return rows.Err()
}
