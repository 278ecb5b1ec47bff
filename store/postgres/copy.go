package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"roost/store"
)

// columnsOf returns a list of columns and what is read of them.
func columnsOf(columns []store.Column) (names []string, list, values string) {
	var quoted, v []string
	for i, c := range columns {
		names = append(names, c.Name)
		quoted = append(quoted, pgx.Identifier{c.Name}.Sanitize())
		value := quoted[i]
		if c.Type == store.Bool {
			value += "::integer"
		}
		v = append(v, value)
	}
	return names, strings.Join(quoted, ", "), strings.Join(v, ", ")
}

// long calls f with a connection whose statements have no time limit.
func (s *Store) long(ctx context.Context, what string, f func(*pgx.Conn) error) error {
	if err := s.usable(ctx); err != nil {
		return s.wrap(what, err)
	}
	c, err := s.connect(ctx)
	if err != nil {
		return s.wrap(what, err)
	}
	defer func() { _ = closeConn(c) }()
	if _, err := c.Exec(ctx, `SET statement_timeout = 0`); err != nil {
		return s.wrap(what, err)
	}
	return s.wrap(what, f(c))
}

// CountRows implements store.Copier.
func (s *Store) CountRows(ctx context.Context, t *store.Table) (n int64, err error) {
	err = s.long(ctx, "count "+t.Name, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT count(*) FROM `+t.Name).Scan(&n)
	})
	return n, err
}

// ReadRows implements store.Copier.
func (s *Store) ReadRows(ctx context.Context, t *store.Table, after store.Row) ([]store.Row, error) {
	_, _, values := columnsOf(t.Columns)
	_, key, _ := columnsOf(t.Columns[:t.Key])
	sql := `SELECT ` + values + ` FROM ` + t.Name
	if after != nil {
		sql += ` WHERE (` + key + `) > (` + strings.Join([]string{"$1", "$2", "$3"}[:t.Key], ", ") + `)`
		after = after[:t.Key]
	}
	return s.rows(ctx, t, fmt.Sprintf(`%s ORDER BY %s LIMIT %d`, sql, key, t.Page), after)
}

// LastRow implements store.Copier.
func (s *Store) LastRow(ctx context.Context, t *store.Table) (store.Row, error) {
	_, _, values := columnsOf(t.Columns)
	_, key, _ := columnsOf(t.Columns[:t.Key])
	sql := `SELECT ` + values + ` FROM ` + t.Name + ` ORDER BY ` + strings.ReplaceAll(key, ",", " DESC,") + ` DESC LIMIT 1`
	rows, err := s.rows(ctx, t, sql, nil)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// rows reads rows of a table.
func (s *Store) rows(ctx context.Context, t *store.Table, sql string, args []any) (all []store.Row, err error) {
	reset := func() { all = nil }
	err = s.queryPart(ctx, "read "+t.Name, sql, args, reset, func(rows pgx.Rows) error {
		vars := make([]any, len(t.Columns))
		for i, column := range t.Columns {
			switch column.Type {
			case store.Text:
				vars[i] = new(string)
			case store.Bytes:
				vars[i] = new([]byte)
			default:
				vars[i] = new(int64)
			}
		}
		if err := rows.Scan(vars...); err != nil {
			return err
		}
		r := make(store.Row, len(vars))
		for i, v := range vars {
			switch v := v.(type) {
			case *string:
				r[i] = *v
			case *[]byte:
				r[i] = bytesOf(*v)
			case *int64:
				r[i] = *v
			}
		}
		all = append(all, r)
		return nil
	})
	return all, err
}

// LastMessage implements store.Copier.
func (s *Store) LastMessage(ctx context.Context) (id int64, err error) {
	const sql = `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM offline_id_seq`
	err = s.queryPart(ctx, "read the last message", sql, nil, nil, into(&id))
	return id, err
}

const sqlCopySource = `SELECT coalesce(max(source), '') FROM copying`

// CopySource implements store.Copier.
func (s *Store) CopySource(ctx context.Context) (source string, err error) {
	err = s.queryPart(ctx, "look for an unfinished copy", sqlCopySource, nil, nil, into(&source))
	return source, err
}

// BeginCopy implements store.Copier.
func (s *Store) BeginCopy(ctx context.Context, source string) error {
	return s.long(ctx, "begin a copy", func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO copying (source) VALUES ($1)`, source)
		return err
	})
}

// WriteRows implements store.Copier.
func (s *Store) WriteRows(ctx context.Context, t *store.Table, rows []store.Row) error {
	what := "copy " + t.Name
	if err := s.usable(ctx); err != nil {
		return s.wrap(what, err)
	}
	names, _, _ := columnsOf(t.Columns)
	source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		r := rows[i]
		for k, c := range t.Columns {
			if c.Type == store.Bool {
				r = append(store.Row(nil), r...)
				r[k] = r[k] != int64(0)
			}
		}
		return r, nil
	})
	return s.wrap(what, s.withConn(ctx, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.CopyFrom(ctx, pgx.Identifier{t.Name}, names, source)
		return err
	}))
}

// derive are the statements of DeriveRows: the numbers from which new rows continue, and the
// numbers of messages. The parameter is the ID of the last message.
var derive = []string{
	`DELETE FROM mailbox`,
	`INSERT INTO mailbox (account, sender, messages, bytes) SELECT account, '', count(*), sum(size) FROM offline GROUP BY account`,
	`INSERT INTO mailbox (account, sender, messages, bytes) SELECT account, sender, count(*), sum(size) FROM offline WHERE sender <> '' GROUP BY account, sender`,
	`SELECT setval(pg_get_serial_sequence('account', 'id'), max(id)) FROM account`,
	`SELECT setval('account_event_id', max(id)) FROM account_event`,
	`SELECT setval(pg_get_serial_sequence('roster_request', 'id'), max(id)) FROM roster_request`,
	`SELECT setval(pg_get_serial_sequence('saved_session', 'id'), max(id)) FROM saved_session`,
	`SELECT setval(pg_get_serial_sequence('offline', 'id'), $1::bigint) WHERE $1 > 0`,
}

// DeriveRows implements store.Copier.
func (s *Store) DeriveRows(ctx context.Context, last int64) error {
	return s.long(ctx, "count messages", func(c *pgx.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			for i, sql := range derive {
				var args []any
				if i == len(derive)-1 {
					args = []any{last}
				}
				if _, err := tx.Exec(ctx, sql, args...); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// EndCopy implements store.Copier. The database needs statistics of its new tables soon. They come
// first, since they take a while: if that is interrupted, the copy can be continued. The end itself is
// not interrupted: it would be unknown whether it happened.
func (s *Store) EndCopy(ctx context.Context) error {
	return s.long(ctx, "end a copy", func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, `ANALYZE account, account_event, roster_item, roster_request, offline, mailbox, blob, last_activity, account_use`); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
		defer cancel()
		_, err := c.Exec(ctx, `DELETE FROM copying`)
		return err
	})
}

// checkFinished returns an error if the database is an unfinished copy, which only a copy may
// use.
func (s *Store) checkFinished(ctx context.Context, c *pgx.Conn) error {
	if s.cfg.Options.Use == store.Copying {
		return nil
	}
	var source string
	if err := c.QueryRow(ctx, sqlCopySource).Scan(&source); err != nil || source == "" {
		return err
	}
	return store.Unfinished(source)
}
