package router

import (
	"roost/parser"
	"roost/session"
)

const nsCSI = "urn:xmpp:csi:0"

// clientStateExtension holds presence and chat states while a client is inactive
// (XEP-0352). Presence that this server still knows later is not stored: when the client
// becomes active, it is sent the current presence of everyone who has changed it since.
// presencechanges.go finds out who has; heldstanzas.go stores what could not be found then.
func clientStateExtension(r *Router) Extension {
	return Extension{
		Name:    "clientstate",
		XEP:     352,
		Version: "1.0.0",
		Title:   "Client State Indication",
		State:   State{Save: r.saveClientState, Restore: r.restoreClientState},
		Features: []session.Feature{{
			XML:   "<csi xmlns='" + nsCSI + "'/>",
			Space: nsCSI,
			Element: func(t *session.Turn, s *session.Session, el parser.Element, _ []byte) bool {
				return s.Type() == session.C2S && r.indicate(t, s, el)
			},
			Enable: func(t *session.Turn, s *session.Session, request parser.Element, dst []byte) []byte {
				r.indicate(t, s, request)
				return dst
			},
			// "stream resumption does not affect the current CSI state, which always defaults
			// to 'active' for new and resumed streams"
			// (https://xmpp.org/extensions/xep-0352.html#stream-resumption).
			Resumed: r.becomeActive,
		}},
	}
}

// indicate handles the element by which a client indicates its state.
func (r *Router) indicate(t *session.Turn, s *session.Session, el parser.Element) bool {
	switch string(el.Local()) {
	case "inactive":
		s.SetInactive(r.changesSeen.now(t.Now()))
	case "active":
		r.becomeActive(t, s)
	default:
		return false
	}
	return true
}

// missed is set for a client that has to be sent presence when it becomes active or resumes
// its session, besides what is held for it.
var missed = session.NewSlot[missedPresence]()

// missedPresence says which presence a client has missed.
type missedPresence struct {
	since    uint32 // what has changed since this time, because its roster could not be read then; 0: nothing
	outdated bool   // the presence of contacts on other nodes that it has must be replaced: see sendOutdated
}

// becomeActive sends a client what was held for it. "After the state has been restored to
// 'active' and all resulting stanzas have been put on the wire", what it sends next is
// handled (https://xmpp.org/extensions/xep-0352.html#in-order-processing); if it does not
// read, replies may overtake the rest.
func (r *Router) becomeActive(t *session.Turn, s *session.Session) {
	m := missed.Get(s)
	if !s.Inactive() && m == nil {
		return
	}
	since, changed := sendHeldLast(t, s)
	var what missedPresence
	if changed {
		what.since = since
	}
	if m != nil {
		if what.outdated = m.outdated; m.since != 0 {
			what.since = m.since
		}
		missed.Drop(s)
	}
	if what != (missedPresence{}) && Available(s) {
		r.sendMissedPresence(t, s, what)
	}
}

// sendMissedPresence sends a client the presence of the account's other resources and of
// contacts that it has missed, at the pace of a login.
func (r *Router) sendMissedPresence(t *session.Turn, s *session.Session, what missedPresence) {
	changed := what.since != 0
	f := pendingPresence{own: changed, roster: changed, since: what.since, outdated: what.outdated}
	if waiting := unsent.Get(s); waiting != nil {
		// It continues later, from the start: those that are done may have changed since.
		f.accounts = waiting.accounts
		f.outdated = f.outdated || waiting.outdated
		if waiting.own || waiting.roster {
			if !changed || r.changesSeen.age(waiting.since) > r.changesSeen.age(f.since) {
				f.since = waiting.since
			}
			f.own, f.roster = true, true
		}
		*waiting = f
		return
	}
	ro, need, err := r.tryOwnRoster(t, s)
	if need == session.Done && err == nil {
		need = r.locateChanged(t, s, ro, &f)
	}
	switch {
	case need != session.Done:
		r.sessions.Offload(t, s, need, func(t *session.Turn) { r.sendMissedPresence(t, s, what) })
	case err != nil:
		r.LogError("roster could not be read", s.FullJID(), err)
		*missed.Make(s) = what // it is sent when the client has been inactive again
	default:
		r.sendPendingPresence(t, s, ro, &f)
	}
}
