package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/jid"
	"roost/store"
)

// errNoSender means that a message to be stored has no sender.
var errNoSender = errors.New("the message has no sender")

const sqlAppendOffline = `SELECT append_offline($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

// AppendOffline implements store.Offline.
func (s *Store) AppendOffline(ctx context.Context, owner jid.JID, m store.NewMessage, quota store.OfflineQuota) error {
	var id int64
	w := &write{sql: sqlAppendOffline, row: result(&id), owner: ownerOf(owner)}
	w.args = append(address(owner), m.From.String(), m.From.BareString(), m.From.Domain(), bytesOf(m.Stanza), m.Received.UnixMilli())
	w.args = append(w.args, quotaArgs(quota)...)
	if m.From.IsZero() {
		w.refuse(errNoSender)
	}
	return s.exec(ctx, "AppendOffline", "store message for "+owner.BareString(), w)
}

func quotaArgs(q store.OfflineQuota) []any {
	return []any{q.Messages, q.Bytes, q.SenderMessages, q.SenderBytes}
}

const sqlAppendAll = `SELECT append_offline($1, $2, m.full_jid, m.bare, m.domain, m.stanza, m.received, $3, $4, $5, $6)
	FROM unnest($7::text[], $8::text[], $9::text[], $10::bytea[], $11::bigint[]) AS m (full_jid, bare, domain, stanza, received)`

// What is replaced is deleted first. A quota of 0 is none.
const sqlReplaceAll = `SELECT CASE WHEN m.replaces = 0 THEN append_offline($1, $2, m.full_jid, m.bare, m.domain, m.stanza, m.received, $3, $4, $5, $6)
		WHEN delete_offline($1, $2, ARRAY[m.replaces]) >= 0 THEN append_offline($1, $2, m.full_jid, m.bare, m.domain, m.stanza, m.received, 0, 0, 0, 0) END
	FROM unnest($7::text[], $8::text[], $9::text[], $10::bytea[], $11::bigint[], $12::bigint[]) AS m (full_jid, bare, domain, stanza, received, replaces)`

// AppendOfflineAll implements store.Offline.
func (s *Store) AppendOfflineAll(ctx context.Context, owner jid.JID, all []store.NewMessage, quota store.OfflineQuota) (stored []store.StoredMessage, err error) {
	w := &write{sql: sqlAppendAll, owner: ownerOf(owner), reset: func() { stored = make([]store.StoredMessage, 0, len(all)) }}
	var full, bare, domains []string
	var stanzas [][]byte
	var received, replaces []int64
	for _, m := range all {
		if m.From.IsZero() {
			w.refuse(errNoSender)
		}
		full, bare, domains = append(full, m.From.String()), append(bare, m.From.BareString()), append(domains, m.From.Domain())
		stanzas, received = append(stanzas, bytesOf(m.Stanza)), append(received, m.Received.UnixMilli())
		replaces = append(replaces, m.Replaces)
	}
	w.args = append(append(address(owner), quotaArgs(quota)...), full, bare, domains, stanzas, received)
	if slices.ContainsFunc(replaces, func(id int64) bool { return id != 0 }) {
		w.sql, w.args = sqlReplaceAll, append(w.args, replaces)
	}
	w.row = func(rows pgx.Rows) error {
		var m store.StoredMessage
		if err := rows.Scan(&m.ID); err != nil {
			return err
		}
		if m.Err = statusError(m.ID); m.Err != nil {
			m.ID = 0
		}
		stored = append(stored, m)
		return nil
	}
	if err := s.exec(ctx, "AppendOfflineAll", "store messages for "+owner.BareString(), w); err != nil {
		return nil, err
	}
	return stored, nil
}

// The rows whose sizes together fit, and the next one, without its stanza.
const sqlOffline = `SELECT id, received, total <= $4 OR n = 1, CASE WHEN total <= $4 OR n = 1 THEN stanza END
	FROM (SELECT id, received, stanza, size, sum(size) OVER w AS total, row_number() OVER w AS n FROM offline
		WHERE account = (SELECT id FROM account WHERE domain = $1 AND local = $2) AND id > $3 WINDOW w AS (ORDER BY id)) AS m
	WHERE total - size <= $4 OR n <= 2 ORDER BY id`

// Offline implements store.Offline.
func (s *Store) Offline(ctx context.Context, owner jid.JID, after int64, maxBytes int) (msgs []store.OfflineMessage, more bool, err error) {
	reset := func() { msgs, more = nil, false }
	err = s.lookup(ctx, "Offline", "read messages stored for "+owner.BareString(), sqlOffline, append(address(owner), after, maxBytes), reset, func(rows pgx.Rows) error {
		var m store.OfflineMessage
		var received int64
		var fits bool
		if err := rows.Scan(&m.ID, &received, &fits, &m.Stanza); err != nil {
			return err
		}
		if !fits {
			more = true
			return nil
		}
		m.Received = time.UnixMilli(received).UTC()
		msgs = append(msgs, m)
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return msgs, more, nil
}

const sqlDeleteOffline = `SELECT delete_offline($1, $2, $3)`

// DeleteOffline implements store.Offline.
func (s *Store) DeleteOffline(ctx context.Context, owner jid.JID, ids []int64) error {
	var n int64
	if ids == nil {
		ids = []int64{}
	}
	w := &write{sql: sqlDeleteOffline, args: append(address(owner), ids), row: into(&n), owner: ownerOf(owner)}
	return s.exec(ctx, "DeleteOffline", "delete messages stored for "+owner.BareString(), w)
}

const sqlExpireOffline = `SELECT expire_offline($1, $2)`

// ExpireOffline implements store.Offline. It excludes all other writes, because it changes the
// counts of many accounts.
func (s *Store) ExpireOffline(ctx context.Context, before time.Time, limit int) (deleted int, err error) {
	w := &write{sql: sqlExpireOffline, args: []any{before.UnixMilli(), limit}, row: into(&deleted)}
	if err := s.exec(ctx, "ExpireOffline", "delete old messages", w); err != nil {
		return 0, err
	}
	return deleted, nil
}

const sqlCountOffline = `SELECT count(*) FROM offline WHERE account = (SELECT id FROM account WHERE domain = $1 AND local = $2)`

// CountOffline implements store.Offline.
func (s *Store) CountOffline(ctx context.Context, owner jid.JID) (n int, err error) {
	err = s.lookup(ctx, "CountOffline", "count messages stored for "+owner.BareString(), sqlCountOffline, address(owner), nil, into(&n))
	return n, err
}
