package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/jid"
	"roost/store"
)

const (
	// The last one of each account.
	sqlSetLastActivity = `WITH set AS (INSERT INTO last_activity (account, at, status)
			SELECT DISTINCT ON (a.id) a.id, u.at, u.status
			FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bigint[]) WITH ORDINALITY AS u (domain, local, at, status, event, n)
			JOIN account a ON a.domain = u.domain AND a.local = u.local AND (u.event = 0 OR a.generation <= u.event)
			ORDER BY a.id, u.n DESC
			ON CONFLICT (account) DO UPDATE SET at = excluded.at, status = excluded.status RETURNING 1)
		SELECT count(*) FROM set`
	sqlNoteUse = `WITH noted AS (INSERT INTO account_use (account, day)
			SELECT a.id, max(u.day) FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS u (domain, local, day, event)
			JOIN account a ON a.domain = u.domain AND a.local = u.local AND (u.event = 0 OR a.generation <= u.event)
			GROUP BY a.id
			ON CONFLICT (account) DO UPDATE SET day = excluded.day WHERE account_use.day < excluded.day RETURNING 1)
		SELECT count(*) FROM noted`
	sqlLastActivity = `SELECT at, status FROM last_activity WHERE account = (SELECT id FROM account WHERE domain = $1 AND local = $2)`
)

// SetLastActivity implements store.Activity.
func (s *Store) SetLastActivity(ctx context.Context, batch []store.LastActivity) error {
	var (
		domains, locals []string
		ats, events     []int64
		statuses        [][]byte
		n               int64
	)
	for _, l := range batch {
		domains, locals = append(domains, l.Owner.Domain()), append(locals, l.Owner.Local())
		ats, events = append(ats, l.At.Unix()), append(events, l.Event)
		statuses = append(statuses, bytesOf(l.Status))
	}
	w := &write{sql: sqlSetLastActivity, args: []any{domains, locals, ats, statuses, events}, row: into(&n)}
	return s.exec(ctx, "SetLastActivity", "write last activity", w)
}

// LastActivity implements store.Activity.
func (s *Store) LastActivity(ctx context.Context, owner jid.JID) (store.LastActivity, error) {
	what := "read last activity of " + owner.BareString()
	l := store.LastActivity{Owner: owner.Bare().Clone()}
	found := false
	err := s.lookup(ctx, "LastActivity", what, sqlLastActivity, address(owner), nil, func(rows pgx.Rows) error {
		var at int64
		err := rows.Scan(&at, &l.Status)
		l.At, found = time.Unix(at, 0).UTC(), true
		return err
	})
	if err == nil && !found {
		err = s.wrap(what, store.ErrNotFound)
	}
	if err != nil {
		return store.LastActivity{}, err
	}
	return l, nil
}

// NoteUse implements store.Activity.
func (s *Store) NoteUse(ctx context.Context, batch []store.AccountUse) error {
	var (
		domains, locals []string
		days, events    []int64
		n               int64
	)
	for _, u := range batch {
		domains, locals = append(domains, u.Owner.Domain()), append(locals, u.Owner.Local())
		days, events = append(days, int64(u.Day)), append(events, u.Event)
	}
	w := &write{sql: sqlNoteUse, args: []any{domains, locals, days, events}, row: into(&n)}
	return s.exec(ctx, "NoteUse", "write which accounts are used", w)
}
