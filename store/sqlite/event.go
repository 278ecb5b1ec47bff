package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// keepEvents is how long account events are kept.
const keepEvents = 24 * time.Hour

// event records what happened to an account, and forgets what is old.
func (c *conn) event(bare jid.JID, kind store.EventKind, now time.Time) error {
	st, err := c.stmt(qInsertEvent)
	if err != nil {
		return err
	}
	st.BindText(1, bare.BareString())
	st.BindInt64(2, int64(kind))
	st.BindInt64(3, now.Unix())
	if _, err := c.run(st); err != nil {
		return err
	}
	if st, err = c.stmt(qPruneEvents); err != nil {
		return err
	}
	st.BindInt64(1, now.Add(-keepEvents).Unix())
	_, err = c.run(st)
	return err
}

// AccountEvents implements store.Accounts.
func (s *Store) AccountEvents(ctx context.Context, after int64, limit int) ([]store.AccountEvent, error) {
	var events []store.AccountEvent
	err := s.read(ctx, "read account events", func(c *conn) error {
		st, err := c.stmt(qEvents)
		if err != nil {
			return err
		}
		st.BindInt64(1, after)
		st.BindInt64(2, int64(limit))
		defer st.Reset()
		for {
			ok, err := st.Step()
			if err != nil || !ok {
				return err
			}
			j, err := jid.Parse(st.ColumnText(1))
			if err != nil {
				return err
			}
			events = append(events, store.AccountEvent{
				ID: st.ColumnInt64(0), JID: j, Kind: store.EventKind(st.ColumnInt(2)), At: time.Unix(st.ColumnInt64(3), 0).UTC(),
			})
		}
	})
	return events, err
}

// LastAccountEvent implements store.Accounts.
func (s *Store) LastAccountEvent(ctx context.Context) (id int64, err error) {
	err = s.read(ctx, "read account events", func(c *conn) error {
		st, err := c.stmt(qLastEvent)
		if err == nil {
			id, err = sqlitex.ResultInt64(st)
		}
		return err
	})
	return id, err
}

// Changed implements store.Accounts. PRAGMA data_version changes with the
// commits of all connections but the one that asks: on the writer's, these are
// the other processes'.
func (s *Store) Changed(ctx context.Context) (bool, error) {
	changed := false
	err := s.submit(ctx, "look for changes", func(c *conn) error {
		st, err := c.stmt(qDataVersion)
		if err != nil {
			return err
		}
		version, err := sqlitex.ResultInt64(st)
		if err != nil {
			return err
		}
		changed = version != s.dataVersion
		s.dataVersion = version
		return nil
	}, true, true)
	return changed, err
}
