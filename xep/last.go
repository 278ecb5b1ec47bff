package xep

import (
	"strconv"
	"time"

	"roost/parser"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

const nsLast = "jabber:iq:last"

// lastActivity reports how long the server has been running, and how long an account has
// been unavailable (XEP-0012).
func lastActivity() router.Extension {
	iq := func(to router.Targets, blocking bool, handle func(*router.Request)) router.IQ {
		return router.IQ{
			Space: nsLast, Local: "query", Methods: router.Get, Targets: to, Blocking: blocking, Handle: handle,
		}
	}
	return router.Extension{
		Name:    "last",
		XEP:     12,
		Version: "2.0",
		Title:   "Last Activity",
		Domain:  []string{nsLast},
		Account: []string{nsLast},
		IQ: []router.IQ{
			iq(router.ToServer, false, serverLastActivity),
			iq(router.ToSelf, false, ownLastActivity),
			iq(router.ToAccount, true, accountLastActivity),
		},
		Ready: func(r *router.Router, x *router.Extension) {
			x.Incoming = func(t *session.Turn, from router.Sender, st *stanza.Stanza) router.Verdict {
				return guardLastActivity(r, t, from, st)
			}
		},
	}
}

// serverLastActivity returns the server's uptime (section 5).
func serverLastActivity(rq *router.Request) {
	sendLastActivity(rq, rq.Turn.Now().Sub(rq.Router.Started()), nil)
}

// ownLastActivity replies about the requesting account itself, which is available.
func ownLastActivity(rq *router.Request) { sendLastActivity(rq, 0, nil) }

// accountLastActivity replies about another account. Section 3
// (https://xmpp.org/extensions/xep-0012.html#offline): "If the requesting entity is not
// authorized to view the user's presence information […], the user's server MUST NOT return
// last activity information but instead MUST return a <forbidden/> error". The reply is the
// same if the account does not exist, so that it does not reveal which accounts exist (RFC
// 6120 section 13.10.2, https://www.rfc-editor.org/rfc/rfc6120#section-13.10.2).
func accountLastActivity(rq *router.Request) {
	ok, err := subscribed(rq)
	switch {
	case err != nil:
		rq.Error(err)
		return
	case !ok:
		rq.Error(stanza.Forbidden)
		return
	}
	if rq.Router.IsConnected(rq.Turn, rq.Account()) {
		// "If the user has at least one connected or available resource […], the response
		// MUST […] contain an empty <query/> element whose 'seconds' attribute is set to
		// a value of '0'" (https://xmpp.org/extensions/xep-0012.html#offline).
		sendLastActivity(rq, 0, nil)
		return
	}
	last, err := rq.Router.LastActivity(rq.Account())
	if err != nil {
		rq.Error(err) // <item-not-found/> if the account has never been available
		return
	}
	sendLastActivity(rq, rq.Turn.Now().Sub(last.At), last.Status)
}

func sendLastActivity(rq *router.Request, ago time.Duration, status []byte) {
	rq.Result(func(b []byte) []byte {
		b = append(b, "<query xmlns='"+nsLast+"' seconds='"...)
		b = strconv.AppendInt(b, int64(max(ago, 0)/time.Second), 10)
		if len(status) == 0 {
			return append(b, "'/>"...)
		}
		b = append(b, "'>"...)
		b = parser.AppendEscaped(b, status)
		return append(b, "</query>"...)
	})
}

// guardLastActivity rejects queries to a client from entities that are not authorized to
// see its presence. Section 4 (https://xmpp.org/extensions/xep-0012.html#online): "if the
// requesting entity is not authorized to view the user's presence information […], the
// user's server MUST NOT deliver the IQ-get to an available resource but instead MUST
// return a <forbidden/> error".
func guardLastActivity(r *router.Router, t *session.Turn, from router.Sender, st *stanza.Stanza) router.Verdict {
	if st.Kind != stanza.IQ || st.Type != stanza.Get || !st.Payload().Is(nsLast, "query") ||
		!st.To.IsFull() || st.To.Local() == "" || st.To.BareString() == from.JID().BareString() {
		return router.Pass
	}
	if !t.MayBlock() {
		return router.NeedsWorker
	}
	ok, err := r.Sees(t, from, st.To.Bare())
	switch {
	case err != nil:
		r.LogError("roster could not be read", from.JID().String(), err)
		r.Reply(t, from, st, stanza.InternalServerError)
		return router.Handled
	case !ok:
		r.Reply(t, from, st, stanza.Forbidden)
		return router.Handled
	}
	return router.Pass
}
