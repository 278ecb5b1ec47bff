package router

import (
	"sync"
	"time"

	"roost/jid"
	"roost/parser"
	"roost/session"
	"roost/stanza"
)

// HandOn handles a stanza that a client has not acknowledged (XEP-0198) when its session
// ends. XEP-0198 section 4 (https://xmpp.org/extensions/xep-0198.html#acking): "A server
// SHOULD treat unacknowledged stanzas in the same way that it would treat a stanza sent to an
// unavailable resource, by either returning an error to the sender, delivery to an alternate
// resource, or committing the stanza to offline storage. (Note that servers SHOULD add a
// delay element with the original (failed) delivery timestamp". Presence and responses would
// be of no use to others, and are dropped. It implements session.Router.
func (r *Router) HandOn(t *session.Turn, s *session.Session, u session.Unacked) {
	if ok, err := r.mayHave(s); !ok && err == nil {
		return // the account was deleted, and perhaps created again
	}
	message, received := u.Stanza, u.Sent
	if u.Stamped {
		message, received = stanza.CutDelay(message)
	}
	x := rereaders.Get().(*rereader)
	defer rereaders.Put(x)
	var st stanza.Stanza
	if !x.read(message, &st) {
		r.config().Logger.Error("a stanza that a client has not acknowledged is lost: it could not be read", "jid", s.FullJID())
		return
	}
	from, err := jid.ParseBytes(st.Root.Attr("from"))
	if err != nil {
		return // a reply or a push of the server itself
	}
	h := handedOn{r: r, from: from.Clone(), session: s, received: received}
	switch {
	case st.Kind == stanza.Message:
		h.message(t, &st)
	case st.Kind == stanza.IQ && st.Type.IsRequest():
		r.Reply(t, &h, &st, stanza.ServiceUnavailable)
	}
}

// handedOn is a stanza that is handed on. It is also the sender, which gets an error if no
// one else takes it.
type handedOn struct {
	r        *Router
	from     jid.JID
	session  *session.Session // which has ended
	received time.Time
}

// JID is the address of the sender.
func (h *handedOn) JID() jid.JID { return h.from }

// SendBytes sends an error reply.
func (h *handedOn) SendBytes(t *session.Turn, b []byte) bool {
	if h.r.isRemote(h.from) {
		return h.r.sendRemote(t, h.session.JID(), h.from, b) == nil
	}
	to := h.r.resource(h.from)
	return to != nil && to.SendBytes(t, b)
}

// message delivers a message to another session of the same full JID, or else to the
// resources that get messages to the account's bare JID, or else to the store.
func (h *handedOn) message(t *session.Turn, st *stanza.Stanza) {
	r, account := h.r, h.session.JID().Bare()
	if st.HasTo && st.To.IsFull() {
		if to := r.resource(st.To); to != nil && h.forward(t, to, st) {
			return
		}
		if st.Type != stanza.Chat {
			r.refuse(t, h, st) // RFC 6121 section 8.5.3.2.1
			return
		}
	}
	switch {
	case st.Type == stanza.Groupchat, st.Type == stanza.Error: // see messageToBare
	case h.toAccount(t, st, account.String()):
	case st.Type == stanza.Headline || !storable(st):
		countMessage(t, st, messageDropped)
	default:
		r.storeOffline(t, h, st, account, h.received)
	}
}

// toAccount is Router.deliver for those resources whose clients can still be reached.
func (h *handedOn) toAccount(t *session.Turn, st *stanza.Stanza, account string) (taken bool) {
	least := h.r.leastPriority(account, st)
	for to := range h.r.Recipients(account, NonNegative) {
		if to.Priority() >= least && h.forward(t, to, st) {
			taken = true
		}
	}
	return taken
}

// forward sends the message with a delay stamp, unless the session has ended, too.
func (h *handedOn) forward(t *session.Turn, to *session.Session, st *stanza.Stanza) bool {
	if to.Ending() {
		return false
	}
	plain := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: h.from.String()})
	b := stanza.AppendInside(nil, plain, stanza.AppendDelay(nil, to.Host(), h.received))
	t.PutBuf(plain)
	return to.SendStamped(t, b)
}

// rereader parses stanzas that the server has written.
type rereader struct {
	parser  parser.Parser
	scratch *parser.Scratch
}

// rereadLimits are the largest that a parser has: what was accepted before is accepted again,
// with what was added to it.
var rereadLimits = parser.Limits{MaxStanza: 1 << 30, MaxDepth: 1 << 30, MaxAttrs: 1 << 30, MaxNamespaces: 1 << 30, MaxName: 1 << 30}

var rereaders = sync.Pool{New: func() any {
	return &rereader{scratch: parser.NewScratch(rereadLimits)}
}}

// read makes st a view of the stanza in b, which is valid until the next call.
func (x *rereader) read(b []byte, st *stanza.Stanza) bool {
	const header = "<stream:stream xmlns='" + stanza.NSClient + "' xmlns:stream='" + stanza.NSStreams + "'>"
	x.parser = parser.Parser{}
	if ev, _, err := x.parser.Next(x.scratch, []byte(header)); ev != parser.StreamOpen || err != nil {
		panic("router: BUG: the stream header was not parsed")
	}
	ev, n, err := x.parser.Next(x.scratch, b)
	if err != nil || ev != parser.Stanza || n != len(b) {
		return false
	}
	return stanza.Read(x.scratch.Tape(), st) == nil
}
