package sqlite

import (
	"context"
	"time"
)

// The steps of ForgetDeleted: each is a transaction of some milliseconds, and the time between
// two is for the callers' writes.
const (
	forgetStep  = 1000 // names, and events with their contacts
	forgetPause = 50 * time.Millisecond
)

// ForgetDeleted implements store.Accounts.
func (s *Store) ForgetDeleted(ctx context.Context, names, events time.Time) error {
	f := forgetting{names: names, events: events}
	for {
		if err := s.write(ctx, "ForgetDeleted", "forget deleted accounts", deletes, f.step); err != nil || !f.more {
			return err
		}
		f.after = f.last
		select {
		case <-time.After(forgetPause):
		case <-ctx.Done(): // the next step fails
		}
	}
}

// forgetting is one call of ForgetDeleted.
type forgetting struct {
	names, events time.Time
	after         int64 // the event after which the next step begins
	last          int64 // the last event of the step
	deleted       bool  // something was deleted
	more          bool  // something may be left
}

// step forgets some names and events. It may run again if the disk is full.
func (f *forgetting) step(c *conn) error {
	names, err := c.forgetTombstones(f.names, forgetStep)
	if err != nil {
		return err
	}
	old, last, full, err := c.oldEvents(f.after, f.events)
	if err != nil {
		return err
	}
	deleted := 0
	for _, id := range old {
		n, err := c.forgetEvent(id)
		if err != nil {
			return err
		}
		if deleted += n; deleted >= forgetStep {
			last, full = id, true
			break
		}
	}
	f.last = last
	f.more = names == forgetStep || full && deleted > 0
	f.deleted = f.deleted || names+deleted > 0
	c.freed = c.freed || names+deleted > 0
	c.scrub = c.scrub || f.deleted && !f.more // the log is truncated once
	return nil
}

// oldEvents returns those of the events after one, except the newest, that were before a time: of the
// first forgetStep. last is the last of these, and full reports whether there were so many.
func (c *conn) oldEvents(after int64, before time.Time) (old []int64, last int64, full bool, err error) {
	st, err := c.stmt(qOldEvents)
	if err != nil {
		return nil, 0, false, err
	}
	st.BindInt64(1, after)
	st.BindInt64(2, forgetStep)
	seen := 0
	last = after
	err = each(st, func() error {
		seen++
		last = st.ColumnInt64(0)
		if st.ColumnInt64(1) < before.Unix() {
			old = append(old, last)
		}
		return nil
	})
	return old, last, seen == forgetStep, err
}

// forgetEvent deletes an event and its contacts, and returns the number of rows.
func (c *conn) forgetEvent(id int64) (deleted int, err error) {
	for _, q := range []query{qForgetContacts, qForgetEvent} {
		st, err := c.stmt(q)
		if err != nil {
			return 0, err
		}
		st.BindInt64(1, id)
		n, err := c.run(st)
		if err != nil {
			return 0, err
		}
		deleted += n
	}
	return deleted, nil
}
