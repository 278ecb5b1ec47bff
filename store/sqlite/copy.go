package sqlite

import (
	"context"
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/store"
)

// columnValues has what is read of columns that may be NULL; see migration 9.
var columnValues = map[string]string{
	"sha256_salt":       "coalesce(sha256_salt, sha1_salt)",
	"sha256_iterations": "coalesce(sha256_iterations, sha1_iterations)",
}

// columnsOf returns a list of columns, what is read of them, and their parameters.
func columnsOf(columns []store.Column) (names, values, parameters string) {
	var n, v, p []string
	for i, c := range columns {
		n, p = append(n, `"`+c.Name+`"`), append(p, fmt.Sprintf("?%d", i+1))
		value, ok := columnValues[c.Name]
		if !ok {
			value = n[i]
		}
		v = append(v, value)
	}
	return strings.Join(n, ", "), strings.Join(v, ", "), strings.Join(p, ", ")
}

// CountRows implements store.Copier.
func (s *Store) CountRows(ctx context.Context, t *store.Table) (n int64, err error) {
	err = s.readPart(ctx, "count "+t.Name, func(c *conn) (err error) {
		n, err = queryInt(c.Conn, "SELECT count(*) FROM "+t.Name)
		return err
	})
	return n, err
}

// ReadRows implements store.Copier.
func (s *Store) ReadRows(ctx context.Context, t *store.Table, after store.Row) (rows []store.Row, err error) {
	_, values, _ := columnsOf(t.Columns)
	key, _, parameters := columnsOf(t.Columns[:t.Key])
	sql := "SELECT " + values + " FROM " + t.Name
	if after != nil {
		sql += " WHERE (" + key + ") > (" + parameters + ")"
	}
	sql += fmt.Sprintf(" ORDER BY %s LIMIT %d", key, t.Page)
	return s.rows(ctx, t, sql, after)
}

// LastRow implements store.Copier.
func (s *Store) LastRow(ctx context.Context, t *store.Table) (store.Row, error) {
	_, values, _ := columnsOf(t.Columns)
	key, _, _ := columnsOf(t.Columns[:t.Key])
	sql := "SELECT " + values + " FROM " + t.Name + " ORDER BY " + strings.ReplaceAll(key, ",", " DESC,") + " DESC LIMIT 1"
	rows, err := s.rows(ctx, t, sql, nil)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// rows reads rows of a table. If after is not nil, its key has the parameters.
func (s *Store) rows(ctx context.Context, t *store.Table, sql string, after store.Row) (rows []store.Row, err error) {
	err = s.readPart(ctx, "read "+t.Name, func(c *conn) error {
		st, err := c.Prepare(sql)
		if err != nil {
			return err
		}
		if after != nil {
			bindRow(st, after[:t.Key])
		}
		return each(st, func() error {
			r := make(store.Row, len(t.Columns))
			for i, column := range t.Columns {
				switch column.Type {
				case store.Text:
					r[i] = st.ColumnText(i)
				case store.Bytes:
					r[i] = blob(st, i)
				default:
					r[i] = st.ColumnInt64(i)
				}
			}
			rows = append(rows, r)
			return nil
		})
	})
	return rows, err
}

func bindRow(st *sqlite.Stmt, r store.Row) {
	for i, v := range r {
		switch v := v.(type) {
		case int64:
			st.BindInt64(i+1, v)
		case string:
			st.BindText(i+1, v)
		case []byte:
			st.BindBytes(i+1, v)
		}
	}
}

// LastMessage implements store.Copier.
func (s *Store) LastMessage(ctx context.Context) (id int64, err error) {
	err = s.readPart(ctx, "read the last message", func(c *conn) (err error) {
		id, err = queryInt(c.Conn, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'offline'")
		return err
	})
	return id, err
}

// CopySource implements store.Copier.
func (s *Store) CopySource(ctx context.Context) (source string, err error) {
	err = s.readPart(ctx, "look for an unfinished copy", func(c *conn) (err error) {
		source, err = copySource(c.Conn)
		return err
	})
	return source, err
}

func copySource(c *sqlite.Conn) (source string, err error) {
	err = sqlitex.ExecuteTransient(c, "SELECT source FROM copying", &sqlitex.ExecOptions{ResultFunc: func(st *sqlite.Stmt) error {
		source = st.ColumnText(0)
		return nil
	}})
	return source, err
}

// checkFinished returns an error if the database is an unfinished copy, which only a copy may
// use.
func (s *Store) checkFinished(c *conn) error {
	if s.cfg.Options.Use == store.Copying {
		return nil
	}
	source, err := copySource(c.Conn)
	if err == nil && source != "" {
		err = store.Unfinished(source)
	}
	return err
}

// BeginCopy implements store.Copier.
func (s *Store) BeginCopy(ctx context.Context, source string) error {
	return s.write(ctx, "BeginCopy", "begin a copy", 0, func(c *conn) error {
		return sqlitex.Execute(c.Conn, "INSERT INTO copying (source) VALUES (?)", &sqlitex.ExecOptions{Args: []any{source}})
	})
}

// underived has the values of columns that DeriveRows sets. They are different in each row, as
// an index wants, and from all derived ones.
const underived = `INSERT INTO offline (account, id, sender, size, received, stanza, seq, total, sender_seq, sender_total)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, -?2, 0, 0, 0)`

// WriteRows implements store.Copier.
func (s *Store) WriteRows(ctx context.Context, t *store.Table, rows []store.Row) error {
	names, _, parameters := columnsOf(t.Columns)
	sql := "INSERT INTO " + t.Name + " (" + names + ") VALUES (" + parameters + ")"
	if t.Name == "offline" {
		sql = underived
	}
	return s.write(ctx, "WriteRows", "copy "+t.Name, 0, func(c *conn) error {
		for _, r := range rows {
			st, err := c.Prepare(sql)
			if err != nil {
				return err
			}
			bindRow(st, r)
			if _, err := c.run(st); err != nil {
				return err
			}
		}
		return nil
	})
}

// derive are the statements of DeriveRows; see migration 4 and appendOffline. The parameter is
// the ID of the last message.
var derive = []string{
	`UPDATE offline SET seq = d.seq, total = d.total
		FROM (SELECT id, row_number() OVER box AS seq, sum(size) OVER box AS total FROM offline
			WINDOW box AS (PARTITION BY account ORDER BY id)) AS d WHERE offline.id = d.id`,
	fmt.Sprintf(`UPDATE offline SET sender_seq = d.seq, sender_total = d.total
		FROM (SELECT id, row_number() OVER share AS seq, sum(size) OVER share AS total FROM offline WHERE seq > %d AND sender <> ''
			WINDOW share AS (PARTITION BY account, sender ORDER BY id)) AS d WHERE offline.id = d.id`, fewMessages),
	`INSERT INTO sqlite_sequence (name, seq) SELECT 'offline', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'offline')`,
	`UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'offline'`,
}

// DeriveRows implements store.Copier.
func (s *Store) DeriveRows(ctx context.Context, last int64) error {
	return s.write(ctx, "DeriveRows", "count messages", 0, func(c *conn) error {
		for i, sql := range derive {
			var o sqlitex.ExecOptions
			if i == len(derive)-1 {
				o.Args = []any{last}
			}
			if err := sqlitex.Execute(c.Conn, sql, &o); err != nil {
				return err
			}
		}
		return nil
	})
}

// EndCopy implements store.Copier.
func (s *Store) EndCopy(ctx context.Context) error {
	return s.write(ctx, "EndCopy", "end a copy", 0, func(c *conn) error {
		return sqlitex.Execute(c.Conn, "DELETE FROM copying", nil)
	})
}
