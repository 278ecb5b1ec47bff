package postgres

import (
	"context"

	"roost/store"
)

var _ store.Shareable = location{}

// A store is identified by the system identifier of the server, which initdb chooses and standbys
// share, by the OID of the database, and by the name of the schema that has the tables. By default,
// every user may read all of these.
const (
	sqlIdentity = `SELECT d.oid::text || ' ' || coalesce(current_schema(), ''), has_function_privilege('pg_control_system()', 'EXECUTE')
		FROM pg_database AS d WHERE d.datname = current_database()`
	sqlSystem = `SELECT system_identifier::text FROM pg_control_system()`
)

// Identity implements store.Shareable.
func (l location) Identity(ctx context.Context) (string, error) {
	identity, err := l.identity(ctx)
	if err != nil {
		err = (&Store{}).wrap("identify "+redact(l.url), err)
	}
	return identity, err
}

func (l location) identity(ctx context.Context) (string, error) {
	cfg := Config{URL: l.url}.withDefaults()
	pc, err := poolConfig(&cfg)
	if err != nil {
		return "", err
	}
	c, err := (&Store{cfg: cfg, conn: pc.ConnConfig}).connect(ctx)
	if err != nil {
		return "", err
	}
	defer closeConn(c)
	var database, system string
	var allowed bool
	if err := c.QueryRow(ctx, sqlIdentity).Scan(&database, &allowed); err != nil || !allowed {
		return "", err
	}
	if err := c.QueryRow(ctx, sqlSystem).Scan(&system); err != nil {
		return "", err
	}
	return system + " " + database, nil
}
