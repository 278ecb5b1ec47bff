package router

import (
	"errors"
	"sync"

	"roost/parser"
	"roost/session"
	"roost/stanza"
)

// iq routes an iq (RFC 6121 sections 8.5.2.1.3 and 8.5.3, RFC 6120 section 10.3.3,
// https://www.rfc-editor.org/rfc/rfc6120#section-10.3.3). If it is addressed to a full JID,
// it goes to that resource. Otherwise the server handles it, on behalf of the account if it
// is addressed to one, and does not deliver it to a resource.
func (r *Router) iq(t *session.Turn, from Sender, st *stanza.Stanza) session.Work {
	if st.HasTo && st.To.Resource() != "" && st.To.Local() != "" {
		to := r.resource(st.To)
		if to == nil {
			if need := r.locateTarget(t, from, st); need != session.Done {
				return need
			}
			if r.forwardElsewhere(t, from, st) {
				return session.Done
			}
		}
		if to == nil || bars(to, from.JID()) || !r.forward(t, from, to, st) {
			r.Reply(t, from, st, r.unreached(from, st))
		}
		return session.Done
	}
	if !st.Type.IsRequest() {
		// A reply to a roster push, or one that nothing waits for: never replied to.
		return session.Done
	}
	h := r.handler(from, st)
	if h == nil {
		r.Reply(t, from, st, stanza.ServiceUnavailable)
		return session.Done
	}
	barred, need := r.barsRequest(t, from, st, h)
	switch {
	case need != session.Done:
		return need
	case barred:
		r.Reply(t, from, st, stanza.ServiceUnavailable)
		return session.Done
	}
	return r.answer(t, from, st, h)
}

// barsRequest reports whether a request is for an account that has blocked its sender: "For
// IQ stanzas of type "get" or "set", the server MUST return an error, which SHOULD be
// <service-unavailable/>" (https://xmpp.org/extensions/xep-0191.html#block). A worker finds
// out, for handlers that need none, too: neither the error nor the work may depend on whether
// the account is online, or exists.
func (r *Router) barsRequest(t *session.Turn, from Sender, st *stanza.Stanza, h *IQ) (barred bool, need session.Work) {
	account, ok := target(from, st)
	if !ok || account.String() == bareOf(from) {
		return false, session.Done
	}
	if !t.MayBlock() {
		if h.Step != nil {
			return false, session.Done // its first step is here, and it is asked again on the worker that this needs
		}
		return false, session.Read
	}
	barred, err := r.bars(account, from.JID())
	if err == nil {
		return barred, session.Done
	}
	r.LogError("blocklist could not be read", account.String(), err)
	for s := range r.Recipients(account.String(), Connected) {
		return bars(s, from.JID()), session.Done
	}
	return false, session.Done
}

// answer calls the handler of a request on a turn that allows its work.
func (r *Router) answer(t *session.Turn, from Sender, st *stanza.Stanza, h *IQ) session.Work {
	if h.Step != nil {
		return r.step(t, from, st, h)
	}
	need := session.Done
	switch {
	case h.Blocking && st.Type == stanza.Set && !t.MayWrite():
		need = session.Write
	case h.Blocking && !t.MayBlock():
		need = session.Read
	}
	if need == session.Done {
		return r.handle(t, from, st, h)
	}
	if !t.MayBlock() && h.Inline != nil && r.inline(t, from, st, h) {
		return session.Done
	}
	return need
}

// handler returns the handler of a request, nil if there is none.
func (r *Router) handler(from Sender, st *stanza.Stanza) *IQ {
	to := ToAccount
	bare, isAccount := target(from, st)
	switch {
	case !isAccount:
		to = ToServer
	case bare.String() == bareOf(from):
		if local(from) == nil {
			return nil // only the server that has the session handles requests to one's own account
		}
		to = ToSelf
	}
	return r.iqs.find(st.Payload(), methodOf(st), to)
}

func methodOf(st *stanza.Stanza) Methods {
	if st.Type == stanza.Set {
		return Set
	}
	return Get
}

// handle calls the handler and ensures that the request gets a reply, unless it has to wait
// for other requests.
func (r *Router) handle(t *session.Turn, from Sender, st *stanza.Stanza, h *IQ) session.Work {
	rq := r.request(t, from, st)
	defer giveBack(rq)
	rq.call(func(rq *Request) {
		if err := rq.authorize(h); err != nil {
			rq.Error(err)
			return
		}
		h.Handle(rq)
	})
	if rq.need == session.Done && !rq.answered {
		rq.Error(errors.New("the handler did not reply"))
	}
	return rq.need
}

// step calls the handler's next step.
func (r *Router) step(t *session.Turn, from Sender, st *stanza.Stanza, h *IQ) (need session.Work) {
	rq := r.request(t, from, st)
	defer giveBack(rq)
	rq.call(func(rq *Request) { need = h.Step(rq) }) // Done if it panics: the request has got its reply then
	switch {
	case need == session.Read && t.MayBlock(), need == session.Write && t.MayWrite(), need == session.Derive && t.MayDerive():
		panic("router: BUG: a handler of {" + h.Space + "}" + h.Local + " asks for a worker on a worker")
	case need == session.Done && !rq.answered:
		rq.Error(errors.New("the handler did not reply"))
	}
	return need
}

// authorize determines the account of a request that may change the store, and makes sure
// that it is not the next owner of the same name.
func (rq *Request) authorize(h *IQ) error {
	if !h.Blocking || rq.Stanza.Type != stanza.Set || rq.Session == nil || rq.Session.Username() == "" {
		return nil
	}
	account, err := rq.Router.OwnAccount(rq.Session)
	rq.Generation = account.Generation
	return err
}

// inline lets the handler reply on the loop, if it can.
func (r *Router) inline(t *session.Turn, from Sender, st *stanza.Stanza, h *IQ) bool {
	rq := r.request(t, from, st)
	defer giveBack(rq)
	done := true // also if it panics: the request has got its reply then
	rq.call(func(rq *Request) { done = h.Inline(rq) })
	return done
}

// call calls an extension's function. If it panics, the request gets an error reply.
func (rq *Request) call(f func(*Request)) {
	defer rq.guard()
	f(rq)
}

func (rq *Request) guard() {
	if v := recover(); v != nil {
		rq.Router.sessions.Recovered(v, rq.Session)
		if !rq.answered {
			rq.reply(stanza.InternalServerError)
		}
	}
}

// requests are reused for successive calls of handlers.
var requests = sync.Pool{New: func() any { return new(Request) }}

func (r *Router) request(t *session.Turn, from Sender, st *stanza.Stanza) *Request {
	rq := requests.Get().(*Request)
	*rq = Request{Turn: t, From: from, Session: local(from), Stanza: st, Router: r}
	return rq
}

func giveBack(rq *Request) {
	*rq = Request{} // do not retain the session
	requests.Put(rq)
}

// PreBindIQ handles a request of a client that has no resource yet, by a handler that is
// registered for such clients. It implements session.Router.
func (r *Router) PreBindIQ(t *session.Turn, s *session.Session, st *stanza.Stanza) (known bool, need session.Work) {
	h := r.unboundHandler(s, st)
	if h == nil {
		return false, session.Done
	}
	return true, r.answer(t, s, st, h)
}

// PreAuthIQ reports whether a handler for clients without a resource takes payloads of this
// namespace. It implements session.Router.
func (r *Router) PreAuthIQ(payload parser.Element) bool {
	space := payload.Space()
	for i := range r.exts {
		for j := range r.exts[i].IQ {
			if h := &r.exts[i].IQ[j]; h.Unbound && h.Space == string(space) {
				return true
			}
		}
	}
	return false
}

// unboundHandler returns the handler of a request of a client without a resource. A client
// that is not authenticated has no account: its requests without 'to' are for the server.
func (r *Router) unboundHandler(s *session.Session, st *stanza.Stanza) *IQ {
	to := ToServer
	if st.HasTo && st.To.String() != s.Host() {
		if st.To.String() != s.BareJID() {
			return nil
		}
		to = ToSelf
	}
	h := r.iqs.find(st.Payload(), methodOf(st), to)
	if h == nil || !h.Unbound {
		return nil
	}
	return h
}
