package router

import (
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// page is the result of sending a page of messages.
type page uint8

const (
	pageLast    page = iota // there are no more
	pageMore                // there are more
	pageWait                // there are more, and the client has to read or to acknowledge first
	pageRefused             // the session takes no more
)

// deliverOfflinePage sends one page, starting after a message, and returns the last message
// that it has read. The roster lock prevents two resources that become available together
// from being sent the same messages.
func (r *Router) deliverOfflinePage(t *session.Turn, s *session.Session, after int64) (end page, last int64, err error) {
	owner := s.JID().Bare()
	unlock := r.lockRosters(owner)
	defer unlock()
	if offlineReaders.Get(s) != nil {
		return pageWait, after, nil
	}
	already := r.offlineSent(owner) // before they are read
	msgs, more, err := r.config().Store.Offline(r.ctx, owner, after, r.config().PageBytes)
	if err != nil {
		return pageLast, after, err
	}
	if len(msgs) > 0 {
		if ok, err := r.mayHave(s); !ok {
			return pageRefused, after, err
		}
		r.pages[r.stripe(owner.String())].Add(1) // after they were read: see deliverAppended
	}
	p := sentPage{last: after}
	if more {
		p.end = pageMore
	}
	for i := range msgs {
		if m := &msgs[i]; !already[m.ID] && !r.sendStored(t, s, m, &p) {
			break
		}
		p.last = msgs[i].ID
	}
	// Flush before deleting, so that a crash cannot lose messages, and so that what this
	// turn has queued for others does not wait for the disk.
	t.Flush()
	countDelivered.Add(t, 0, p.n)
	if len(p.unkept) > 0 && r.written(s, p.unkept) {
		p.barred = append(p.barred, p.unkept...)
	}
	if len(p.barred) > 0 {
		r.undeleted.delete(owner, p.barred)
	}
	err = r.endPage(s, &p, after)
	return p.end, p.last, err
}

// sentPage is the outcome of sending a page.
type sentPage struct {
	end      page
	mustRead bool    // with pageWait: the client has to read
	last     int64   // ID of the last message that needs nothing more
	n        int     // number of messages that were sent
	unkept   []int64 // IDs of messages that the session does not keep
	barred   []int64 // IDs of messages that the client must not get
}

// sendStored sends a stored message, or finds that its sender is blocked now. If it does
// neither, it sets p.end and returns false.
func (r *Router) sendStored(t *session.Turn, s *session.Session, m *store.OfflineMessage, p *sentPage) bool {
	if blocklistOf(s).blocksSender(s.BareJID(), m.Stanza) { // it was stored before the sender was blocked
		p.barred = append(p.barred, m.ID)
		return true
	}
	b := stanza.AppendInside(t.GetBuf(), m.Stanza, stanza.AppendDelay(nil, s.Host(), m.Received))
	defer func() { t.PutBuf(b) }()
	mustAck := s.MustAckStored(r.config().PageBytes) // then Acked continues
	p.mustRead = !mustAck && r.mustWait(s, len(b))
	if mustAck || p.mustRead {
		p.end = pageWait
		return false
	}
	sendHeldFirst(t, s)
	sent, kept := s.SendStored(t, b, m.ID, true)
	if !sent {
		p.end = pageRefused
		return false
	}
	p.n++
	if !kept {
		p.unkept = append(p.unkept, m.ID)
	}
	return true
}

// endPage ends the reading, or prepares for the next page. The page began after the message
// first. The caller holds the account's roster lock.
func (r *Router) endPage(s *session.Session, p *sentPage, first int64) error {
	owner := s.JID().Bare()
	switch p.end {
	case pageLast:
		if first != 0 { // a session that has ended may have left earlier ones
			left, err := r.offlineUnsent(owner)
			if err != nil {
				return err
			}
			if left {
				p.end, p.last = pageMore, 0
				return nil
			}
		}
		r.setOfflinePending(owner, false)
	case pageWait:
		offlineReaders.Make(s).after = p.last
		switch {
		case p.mustRead:
			r.whenReady(s, func(t *session.Turn) { r.continueOffline(t, s) })
		case !s.MustAckStored(r.config().PageBytes): // Acked was called before there was a reader
			offlineReaders.Drop(s)
			p.end = pageMore
		}
	}
	return nil
}
