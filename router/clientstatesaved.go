package router

import (
	"encoding/binary"
	"errors"

	"roost/jid"
	"roost/session"
)

// The state for XEP-0352 survives a restart of the server: since when a client is inactive,
// what is held for it, and when each session has changed its presence. The clock of the
// changes starts again, so times are saved as ages.

// saveClientState appends, as varints, the age of the session's presence stamp; the age of the
// time since which the client is inactive, and of that of missed, each plus 1, or 0 for
// none; and keptHeld, keptOutdated. The stanzas that are held follow.
func (r *Router) saveClientState(dst []byte, s *session.Session) []byte {
	c, m := &r.changesSeen, missed.Get(s)
	since, changed := s.InactiveSince(), s.Held()
	if since == 0 && m == nil && !Available(s) {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(uint16(c.ticks.Load())-s.PresenceStamp()))
	dst = c.appendAge(dst, since)
	if m == nil {
		m = new(missedPresence)
	}
	dst = c.appendAge(dst, m.since)
	kept := byte(0)
	if changed {
		kept |= keptHeld
	}
	if m.outdated {
		kept |= keptOutdated
	}
	dst = append(dst, kept)
	if h := held.Get(s); h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		for i := range h.all {
			dst = h.all[i].appendTo(dst)
		}
	}
	return dst
}

// appendAge appends the age of a time, plus 1; 0 for 0.
func (c *changeClock) appendAge(dst []byte, since uint32) []byte {
	if since == 0 {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(c.age(since))+1)
}

// before returns the time that has an age now.
func (c *changeClock) before(age uint32) uint32 {
	if age >= stamps {
		return noSince
	}
	return noSince + 1 + (c.ticks.Load()%periods+periods-age)%periods
}

// appendTo appends the kind, and the sender and the stanza, each after its length.
func (h *heldStanza) appendTo(dst []byte) []byte {
	dst = append(dst, byte(h.kind))
	dst = binary.AppendUvarint(dst, uint64(len(h.peer)))
	dst = append(dst, h.peer...)
	dst = binary.AppendUvarint(dst, uint64(len(h.xml)))
	return append(dst, h.xml...)
}

// What is kept of a client that is inactive or has missed something.
const (
	keptHeld     = 1 << iota // something is held for it
	keptOutdated             // missedPresence.outdated
)

var errClientState = errors.New("the client state is malformed")

// restoreClientState gives a session what saveClientState has appended.
func (r *Router) restoreClientState(s *session.Session, data []byte) error {
	d := stateReader{data: data}
	stamp, since, m, kept := d.number(stamps-1), d.number(stamps+1), d.number(stamps+1), d.number(keptHeld|keptOutdated)
	var all []heldStanza
	for len(d.data) > 0 && !d.failed {
		h := heldStanza{kind: heldKind(d.number(uint64(chatStateTo))), peer: string(d.bytes()), xml: append([]byte(nil), d.bytes()...)}
		if _, err := jid.Parse(h.peer); err != nil {
			return errClientState
		}
		all = append(all, h)
	}
	if d.failed {
		return errClientState
	}
	c := &r.changesSeen
	c.used.Store(true) // so that whatever happens from now on is later than what happened before the restart
	s.SetPresenceStamp(uint16(c.ticks.Load()) - uint16(stamp))
	if m > 0 {
		missed.Make(s).since = c.before(m - 1)
	}
	if kept&keptOutdated != 0 {
		missed.Make(s).outdated = true
	}
	if since == 0 {
		return nil
	}
	s.SetInactive(c.before(since - 1))
	r.elsewhere.forget(c)
	if kept&keptHeld != 0 {
		s.SetHeld()
	}
	if len(all) > 0 {
		h := held.Make(s)
		h.mu.Lock()
		defer h.mu.Unlock()
		for i := range all {
			h.all, h.bytes = append(h.all, all[i]), h.bytes+all[i].size()
		}
	}
	return nil
}

// stateReader reads varints, and bytes after their length.
type stateReader struct {
	data   []byte
	failed bool
}

// number reads a number that is at most most.
func (d *stateReader) number(most uint64) uint32 {
	n, size := binary.Uvarint(d.data)
	if size <= 0 || n > most {
		d.data, d.failed = nil, true
		return 0
	}
	d.data = d.data[size:]
	return uint32(n)
}

func (d *stateReader) bytes() []byte {
	n := int(d.number(uint64(len(d.data))))
	if n > len(d.data) {
		d.data, d.failed = nil, true
		return nil
	}
	b := d.data[:n]
	d.data = d.data[n:]
	return b
}
