package router

import (
	"slices"
	"strings"
	"sync"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// maxHeld is the limit of the memory of the stanzas that are held for an inactive client, in
// bytes. What exceeds it is sent together with all others: a client is woken once for many.
const maxHeld = 4 << 10

// held holds stanzas for an inactive client: the last unavailable presence of each resource,
// which cannot be found again when the client becomes active, and the last chat state of each
// sender. A client for which there are none has no value.
var held = session.NewSlot[heldStanzas]()

type heldStanzas struct {
	mu    sync.Mutex
	all   []heldStanza // in order
	bytes int
	ended bool // all were sent, and the session has no value or another one
}

type heldStanza struct {
	kind heldKind
	peer string // the sender, or the recipient of a chatStateTo
	xml  []byte
}

type heldKind uint8

const (
	unavailableFrom heldKind = iota
	chatStateFrom
	chatStateTo // a copy of one that another client of the account has sent
)

func (h *heldStanza) size() int { return 48 + len(h.peer) + len(h.xml) }

// holdStanza holds a stanza, which it keeps, in place of an earlier one of its kind and peer.
// It returns false if the client is active.
func holdStanza(t *session.Turn, s *session.Session, peer string, kind heldKind, xml []byte) bool {
	for {
		if added, ended := held.Make(s).add(t, s, heldStanza{kind, peer, xml}); !ended {
			return added
		}
	}
}

func (h *heldStanzas) add(t *session.Turn, s *session.Session, x heldStanza) (added, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return false, true
	case !s.Inactive():
		h.end(t, s)
		return false, false
	}
	h.remove(x.peer, x.kind)
	h.all = append(h.all, x)
	h.bytes += x.size()
	if h.bytes > maxHeld {
		h.end(t, s)
	}
	return true, false
}

// remove removes a stanza. Under mu.
func (h *heldStanzas) remove(peer string, kind heldKind) {
	if i := slices.IndexFunc(h.all, func(x heldStanza) bool { return x.kind == kind && x.peer == peer }); i >= 0 {
		h.bytes -= h.all[i].size()
		h.all = slices.Delete(h.all, i, i+1)
	}
}

// end sends all stanzas and makes the value unusable: the next stanza makes a new one. Under
// mu.
func (h *heldStanzas) end(t *session.Turn, s *session.Session) {
	h.send(t, s)
	h.drop(s)
}

// send sends all stanzas but those whose sender was blocked since. Under mu.
func (h *heldStanzas) send(t *session.Turn, s *session.Session) {
	for i := range h.all {
		if peer, err := jid.Parse(h.all[i].peer); err == nil && bars(s, peer) {
			continue
		}
		s.SendBytes(t, h.all[i].xml)
	}
	h.all, h.bytes = nil, 0
}

// drop takes the value from the session. Under mu.
func (h *heldStanzas) drop(s *session.Session) {
	h.ended = true
	held.Drop(s)
}

// dropHeld forgets a stanza.
func dropHeld(s *session.Session, from string, kind heldKind) {
	if h := held.Get(s); h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.remove(from, kind)
	}
}

// sendHeld sends a client the stanzas that are held for it.
func sendHeld(t *session.Turn, s *session.Session) {
	if h := held.Get(s); h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.ended {
			h.end(t, s)
		}
	}
}

// sendHeldLast sends a client the stanzas that are held for it and makes it active, in one
// step: no stanza is held in between, and a goroutine that finds the client active and sends
// it something at once sends it after them. It returns the results of Session.SetActive.
func sendHeldLast(t *session.Turn, s *session.Session) (since uint32, changed bool) {
	for {
		h := held.Make(s)
		if h.activate(t, s, &since, &changed) {
			return since, changed
		}
	}
}

// activate is a step of sendHeldLast. It returns false if the session has another value.
func (h *heldStanzas) activate(t *session.Turn, s *session.Session, since *uint32, changed *bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return false
	}
	h.send(t, s)
	*since, *changed = s.SetActive()
	h.drop(s)
	return true
}

// SendCopy sends a client b, a copy of the message st that another client of its account has
// sent to peer, or received from it. If the client is inactive, a chat state is held, and
// what was held goes before anything else. st is nil if the copy must not be held.
func (r *Router) SendCopy(t *session.Turn, to *session.Session, st *stanza.Stanza, peer string, sent bool, b []byte) bool {
	kind := chatStateFrom
	if sent {
		kind = chatStateTo
	}
	return hold(t, to, st, peer, kind, b) || to.SendBytes(t, b)
}

// sendOrHold sends a message to resources of an account, and reports whether one took it.
func (r *Router) sendOrHold(t *session.Turn, to []*session.Session, st *stanza.Stanza, from string, b []byte, flags session.CopyFlags) (taken bool) {
	if !slices.ContainsFunc(to, (*session.Session).Inactive) {
		return r.sendCopies(t, to, b, flags)
	}
	var now []*session.Session
	for _, s := range to {
		if !hold(t, s, st, from, chatStateFrom, b) {
			now = append(now, s)
		}
	}
	sent := len(now) > 0 && r.sendCopies(t, now, b, flags)
	return sent || len(now) < len(to)
}

// hold holds a copy of b, the stanza st or one that contains it, if st is a chat state and
// the client is inactive. If it returns false, the stanza must be sent: what was held for an
// inactive client was sent before it.
func hold(t *session.Turn, to *session.Session, st *stanza.Stanza, peer string, kind heldKind, b []byte) bool {
	if !to.Inactive() {
		return false
	}
	if st != nil && isChatState(st) && holdStanza(t, to, strings.Clone(peer), kind, slices.Clone(b)) {
		return true
	}
	sendHeld(t, to)
	return false
}

// sendHeldFirst sends an inactive client the stanzas that are held for it, before one that is
// not held.
func sendHeldFirst(t *session.Turn, s *session.Session) {
	if s.Inactive() {
		sendHeld(t, s)
	}
}

// isChatState reports whether a message is only a chat state (XEP-0085), with what belongs
// to one.
func isChatState(st *stanza.Stanza) bool {
	if st.Kind != stanza.Message || st.Type == stanza.Error {
		return false
	}
	found := false
	for el := st.Root.First(); el.OK(); el = el.Next() {
		switch space := string(el.Space()); {
		case space == nsChatStates:
			found = true
		case space == nsHints, space == nsStanzaID, space == stanza.NSClient && string(el.Local()) == "thread":
		default:
			return false
		}
	}
	return found
}

const nsChatStates = "http://jabber.org/protocol/chatstates"
