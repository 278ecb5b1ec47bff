package postgres

import (
	"context"
	"embed"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// migrations returns the files in schema, in their order.
func migrations() (scripts []string, err error) {
	names, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(schemaFiles, name)
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, string(text))
	}
	return scripts, nil
}

// errNewer means that a newer version of the program has migrated the database.
var errNewer = errors.New("the database belongs to a newer version of roost: run that version, or restore a backup")

// Keys of advisory locks, which are unique in a database.
const (
	migrateLock = 0x72_6f_73_74_01 // while tables are migrated
	batchLock   = 0x72_6f_73_74_02 // see startWriter
	serverLock  = "1919906676"     // "rost"; the first of two keys, the other is that of the schema
)

// version returns the version of the tables, or 0 if there are none.
func version(ctx context.Context, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (n int, err error) {
	var exists bool
	err = q.QueryRow(ctx, `SELECT to_regclass('roost_schema') IS NOT NULL`).Scan(&exists)
	if err == nil && exists {
		err = q.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM roost_schema`).Scan(&n)
	}
	return n, err
}

// migrate migrates the tables to the current version, each step in its own transaction.
// Other processes may do the same at the same time.
func migrate(ctx context.Context, c *pgx.Conn) error {
	scripts, err := migrations()
	if err != nil {
		return err
	}
	for {
		n, err := version(ctx, c)
		if err != nil {
			return err
		}
		switch {
		case n > len(scripts):
			return errNewer
		case n == len(scripts):
			return nil
		}
		if err := step(ctx, c, n, scripts[n]); err != nil {
			return err
		}
	}
}

// step runs the script that migrates version n to the next one, unless another process has
// done so meanwhile.
func step(ctx context.Context, c *pgx.Conn, n int, script string) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		// A large database takes longer than the limit for statements of a server.
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrateLock)); err != nil {
			return err
		}
		now, err := version(ctx, tx)
		if err != nil || now != n {
			return err
		}
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS roost_schema (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())`); err != nil {
			return err
		}
		if _, err := tx.Conn().PgConn().Exec(ctx, script).ReadAll(); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO roost_schema (version) VALUES ($1)`, n+1)
		return err
	})
}

// NewestTables returns the version to which Open migrates the tables.
func NewestTables() int {
	scripts, err := migrations()
	if err != nil {
		panic("postgres: BUG: " + err.Error())
	}
	return len(scripts)
}
