package sqlite

import (
	"context"
	"errors"
	"strconv"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// fewMessages is the size of a mailbox below which a new message is not added to the index
// of senders.
const fewMessages = 16

// AppendOffline implements store.Offline. A message that is refused takes a commit too:
// otherwise the time to the reply to the next stanza would reveal whether the account
// exists.
func (s *Store) AppendOffline(ctx context.Context, owner jid.JID, m store.NewMessage, quota store.OfflineQuota) error {
	what := "store message for " + owner.BareString()
	var refused error
	err := s.write(ctx, "AppendOffline", what, noSavepoint, func(c *conn) error {
		refused = nil // f may be called twice
		err := c.appendOffline(owner, m, quota)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrQuota) || errors.Is(err, store.ErrBlocked) {
			refused = err
			return c.countRefused()
		}
		return err
	})
	if err == nil {
		err = s.wrap(what, refused)
	}
	return err
}

// countRefused counts a refused message.
func (c *conn) countRefused() error {
	return c.exec(qCountRefused)
}

func (c *conn) appendOffline(owner jid.JID, m store.NewMessage, quota store.OfflineQuota) error {
	box, err := c.mailbox(owner)
	if err != nil {
		return err
	}
	size := int64(len(m.Stanza))
	if !box.all.fits(size, quota.Messages, quota.Bytes) || !box.all.fits(size, quota.SenderMessages, quota.SenderBytes) {
		if box.all.from, err = c.mailboxStart(box.id); err != nil {
			return err
		}
	}
	sender := m.From.BareString()
	if sender == "" {
		return errNoSender
	}
	if sender != owner.BareString() {
		if err := c.checkBlocked(box.id, m.From); err != nil {
			return err
		}
	}
	if err := c.checkQuota(box, owner.BareString(), sender, size, quota); err != nil {
		return err
	}
	var from point // after this message, among those of its sender
	if box.all.to.seq-box.all.from.seq >= fewMessages {
		last, err := c.senderEnd(qSenderLast, box.id, sender)
		if err != nil {
			return err
		}
		from = point{seq: last.to.seq + 1, total: last.to.total + size}
	}
	// If one statement read and wrote this table, SQLite would copy what it reads.
	st, err := c.stmt(qAppendOffline)
	if err != nil {
		return err
	}
	st.BindInt64(1, box.id)
	st.BindInt64(2, box.all.to.seq+1)
	st.BindInt64(3, size)
	st.BindInt64(4, box.all.to.total+size)
	st.BindText(5, sender)
	st.BindInt64(6, from.seq)
	st.BindInt64(7, from.total)
	st.BindInt64(8, m.Received.UnixMilli())
	st.BindBytes(9, m.Stanza)
	_, err = c.run(st)
	return err
}

// checkQuota returns an error if a message of a size exceeds the quota. It counts messages
// only if their numbers do not tell that it fits: messages in the middle may have been
// deleted.
func (c *conn) checkQuota(box mailbox, owner, sender string, size int64, quota store.OfflineQuota) error {
	if !box.all.fits(size, quota.Messages, quota.Bytes) {
		all, err := c.counted.exactly(owner, "", box.all, func() (span, error) { return c.count(qMailboxCount, box.id, "") })
		if err != nil {
			return err
		}
		if !all.fits(size, quota.Messages, quota.Bytes) {
			return c.quotaError(box.id, sender)
		}
	}
	// The messages of one sender are at most those of all senders.
	if box.all.fits(size, quota.SenderMessages, quota.SenderBytes) {
		return nil
	}
	few, err := c.count(qSenderFew, box.id, sender)
	if err != nil {
		return err
	}
	share, err := c.senderSpan(box.id, sender)
	if err != nil {
		return err
	}
	if share.add(few.to).fits(size, quota.SenderMessages, quota.SenderBytes) {
		return nil
	}
	share, err = c.counted.exactly(owner, sender, share, func() (span, error) { return c.count(qSenderCount, box.id, sender) })
	if err != nil {
		return err
	}
	if share.add(few.to).fits(size, quota.SenderMessages, quota.SenderBytes) {
		return nil
	}
	return c.quotaError(box.id, sender)
}

// quotaError returns the error for a sender whose message exceeds a quota.
func (c *conn) quotaError(id int64, sender string) error {
	st, err := c.stmt(qItemState)
	if err != nil {
		return err
	}
	st.BindInt64(1, id)
	st.BindText(2, sender)
	refused := store.ErrQuota
	err = each(st, func() error {
		refused = store.ErrContactQuota
		return nil
	})
	if err != nil {
		return err
	}
	return refused
}

// errNoSender means that a message to be stored has no sender.
var errNoSender = errors.New("the message has no sender")

// point is a position between messages: the running counts of messages and of their bytes.
type point struct{ seq, total int64 }

// span is the messages between two points.
type span struct{ from, to point }

// fits reports whether a message of a size may be added. 0 means no limit.
func (s span) fits(size int64, messages int, bytes int64) bool {
	return (messages <= 0 || s.to.seq-s.from.seq < int64(messages)) &&
		(bytes <= 0 || s.to.total-s.from.total+size <= bytes)
}

// add returns the span with more messages.
func (s span) add(p point) span {
	s.to.seq += p.seq
	s.to.total += p.total
	return s
}

// mailbox is an account's ID and its stored messages. Unless mailboxStart was called, all
// includes messages that were deleted since the mailbox was last empty.
type mailbox struct {
	id  int64
	all span
}

// mailbox returns the mailbox of an account, or store.ErrNotFound.
func (c *conn) mailbox(owner jid.JID) (box mailbox, err error) {
	st, err := c.account(qMailbox, owner)
	if err != nil {
		return box, err
	}
	err = store.ErrNotFound
	if failed := each(st, func() error {
		box.id, err = st.ColumnInt64(0), nil
		box.all.to = point{seq: st.ColumnInt64(1), total: st.ColumnInt64(2)}
		return nil
	}); failed != nil {
		err = failed
	}
	return box, err
}

// checkBlocked returns store.ErrBlocked if an account has blocked a sender.
func (c *conn) checkBlocked(id int64, from jid.JID) error {
	st, err := c.stmt(qBlocked)
	if err != nil {
		return err
	}
	st.BindInt64(1, id)
	st.BindText(2, from.String())
	st.BindText(3, from.BareString())
	st.BindText(4, from.Domain())
	if failed := each(st, func() error {
		err = store.ErrBlocked
		return nil
	}); failed != nil {
		err = failed
	}
	return err
}

// mailboxStart returns the point before the first message of an account.
func (c *conn) mailboxStart(id int64) (start point, err error) {
	st, err := c.stmt(qMailboxFirst)
	if err != nil {
		return start, err
	}
	st.BindInt64(1, id)
	err = each(st, func() error {
		start = point{seq: st.ColumnInt64(0) - 1, total: st.ColumnInt64(1) - st.ColumnInt64(2)}
		return nil
	})
	return start, err
}

// senderSpan returns one sender's messages in the index of senders, and those that were
// deleted in the middle.
func (c *conn) senderSpan(id int64, sender string) (share span, err error) {
	first, err := c.senderEnd(qSenderFirst, id, sender)
	if err != nil {
		return share, err
	}
	last, err := c.senderEnd(qSenderLast, id, sender)
	return span{from: first.from, to: last.to}, err
}

// count returns the number and the size of an account's messages that a query counts.
func (c *conn) count(q query, id int64, sender string) (s span, err error) {
	st, err := c.stmt(q)
	if err != nil {
		return s, err
	}
	st.BindInt64(1, id)
	if q != qMailboxCount {
		st.BindText(2, sender)
	}
	if q == qSenderFew {
		st.BindInt64(3, fewMessages)
	}
	err = each(st, func() error {
		s.to = point{seq: st.ColumnInt64(0), total: st.ColumnInt64(1)}
		return nil
	})
	return s, err
}

// senderEnd returns the first or the last message of a sender in the index of senders, as
// the points before and after it; zeros if there is none.
func (c *conn) senderEnd(q query, id int64, sender string) (s span, err error) {
	st, err := c.stmt(q)
	if err != nil {
		return s, err
	}
	st.BindInt64(1, id)
	st.BindText(2, sender)
	err = each(st, func() error {
		s.to = point{seq: st.ColumnInt64(0), total: st.ColumnInt64(1)}
		s.from = point{seq: s.to.seq - 1, total: s.to.total - st.ColumnInt64(2)}
		return nil
	})
	return s, err
}

// Offline implements store.Offline.
func (s *Store) Offline(ctx context.Context, owner jid.JID, after int64, maxBytes int) (msgs []store.OfflineMessage, more bool, err error) {
	err = s.read(ctx, "Offline", "read messages stored for "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qOffline, owner)
		if err != nil {
			return err
		}
		st.BindInt64(3, after)
		defer st.Reset()
		for size := 0; ; {
			ok, err := st.Step()
			if err != nil || !ok {
				return err
			}
			if size += st.ColumnLen(2); size > maxBytes && len(msgs) > 0 {
				more = true
				return nil
			}
			msgs = append(msgs, store.OfflineMessage{
				ID: st.ColumnInt64(0), Received: time.UnixMilli(st.ColumnInt64(1)).UTC(), Stanza: blob(st, 2),
			})
		}
	})
	if err != nil {
		return nil, false, err
	}
	return msgs, more, nil
}

// DeleteOffline implements store.Offline.
func (s *Store) DeleteOffline(ctx context.Context, owner jid.JID, ids []int64) error {
	return s.write(ctx, "DeleteOffline", "delete messages stored for "+owner.BareString(), noSavepoint|deletes, func(c *conn) error {
		return c.deleteOffline(owner, ids)
	})
}

func (c *conn) deleteOffline(owner jid.JID, ids []int64) error {
	list := make([]byte, 0, 2+10*len(ids)) // in JSON
	list = append(list, '[')
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, id, 10)
	}
	c.freed = true
	c.counted.forget(owner.BareString())
	st, err := c.account(qDeleteOffline, owner)
	if err != nil {
		return err
	}
	st.BindText(3, string(append(list, ']')))
	_, err = c.run(st)
	return err
}

// ExpireOffline implements store.Offline.
func (s *Store) ExpireOffline(ctx context.Context, before time.Time, limit int) (deleted int, err error) {
	err = s.write(ctx, "ExpireOffline", "delete old messages", noSavepoint|deletes, func(c *conn) error {
		st, err := c.stmt(qExpireOffline)
		if err != nil {
			return err
		}
		st.BindInt64(1, before.UnixMilli())
		st.BindInt64(2, int64(limit))
		if deleted, err = c.run(st); err == nil && deleted > 0 {
			c.freed = true
			c.counted = nil // whose messages they were is not known
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// CountOffline implements store.Offline.
func (s *Store) CountOffline(ctx context.Context, owner jid.JID) (n int, err error) {
	err = s.read(ctx, "CountOffline", "count messages stored for "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qCountOffline, owner)
		if err == nil {
			n, err = sqlitex.ResultInt(st)
		}
		return err
	})
	return n, err
}
