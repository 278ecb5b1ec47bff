package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// watchPage is the maximum number of events that Watch passes to its function at a time.
const watchPage = 1000

// event records an event of an account. It returns the event's ID.
func (c *conn) event(bare jid.JID, kind store.EventKind, now time.Time) (id int64, err error) {
	st, err := c.stmt(qInsertEvent)
	if err != nil {
		return 0, err
	}
	st.BindText(1, bare.BareString())
	st.BindInt64(2, int64(kind))
	st.BindInt64(3, now.Unix())
	if _, err := c.run(st); err != nil {
		return 0, err
	}
	return c.LastInsertRowID(), nil
}

// Watch implements store.Accounts. SQLite does not report what other processes write, so
// Watch polls the table, which reads one page of an index.
func (s *Store) Watch(ctx context.Context, after int64, f func([]store.AccountEvent) error) error {
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: "Watch"})
	if err != nil {
		return err
	}
	defer done()
	tick := time.NewTicker(s.cfg.WatchInterval)
	defer tick.Stop()
	for {
		var events []store.AccountEvent
		err := s.readPart(ctx, "watch account events", func(c *conn) (err error) {
			events, err = c.accountEvents(after, watchPage)
			return err
		})
		if err != nil {
			return err
		}
		if n := len(events); n > 0 {
			after = events[n-1].ID
			if err := f(events); err != nil {
				return err
			}
			if n == watchPage {
				continue // there may be more
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s.wrap("watch account events", ctx.Err())
		case <-s.closed:
			return s.wrap("watch account events", store.ErrClosed)
		}
	}
}

// AccountEvents implements store.Accounts.
func (s *Store) AccountEvents(ctx context.Context, after int64, limit int) (events []store.AccountEvent, err error) {
	err = s.read(ctx, "AccountEvents", "read account events", func(c *conn) (err error) {
		events, err = c.accountEvents(after, limit)
		return err
	})
	return events, err
}

func (c *conn) accountEvents(after int64, limit int) (events []store.AccountEvent, err error) {
	st, err := c.stmt(qEvents)
	if err != nil {
		return nil, err
	}
	st.BindInt64(1, after)
	st.BindInt64(2, int64(limit))
	err = each(st, func() error {
		j, err := jid.Parse(st.ColumnText(1))
		events = append(events, store.AccountEvent{
			ID: st.ColumnInt64(0), JID: j, Kind: store.EventKind(st.ColumnInt(2)), At: time.Unix(st.ColumnInt64(3), 0).UTC(),
		})
		return err
	})
	return events, err
}

// eventContact is an account whose roster was changed by a deletion.
type eventContact struct {
	jid   jid.JID
	state int64 // of the item, with statePending
}

func (c *conn) putEventContacts(event int64, contacts []eventContact) error {
	for _, k := range contacts {
		st, err := c.stmt(qPutEventContact)
		if err != nil {
			return err
		}
		st.BindInt64(1, event)
		st.BindText(2, k.jid.BareString())
		st.BindInt64(3, k.state)
		if _, err := c.run(st); err != nil {
			return err
		}
	}
	return nil
}

// itemState returns the state of a roster item, or 0 if there is none.
func (c *conn) itemState(id int64, contact jid.JID) (state int64, err error) {
	st, err := c.stmt(qItemState)
	if err != nil {
		return 0, err
	}
	st.BindInt64(1, id)
	st.BindText(2, contact.String())
	err = each(st, func() error {
		state = st.ColumnInt64(0)
		return nil
	})
	return state, err
}

// EventContacts implements store.Accounts.
func (s *Store) EventContacts(ctx context.Context, event int64, after jid.JID, limit int) ([]store.EventContact, error) {
	var contacts []store.EventContact
	err := s.read(ctx, "EventContacts", "read contacts of an account event", func(c *conn) error {
		st, err := c.stmt(qEventContacts)
		if err != nil {
			return err
		}
		st.BindInt64(1, event)
		st.BindText(2, after.BareString())
		st.BindInt64(3, int64(limit))
		return each(st, func() error {
			j, err := jid.Parse(st.ColumnText(0))
			state := st.ColumnInt64(1)
			contacts = append(contacts, store.EventContact{
				JID: j, Subscription: store.Subscription(state & int64(store.Both)),
				Ask: state&stateAsk != 0, Approved: state&stateApproved != 0, Pending: state&statePending != 0,
			})
			return err
		})
	})
	return contacts, err
}

// LastAccountEvent implements store.Accounts.
func (s *Store) LastAccountEvent(ctx context.Context) (id int64, err error) {
	err = s.read(ctx, "LastAccountEvent", "read account events", func(c *conn) error {
		st, err := c.stmt(qLastEvent)
		if err == nil {
			id, err = sqlitex.ResultInt64(st)
		}
		return err
	})
	return id, err
}
