package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// The stages of a stanza and of a session are functions of Extension, collected by stage in
// the order of registration. A stanza that has to wait for the store carries the number of
// its current function, so that functions that are done are not called for it again.

// stages has the functions of all extensions, by stage.
type stages struct {
	incoming  []stage[func(t *session.Turn, from Sender, st *stanza.Stanza) Verdict]
	sent      []stage[func(t *session.Turn, from Sender, st *stanza.Stanza)]
	recipient []stage[func(t *session.Turn, from Sender, s *session.Session, st *stanza.Stanza, took bool)]
	refused   []stage[func(t *session.Turn, from Sender, st *stanza.Stanza, e *stanza.ErrorReply)]
	delivered []stage[func(t *session.Turn, from Sender, to jid.JID, st *stanza.Stanza, taken Taken) session.Work]
	bound     []stage[func(t *session.Turn, s *session.Session, known Known)]
	available []stage[func(t *session.Turn, s *session.Session, a Availability) session.Work]
	left      []stage[func(t *session.Turn, s *session.Session)]
	removed   []stage[func(account jid.JID)]
}

// stage is one extension's function.
type stage[F any] struct {
	name string // of the extension
	f    F
}

func (p *stages) add(x *Extension) {
	if x.Incoming != nil {
		p.incoming = append(p.incoming, stage[func(*session.Turn, Sender, *stanza.Stanza) Verdict]{x.Name, x.Incoming})
	}
	if x.Sent != nil {
		p.sent = append(p.sent, stage[func(*session.Turn, Sender, *stanza.Stanza)]{x.Name, x.Sent})
	}
	if x.Recipient != nil {
		p.recipient = append(p.recipient, stage[func(*session.Turn, Sender, *session.Session, *stanza.Stanza, bool)]{x.Name, x.Recipient})
	}
	if x.Refused != nil {
		p.refused = append(p.refused, stage[func(*session.Turn, Sender, *stanza.Stanza, *stanza.ErrorReply)]{x.Name, x.Refused})
	}
	if x.Delivered != nil {
		p.delivered = append(p.delivered, stage[func(*session.Turn, Sender, jid.JID, *stanza.Stanza, Taken) session.Work]{x.Name, x.Delivered})
	}
	if x.Bound != nil {
		p.bound = append(p.bound, stage[func(*session.Turn, *session.Session, Known)]{x.Name, x.Bound})
	}
	if x.Available != nil {
		p.available = append(p.available, stage[func(*session.Turn, *session.Session, Availability) session.Work]{x.Name, x.Available})
	}
	if x.Left != nil {
		p.left = append(p.left, stage[func(*session.Turn, *session.Session)]{x.Name, x.Left})
	}
	if x.Removed != nil {
		p.removed = append(p.removed, stage[func(jid.JID)]{x.Name, x.Removed})
	}
}

// runIncoming calls the functions for incoming stanzas, starting with first, and returns
// the one at which it stopped. If one panics, the stanza counts as handled.
func (r *Router) runIncoming(t *session.Turn, from Sender, st *stanza.Stanza, first int) (next int, v Verdict) {
	next = first
	defer func() {
		if p := recover(); p != nil {
			r.sessions.Recovered(p, local(from))
			r.Reply(t, from, st, stanza.InternalServerError)
			v = Handled
		}
	}()
	for ; next < len(r.stages.incoming); next++ {
		x := &r.stages.incoming[next]
		if v = x.f(t, from, st); v != Pass {
			checkNeed(t, x.name, workOf(v))
			return next, v
		}
	}
	return next, Pass
}

// deliveredStage returns the first stage of a message after its delivery. The stages after
// those for incoming stanzas encode a function and a value of Taken.
func (r *Router) deliveredStage(taken Taken) int {
	return len(r.stages.incoming) + 1 + int(taken)
}

// runDelivered is runIncoming for a message after its delivery, also if no one received it.
func (r *Router) runDelivered(t *session.Turn, from Sender, st *stanza.Stanza, first int) (next int, need session.Work) {
	next = first
	defer func() {
		if p := recover(); p != nil {
			r.sessions.Recovered(p, local(from))
			r.Reply(t, from, st, stanza.InternalServerError)
			need = session.Done
		}
	}()
	to, _ := target(from, st)
	start := len(r.stages.incoming) + 1
	taken := Taken((next - start) % int(takenValues))
	for ; (next-start)/int(takenValues) < len(r.stages.delivered); next += int(takenValues) {
		x := &r.stages.delivered[(next-start)/int(takenValues)]
		if need = x.f(t, from, to, st, taken); need != session.Done {
			checkNeed(t, x.name, need)
			return next, need
		}
	}
	return next, session.Done
}

// runAvailable calls the functions for a resource that became available, starting with
// first. If one has to wait for the store, the rest follow on a worker.
func (r *Router) runAvailable(t *session.Turn, s *session.Session, a Availability, first int) {
	for i := first; i < len(r.stages.available); i++ {
		x := &r.stages.available[i]
		need := session.Done
		r.guarded(s, func() {
			n := x.f(t, s, a)
			checkNeed(t, x.name, n)
			need = n
		})
		if need != session.Done {
			r.sessions.Offload(t, s, need, func(t *session.Turn) { r.runAvailable(t, s, a, i) })
			return
		}
	}
}

// checkNeed panics if an extension's function requests a worker of a kind that it is
// already on, because it would be called forever.
func checkNeed(t *session.Turn, extension string, need session.Work) {
	if need == session.Read && t.MayBlock() || need == session.Write && t.MayWrite() || need == session.Derive && t.MayDerive() {
		panic("router: BUG: extension " + extension + " requests a worker that it is already on")
	}
}

// guarded calls an extension's function on behalf of a session, which may be nil. A panic
// does not keep the other functions from being called.
func (r *Router) guarded(s *session.Session, f func()) {
	defer func() {
		if v := recover(); v != nil {
			r.sessions.Recovered(v, s)
		}
	}()
	f()
}
