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

// Verdict is an extension's decision about an incoming stanza.
type Verdict uint8

// The verdicts of Extension.Incoming.
const (
	Pass        Verdict = iota // continue with the next extension, and then the router
	Handled                    // the stanza needs no further processing
	NeedsWorker                // nothing was done yet: call again where the store may be read
	NeedsWriter                // nothing was done yet: call again where the store may be written
)

// Extension is one protocol extension: a struct of optional functions, most of which most
// extensions leave nil. To add one, write one file in package xep and add it to the list
// there. Service discovery, the table of supported extensions and its test are derived from
// the registrations.
type Extension struct {
	Name    string   // a short name, unique
	XEP     int      // number of the XEP; 0 if an RFC defines the extension
	Version string   // of the XEP
	Title   string   // of the XEP
	Domain  []string // features of the server (XEP-0030)
	Account []string // features of an account

	// Forms returns further information about the server in discovery (XEP-0128). It is
	// called again when the configuration has changed.
	Forms func() []Form

	// Offered reports whether Domain is published; nil: always. It is called again when the
	// configuration has changed.
	Offered func() bool

	IQ []IQ // requests that it handles

	// Features are stream features and the handlers of the first-level elements that
	// clients send to negotiate them.
	Features []session.Feature

	// Routes lead to domains that this server does not serve. A stanza takes the first
	// route that serves its domain.
	Routes []Route

	// Ready is called once, when all extensions are registered, and fills in what depends
	// on the router or on other extensions. By then, requests and features must not
	// change.
	Ready func(r *Router, x *Extension)

	// Incoming is called for every stanza before it is routed, except those that clients
	// send before they bind a resource. It is called once for each stanza, and again on
	// each kind of worker that it requests.
	Incoming func(t *session.Turn, from Sender, st *stanza.Stanza) Verdict

	// Sent is called for every message from an observed resource (see Observe), once, before
	// it is delivered or refused. In a cluster, it is called on each node that has resources
	// of the sender's account; from is a session on one of them.
	Sent func(t *session.Turn, from Sender, st *stanza.Stanza)

	// Recipient is called while a message is delivered to an account or one of its
	// resources, once for each connected resource s of the account: with took for those to
	// which it was sent, if they are observed, and without for all others. If it was
	// addressed to a full JID, Recipient is called only if the resource that received it is
	// observed.
	Recipient func(t *session.Turn, from Sender, s *session.Session, st *stanza.Stanza, took bool)

	// Refused is called for every error with which this server itself replies to a message
	// from an observed resource, after the reply. In a cluster, it is called like Sent.
	Refused func(t *session.Turn, from Sender, st *stanza.Stanza, e *stanza.ErrorReply)

	// Delivered is called for every message to an account after it was delivered to the
	// account's resources; taken says who received it. It is also called for every message
	// that a route took: then to has a remote domain. It is not called for a message that
	// was refused or ignored. It is called once for each message, and again on each kind of
	// worker that it requests.
	Delivered func(t *session.Turn, from Sender, to jid.JID, st *stanza.Stanza, taken Taken) session.Work

	// Bound is called when a resource was bound, on a worker that may read, and before the
	// client gets the result.
	Bound func(t *session.Turn, s *session.Session, known Known)

	// Available is called when a resource has become available, or has begun to receive
	// messages to its account, after others were notified. If it has to wait for the store,
	// it returns the kind of work, and is called again on a worker of that kind.
	Available func(t *session.Turn, s *session.Session, a Availability) session.Work

	// Left is called when a resource has left, after others were notified. It must not
	// block.
	Left func(t *session.Turn, s *session.Session)

	// Removed is called, on a worker that may write, when an account was deleted: the
	// extension must forget what it has in memory for it. It may be called twice for one
	// account.
	Removed func(account jid.JID)

	// State saves and restores the extension's state of a session when the server restarts;
	// without it, the extension's flags and slots are lost then. It is identified by Name.
	State State

	// Close is called once, when the router closes: all sessions have ended, and no other
	// function of the extension is called afterwards. It must not block.
	Close func()
}

// Known is what binding a resource has revealed about its account.
type Known struct {
	Store      bool // the store was read; otherwise the other fields are not valid
	HasOffline bool // messages are stored for the account
}

// Availability describes a change of a resource that has sent presence.
type Availability struct {
	Initial     bool    // it was not available before
	NonNegative bool    // it has begun to have a non-negative priority
	Roster      *Roster // of its account
}

// Targets are the kinds of address for which a handler gets an iq.
type Targets uint8

// The targets of an iq request. A request without 'to' is for the sender's own account (RFC
// 6120 section 10.3.3, https://www.rfc-editor.org/rfc/rfc6120#section-10.3.3).
const (
	ToServer  Targets = 1 << iota // the domain
	ToSelf                        // the sender's own bare JID
	ToAccount                     // another account's bare JID
)

// Methods are the iq requests that a handler handles.
type Methods uint8

// The methods of an iq request.
const (
	Get Methods = 1 << iota
	Set
)

// IQ is a handler of iq requests whose payload has a given name. At most one handler may be
// registered for each combination of name, method and target.
type IQ struct {
	Space, Local string // expanded name of the payload
	Methods      Methods
	Targets      Targets
	Blocking     bool // Handle runs on a worker: for a get it may read from the store, for a set also write
	Unbound      bool // also allowed for clients without a resource, authenticated or not

	// Handle replies to the request exactly once, using Result, Empty or Error.
	Handle func(rq *Request)

	// Step replaces Handle and Blocking for a request that takes several kinds of work,
	// such as deriving keys and then writing. It is first called where the request was
	// received, and returns the kind of work that it needs; then it is called again on a
	// worker of that kind, until it has replied and returns Done. A value that a step on a
	// worker passes to Turn.Carry is Turn.Carried in the next one. Step itself has to check
	// who sent the request (see Router.CurrentAccount).
	Step func(rq *Request) session.Work

	// Inline is for a Blocking handler that often need not wait: it is first called on the
	// loop, where it either replies and returns true, or does nothing and returns false.
	Inline func(rq *Request) bool
}

// iqTable maps the namespace and local name of a payload to its handlers. Looking up byte
// slices does not allocate.
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

// register adds an extension. It panics if something is registered twice, because that is a
// programming error.
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

// ready lets the extensions finish their initialization and collects the stream features.
func (r *Router) ready() {
	r.states = r.ownStates()
	for i := range r.exts {
		x := &r.exts[i]
		if x.Ready != nil {
			x.Ready(r, x)
		}
		r.stages.add(x)
		r.features = append(r.features, x.Features...)
		r.routes = append(r.routes, x.Routes...)
		if x.State.Save != nil {
			r.states = append(r.states, namedState{x.Name, x.State})
		}
	}
}

// Form is a data form in service discovery (XEP-0128).
type Form struct {
	Type   string // the value of FORM_TYPE
	Fields []Field
}

// Field is one field of a Form.
type Field struct {
	Var, Type string // Type may be empty
	Values    []string
}

// Extensions returns all registered extensions.
func (r *Router) Extensions() []Extension { return r.exts }

// Request is one iq request, passed to its handler. It is borrowed until the handler
// returns.
type Request struct {
	Turn    *session.Turn
	From    Sender
	Session *session.Session // the session that From is; nil if it is not one
	Stanza  *stanza.Stanza
	Router  *Router

	// Generation is that of the client's account (store.Account). It is set if Handle may
	// write to the store and the client is authenticated.
	Generation int64

	answered bool
	need     session.Work // Write if the handler has to wait at a session.Gate, and then is called again
}

// Payload returns the request's only child element.
func (rq *Request) Payload() parser.Element { return rq.Stanza.Payload() }

// Account returns the account that the request is about: the one addressed, or the sender's
// own. It is zero for a request to the server.
func (rq *Request) Account() jid.JID {
	if a, ok := target(rq.From, rq.Stanza); ok {
		return a
	}
	return jid.JID{}
}

// Own reports whether the request is about the sender's own account.
func (rq *Request) Own() bool { return rq.Account().String() == bareOf(rq.From) }

// Result replies with the payload that write appends.
func (rq *Request) Result(write func(dst []byte) []byte) {
	b := stanza.AppendResultStart(rq.Turn.GetBuf(), rq.Stanza, address(rq.From))
	b = write(b)
	rq.send(append(b, "</iq>"...))
}

// Empty replies with an empty result.
func (rq *Request) Empty() { rq.send(rq.appendEmpty()) }

func (rq *Request) appendEmpty() []byte {
	return stanza.AppendResult(rq.Turn.GetBuf(), rq.Stanza, address(rq.From))
}

// Error replies with an error: a *stanza.ErrorReply unchanged, store.ErrNotFound as
// <item-not-found/>, and any other error, which is logged at a limited rate, as <internal-server-error/>.
func (rq *Request) Error(err error) {
	var reply *stanza.ErrorReply
	switch {
	case errors.As(err, &reply):
	case errors.Is(err, store.ErrNotFound):
		reply = stanza.ItemNotFound
	default:
		reply = stanza.InternalServerError
		if rq.Router.errorLog.Allow() {
			rq.Router.config().Logger.Error("iq request failed", "jid", address(rq.From),
				"payload", string(rq.Payload().Space()), "err", err)
		}
	}
	rq.reply(reply)
}

func (rq *Request) reply(e *stanza.ErrorReply) {
	rq.Turn.CountError(e)
	rq.send(stanza.AppendError(rq.Turn.GetBuf(), rq.Stanza, address(rq.From), e))
}

func (rq *Request) send(b []byte) {
	if rq.answered {
		panic("router: BUG: two replies to one request")
	}
	rq.answered = true
	rq.From.SendBytes(rq.Turn, b)
	rq.Turn.PutBuf(b)
}

// sendBatch is send for a reply that is followed by other stanzas to the client's own
// session (see session.Session.SendBatch).
func (rq *Request) sendBatch(b []byte, ends []int) {
	if rq.answered {
		panic("router: BUG: two replies to one request")
	}
	rq.answered = true
	rq.Session.SendBatch(rq.Turn, b, ends)
	rq.Turn.PutBuf(b)
}
