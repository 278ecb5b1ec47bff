package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/jid"
	"roost/store"
)

// watchPage is the maximum number of events that Watch passes to its function at a time.
const watchPage = 1000

const (
	sqlEvents = `SELECT id, jid, kind, at FROM account_event WHERE id > $1 ORDER BY id LIMIT $2`
	// The newest event is never deleted.
	sqlLastEvent     = `SELECT coalesce(max(id), 0) FROM account_event`
	sqlEventContacts = `SELECT contact, state FROM event_contact WHERE event = $1 AND contact > $2 ORDER BY contact LIMIT $3`
	sqlListen        = `LISTEN roost_account_event`
)

// Bits of roster_item.state in addition to the subscription.
const (
	stateAsk      = 1 << 2
	stateApproved = 1 << 3
	statePending  = 1 << 4 // in event_contact only
)

// AccountEvents implements store.Accounts.
func (s *Store) AccountEvents(ctx context.Context, after int64, limit int) ([]store.AccountEvent, error) {
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: "AccountEvents"})
	if err != nil {
		return nil, err
	}
	defer done()
	return s.accountEvents(ctx, "read account events", after, limit)
}

func (s *Store) accountEvents(ctx context.Context, what string, after int64, limit int) (events []store.AccountEvent, err error) {
	reset := func() { events = nil }
	err = s.queryPart(ctx, what, sqlEvents, []any{after, limit}, reset, func(rows pgx.Rows) error {
		var id, at int64
		var address string
		var kind int16
		if err := rows.Scan(&id, &address, &kind, &at); err != nil {
			return err
		}
		j, err := jid.Parse(address)
		events = append(events, store.AccountEvent{ID: id, JID: j, Kind: store.EventKind(kind), At: time.Unix(at, 0).UTC()})
		return err
	})
	return events, err
}

// LastAccountEvent implements store.Accounts.
func (s *Store) LastAccountEvent(ctx context.Context) (id int64, err error) {
	err = s.query(ctx, "LastAccountEvent", "read account events", sqlLastEvent, nil, nil, into(&id))
	return id, err
}

// EventContacts implements store.Accounts.
func (s *Store) EventContacts(ctx context.Context, event int64, after jid.JID, limit int) (contacts []store.EventContact, err error) {
	reset := func() { contacts = nil }
	err = s.query(ctx, "EventContacts", "read contacts of an account event", sqlEventContacts, []any{event, after.BareString(), limit}, reset, func(rows pgx.Rows) error {
		var address string
		var state int64
		if err := rows.Scan(&address, &state); err != nil {
			return err
		}
		j, err := jid.Parse(address)
		contacts = append(contacts, store.EventContact{
			JID: j, Subscription: store.Subscription(state & int64(store.Both)),
			Ask: state&stateAsk != 0, Approved: state&stateApproved != 0, Pending: state&statePending != 0,
		})
		return err
	})
	return contacts, err
}

// Watch implements store.Accounts. The database notifies it of events. It reports those of
// other processes at once, and those of this process later: a client that has changed its own
// account would be disconnected before its session is moved past the event. It also looks at
// intervals, in case a connection was lost.
func (s *Store) Watch(ctx context.Context, after int64, f func([]store.AccountEvent) error) error {
	const what = "watch account events"
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: "Watch"})
	if err != nil {
		return err
	}
	defer done()
	if err := s.usable(ctx); err != nil {
		return s.wrap(what, err)
	}
	l := &listener{s: s}
	defer l.close()
	for {
		listening := l.listen(ctx)
		events, err := s.accountEvents(ctx, what, after, watchPage)
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
		if err := l.wait(ctx, listening); err != nil {
			return s.wrap(what, err)
		}
	}
}

// listener is the connection of a Watch.
type listener struct {
	s *Store
	c *pgx.Conn // nil if there is none
}

// listen connects unless there is a connection, and reports whether there is one. What is
// written after it has returned causes a notification.
func (l *listener) listen(ctx context.Context) bool {
	if l.c != nil && !l.c.IsClosed() {
		return true
	}
	l.close()
	c, err := l.s.connect(ctx)
	if err != nil {
		return false // the next attempt follows after the interval
	}
	limited, cancel := context.WithTimeout(ctx, l.s.cfg.Timeout)
	defer cancel()
	if _, err := c.Exec(limited, sqlListen); err != nil {
		_ = closeConn(c)
		return false
	}
	l.c = c
	return true
}

// wait waits until there may be events that are to be reported.
func (l *listener) wait(ctx context.Context, listening bool) error {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.s.alive, cancel)()
	interval := l.s.cfg.WatchInterval
	if listening {
		interval = max(interval, l.s.cfg.ListenInterval)
	}
	timer := time.AfterFunc(interval, cancel)
	defer timer.Stop()
	hurry := sync.OnceFunc(func() { timer.Reset(l.s.cfg.WatchInterval) })
	for listening {
		n, err := l.c.WaitForNotification(limited)
		if err == nil && n.PID != l.s.pid.Load() {
			return l.s.usable(ctx)
		}
		hurry()
		listening = err == nil
	}
	<-limited.Done()
	return l.s.usable(ctx)
}

func (l *listener) close() {
	if l.c != nil {
		_ = closeConn(l.c)
		l.c = nil
	}
}
