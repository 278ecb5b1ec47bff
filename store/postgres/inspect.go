package postgres

import (
	"context"
	"fmt"

	"roost/store"
)

// Inspect implements store.Inspector. It reads the version of the tables and counts the
// accounts, however long that takes. PostgreSQL checks its pages itself.
func (l location) Inspect(ctx context.Context) (store.Inspection, error) {
	i, err := l.inspect(ctx)
	if err != nil {
		err = (&Store{}).wrap("inspect "+redact(l.url), err)
	}
	return i, err
}

func (l location) inspect(ctx context.Context) (i store.Inspection, err error) {
	cfg := Config{URL: l.url}.withDefaults()
	pc, err := poolConfig(&cfg)
	if err != nil {
		return i, err
	}
	pc.ConnConfig.RuntimeParams["statement_timeout"] = "0" // many accounts take a while; ctx is the limit
	scripts, err := migrations()
	if err != nil {
		return i, err
	}
	i.Current = len(scripts)
	c, err := (&Store{cfg: cfg, conn: pc.ConnConfig}).connect(ctx)
	if err != nil {
		return i, err
	}
	defer closeConn(c)
	if i.Version, err = version(ctx, c); err != nil || i.Version == 0 {
		return i, err
	}
	if i.Version > i.Current {
		return i, errNewer
	}
	if err := c.QueryRow(ctx, `SELECT count(*) FROM account`).Scan(&i.Accounts); err != nil {
		return i, fmt.Errorf("count accounts: %w", err)
	}
	return i, nil
}
