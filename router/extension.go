package router

import (
	"errors"
	"fmt"

	"roost/jid"
	"roost/parser"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// Verdict is what an extension decided about an incoming stanza.
type Verdict uint8

// The verdicts of Extension.Incoming.
const (
	Pass        Verdict = iota // the next extension and then the router go on
	Handled                    // the stanza is done with
	NeedsWorker                // nothing has happened yet: call again where the store may be read
	NeedsWriter                // nothing has happened yet: call again where the store may be written to
)

// Extension is one protocol extension: a struct of optional functions, most of
// which most extensions leave nil. To add one, write one file in package xep and
// add it to the list there; discovery, the table of supported extensions and
// its test are fed from here.
type Extension struct {
	Name    string   // a short name, unique
	XEP     int      // number of the XEP; 0 for what an RFC defines
	Version string   // of the XEP
	Title   string   // of the XEP
	Domain  []string // features of the server (XEP-0030)
	Account []string // features of an account
	Forms   []Form   // more that discovery tells of the server (XEP-0128)
	IQ      []IQ     // requests that it answers

	// Features are stream features, and what handles the first-level elements that
	// clients send for them.
	Features []session.Feature

	// Routes lead to domains that this server does not serve. The first that serves a
	// domain gets what is for it.
	Routes []Route

	// Ready is called once, when all extensions are registered, and fills in
	// what depends on the router or on other extensions. Requests, features and
	// forms are fixed by then.
	Ready func(r *Router, x *Extension)

	// Incoming sees every stanza before it is routed, except what clients send before
	// they have a resource. It is called once for each, and once more on each kind
	// of worker that it asked for.
	Incoming func(t *session.Turn, from Sender, st *stanza.Stanza) Verdict

	// Delivered sees every message to an account after it was delivered to the
	// account's resources; taken says who took it. It also sees every message that a
	// route took: then to has a domain that is not ours. It is not called for a message
	// that is refused or ignored. It is called once for each, and once more on each kind
	// of worker that it asked for.
	Delivered func(t *session.Turn, from Sender, to jid.JID, st *stanza.Stanza, taken Taken) session.Work

	// Bound is called for a resource that was bound, on a worker that may read and
	// before its client is told.
	Bound func(t *session.Turn, s *session.Session, known Known)

	// Available is called for a resource that has become available, or has begun to get
	// messages to its account, after others were told. Where it has to wait for the
	// store it returns what for, and is called again on such a worker.
	Available func(t *session.Turn, s *session.Session, a Availability) session.Work

	// Left is called for a resource that has left, after others were told. It must
	// not wait.
	Left func(t *session.Turn, s *session.Session)

	// Removed is called, on a worker that may write, for an account that was deleted: what is
	// in memory of it is to be forgotten. It may be called twice for one.
	Removed func(account jid.JID)
}

// Known is what binding a resource has told of its account.
type Known struct {
	Store      bool // the store was asked; the rest is known only then
	HasOffline bool // messages wait in the store
}

// Availability is what has changed for a resource that has sent presence.
type Availability struct {
	Initial     bool    // it was not available before
	NonNegative bool    // its priority is not negative; before, it was, or the resource was not available
	Roster      *Roster // of its account
}

// Targets say whom an iq may be addressed to for a handler to get it.
type Targets uint8

// The targets of an iq request. A request without 'to' is for the sender's own
// account (RFC 6120 section 10.3.3).
const (
	ToServer  Targets = 1 << iota // the domain
	ToSelf                        // the sender's own bare JID
	ToAccount                     // another account's bare JID
)

// Methods say which iq requests a handler answers.
type Methods uint8

// The methods of an iq request.
const (
	Get Methods = 1 << iota
	Set
)

// IQ is a handler of iq requests with a payload of one name. The name and each
// of its methods and targets may be registered once.
type IQ struct {
	Space, Local string // expanded name of the payload
	Methods      Methods
	Targets      Targets
	Blocking     bool // Handle runs on a worker: for a get it may read from the store, for a set write to it too
	Unbound      bool // clients that have no resource may ask too, authenticated or not

	// Handle answers the request, exactly once: by Result, Empty or Error.
	Handle func(rq *Request)

	// Step is in the place of Handle and Blocking for a request that takes several
	// kinds of work: to derive keys, then to write. It is called first where the request came
	// in, and returns the work that it has to wait for; then again on a worker of that
	// kind, until it returns Done, having answered.
	// What a step on a worker gives to Turn.Carry is Turn.Carried in the next. Who
	// asks is for Step to check (see Router.CurrentAccount).
	Step func(rq *Request) session.Work

	// Inline is for a Blocking handler that often need not wait: it is called
	// on the loop first, where it answers the request or, having done nothing,
	// false.
	Inline func(rq *Request) bool
}

// iqTable finds the handler of a payload by namespace and local name. Looking up
// by bytes allocates nothing.
type iqTable map[string]map[string]*[4][8]*IQ // …[method][target]

func (t iqTable) find(el parser.Element, m Methods, to Targets) *IQ {
	if h := t[string(el.Space())][string(el.Local())]; h != nil {
		return h[m][to]
	}
	return nil
}

func (t iqTable) add(h *IQ, m Methods, to Targets) {
	if t[h.Space] == nil {
		t[h.Space] = make(map[string]*[4][8]*IQ)
	}
	if t[h.Space][h.Local] == nil {
		t[h.Space][h.Local] = new([4][8]*IQ)
	}
	slot := &t[h.Space][h.Local][m][to]
	if *slot != nil {
		panic(fmt.Sprintf("router: BUG: {%s}%s is registered twice", h.Space, h.Local))
	}
	*slot = h
}

// register adds an extension. Registering the same thing twice is a mistake of
// the program and panics.
func (r *Router) register(x Extension) {
	for _, have := range r.exts {
		if have.Name == x.Name {
			panic("router: BUG: extension " + x.Name + " is registered twice")
		}
	}
	for i := range x.IQ {
		h := &x.IQ[i]
		for _, m := range []Methods{Get, Set} {
			for _, to := range []Targets{ToServer, ToSelf, ToAccount} {
				if h.Methods&m != 0 && h.Targets&to != 0 {
					r.iqs.add(h, m, to)
				}
			}
		}
	}
	r.exts = append(r.exts, x)
}

// ready lets the extensions fill in what they know only now, and puts the
// stream features together.
func (r *Router) ready() {
	for i := range r.exts {
		x := &r.exts[i]
		if x.Ready != nil {
			x.Ready(r, x)
		}
		r.stages.add(x)
		r.features = append(r.features, x.Features...)
		r.routes = append(r.routes, x.Routes...)
	}
}

// Form is a data form that belongs to what discovery tells (XEP-0128).
type Form struct {
	Type   string // the value of FORM_TYPE
	Fields []Field
}

// Field is one field of a Form.
type Field struct {
	Var, Type string // Type may be empty
	Values    []string
}

// Extensions are all that are registered.
func (r *Router) Extensions() []Extension { return r.exts }

// Request is one iq request on its way through a handler. It is lent until the
// handler returns.
type Request struct {
	Turn    *session.Turn
	From    Sender
	Session *session.Session // that From is; nil if it is none
	Stanza  *stanza.Stanza
	Router  *Router

	// Generation is that of the client's account (store.Account), where Handle may
	// write to the store and the client is authenticated.
	Generation int64

	answered bool
}

// Payload is the request's one child element.
func (rq *Request) Payload() parser.Element { return rq.Stanza.Payload() }

// Account is the account that is asked about: the one addressed, or the
// sender's own. It is zero for a request to the server.
func (rq *Request) Account() jid.JID {
	if a, ok := target(rq.From, rq.Stanza); ok {
		return a
	}
	return jid.JID{}
}

// Own reports whether the request is about the sender's own account.
func (rq *Request) Own() bool { return rq.Account().String() == bareOf(rq.From) }

// Result answers with a payload, which write appends.
func (rq *Request) Result(write func(dst []byte) []byte) {
	b := stanza.AppendResultStart(rq.Turn.GetBuf(), rq.Stanza, address(rq.From))
	b = write(b)
	rq.send(append(b, "</iq>"...))
}

// Empty answers with an empty result.
func (rq *Request) Empty() { rq.send(rq.appendEmpty()) }

func (rq *Request) appendEmpty() []byte {
	return stanza.AppendResult(rq.Turn.GetBuf(), rq.Stanza, address(rq.From))
}

// Error answers with an error: a *stanza.ErrorReply as it is, store.ErrNotFound
// as <item-not-found/>, and anything else as <internal-server-error/>, which is
// logged.
func (rq *Request) Error(err error) {
	var reply *stanza.ErrorReply
	switch {
	case errors.As(err, &reply):
	case errors.Is(err, store.ErrNotFound):
		reply = stanza.ItemNotFound
	default:
		reply = stanza.InternalServerError
		rq.Router.cfg.Logger.Error("iq request failed", "jid", address(rq.From),
			"payload", string(rq.Payload().Space()), "err", err)
	}
	rq.reply(reply)
}

func (rq *Request) reply(e *stanza.ErrorReply) {
	rq.send(stanza.AppendError(rq.Turn.GetBuf(), rq.Stanza, address(rq.From), e))
}

func (rq *Request) send(b []byte) {
	if rq.answered {
		panic("router: BUG: a request is answered twice")
	}
	rq.answered = true
	rq.From.SendBytes(rq.Turn, b)
	rq.Turn.PutBuf(b)
}

// sendBatch is send for a reply that is followed by other stanzas to the client's own
// session (see session.Session.SendBatch).
func (rq *Request) sendBatch(b []byte, ends []int) {
	if rq.answered {
		panic("router: BUG: a request is answered twice")
	}
	rq.answered = true
	rq.Session.SendBatch(rq.Turn, b, ends)
	rq.Turn.PutBuf(b)
}
