package router

import (
	"iter"
	"slices"
	"sync"
	"time"

	"roost/jid"
	"roost/parser"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// HandOn handles the stanzas that a client has not acknowledged (XEP-0198) when its session
// ends. XEP-0198 section 4 (https://xmpp.org/extensions/xep-0198.html#acking): "A server
// SHOULD treat unacknowledged stanzas in the same way that it would treat a stanza sent to an
// unavailable resource, by either returning an error to the sender, delivery to an alternate
// resource, or committing the stanza to offline storage. (Note that servers SHOULD add a
// delay element with the original (failed) delivery timestamp". Presence and responses would
// be of no use to others, and are dropped. It implements session.Router.
func (r *Router) HandOn(t *session.Turn, s *session.Session, batches iter.Seq[[]session.Unacked]) {
	h := handOn{r: r, session: s, account: s.JID().Bare(), unread: offlinePending.Has(s)}
	ok, err := r.mayHave(s)
	for batch := range batches {
		if !ok && err == nil {
			continue // the account was deleted, and perhaps created again
		}
		for i := range batch {
			r.guarded(s, func() { h.stanza(t, &batch[i]) })
		}
		h.store(t)
	}
	if h.unread && h.first != 0 && len(r.knownPlaces(h.account.String())) == 0 {
		r.guarded(s, h.follow)
	}
	if h.left || h.storing {
		r.deliverStored(t, h.account)
	}
}

// handOn hands on the stanzas of a session that has ended.
type handOn struct {
	r       *Router
	session *session.Session
	account jid.JID

	unread  bool                 // the store has messages that no session was sent
	first   int64                // the ID of the first message that was stored; 0: none was
	left    bool                 // messages were left in the store
	storing bool                 // a message was stored, or is about to be: all later ones follow it, but see keepOwn
	streams map[string]time.Time // by stream (see there) of the messages that were stored: when the last one was received
	pending []*handing           // messages to store, in order

	holders []reached // on other nodes: see findHolders
	located bool      // holders is set
}

// stanza hands on one stanza, or adds it to those that are to be stored.
func (h *handOn) stanza(t *session.Turn, u *session.Unacked) {
	if u.ID != 0 && !h.storing {
		h.leave()
		return
	}
	message, received := u.Stanza, u.Sent
	if u.Stamped {
		message, received = stanza.CutDelay(message)
	}
	x := rereaders.Get().(*rereader)
	defer rereaders.Put(x)
	var st stanza.Stanza
	if !x.read(message, &st) {
		h.r.config().Logger.Error("a stanza that a client has not acknowledged is lost: it could not be read", "jid", h.session.FullJID())
		return
	}
	from, err := jid.ParseBytes(st.Root.Attr("from"))
	if err != nil {
		return // a reply or a push by the server itself
	}
	m := &handing{handOn: h, from: from.Clone(), received: received, text: message, id: u.ID, elsewhere: u.Elsewhere}
	last, follows := h.streams[stream(m.from, &st)]
	switch {
	case u.ID != 0 && (!follows || received.Before(last)):
		h.leave() // it keeps its place among others that are in the store
	case st.Kind == stanza.Message && isCarbon(&st) && m.from.BareString() == h.account.String():
		// It is a copy for this resource only: the message itself has its own recipient.
	case isChatState(&st):
		// It says what someone was doing at that time. Other resources got it then, and if
		// it was held for this one, it cannot be recognized as a copy of theirs.
		countMessage(t, &st, messageDropped)
	case st.Kind == stanza.Message && m.elsewhere && m.leaveToOthers(t, &st):
	case st.Kind == stanza.Message:
		m.message(t, &st)
	case st.Kind == stanza.IQ && st.Type.IsRequest():
		h.r.Reply(t, m, &st, stanza.ServiceUnavailable)
	}
}

// leave leaves a message in the store.
func (h *handOn) leave() {
	if !h.left {
		h.left = true
		h.r.offlineStored(h.account) // later messages must not overtake it
	}
}

// store stores the pending messages, and informs the senders of those that are refused.
func (h *handOn) store(t *session.Turn) {
	if len(h.pending) == 0 {
		return
	}
	pending, stored, err := h.appendPending()
	for i, m := range pending {
		refused := err
		switch {
		case err == nil:
			refused = stored[i].Err
		case m.id != 0:
			continue // it stays where it is in the store
		}
		h.r.guarded(h.session, func() { m.stored(t, refused) })
	}
}

// appendPending stores the pending messages in one transaction. Those that are already in the
// store are replaced, so that they come after the earlier ones.
func (h *handOn) appendPending() (pending []*handing, stored []store.StoredMessage, err error) {
	defer h.keepOwn()()
	pending, h.pending = h.pending, nil
	if len(pending) == 0 {
		return nil, nil, nil
	}
	all := make([]store.NewMessage, len(pending))
	for i, m := range pending {
		all[i] = store.NewMessage{From: m.from, Stanza: m.forward, Received: m.received, Replaces: m.id}
	}
	stored, err = h.r.config().Store.AppendOfflineAll(h.r.ctx, h.account, all, h.r.offlineQuota())
	for i := 0; err == nil && h.first == 0 && i < len(stored); i++ {
		h.first = stored[i].ID
	}
	return pending, stored, err
}

// follow keeps streams in order. Messages of a stream may have been stored while the session
// had earlier ones that it had not acknowledged: for example because it got those before it had
// sent presence. The earlier ones are now after them in the store, so follow stores those that
// no session was sent again. Resources on other nodes may have been sent what this node
// believes unread; in that case nothing is stored again.
func (h *handOn) follow() {
	defer h.r.lockRosters(h.account)() // no page is sent meanwhile
	cfg := h.r.config()
	has := h.r.offlineSent(h.account)
	var again []store.NewMessage
	moved := make(map[string]bool) // the streams of these
	err := h.r.eachStored(h.account, cfg.PageBytes, func(m *store.OfflineMessage) bool {
		if has[m.ID] {
			return true
		}
		from, id, ok := streamOf(m.Stanza)
		last, follows := h.streams[id]
		if !ok || !follows || m.Received.Before(last) {
			return true
		}
		if m.ID < h.first || moved[id] && m.Received.After(last) {
			moved[id] = true
			again = append(again, store.NewMessage{From: from, Stanza: m.Stanza, Received: m.Received, Replaces: m.ID})
		}
		return true
	})
	if err == nil && len(again) > 0 {
		_, err = cfg.Store.AppendOfflineAll(h.r.ctx, h.account, again, h.r.offlineQuota())
	}
	if err != nil {
		h.r.LogError("stored messages may be delivered before earlier ones: they could not be stored again", h.session.FullJID(), err)
	}
}

// keepOwn makes sure, until the caller calls unlock, that no other session is sent those of the
// pending messages that are already in the store: by then the caller has replaced them. If
// another session has the resource by now, it may have been sent them, and they stay as they
// are.
func (h *handOn) keepOwn() (unlock func()) {
	isStored := func(m *handing) bool { return m.id != 0 }
	if !slices.ContainsFunc(h.pending, isStored) {
		return func() {}
	}
	unlock = h.r.lockRosters(h.account) // no page is sent meanwhile
	if h.r.resource(h.session.JID()) != h.session {
		h.pending = slices.DeleteFunc(h.pending, isStored)
	}
	return unlock
}

// handing is a stanza that is handed on. It is also the sender, which gets an error if no
// one else takes it.
type handing struct {
	*handOn
	from     jid.JID
	received time.Time
	text     []byte // valid as long as its batch
	forward  []byte // as it is stored
	id       int64  // under which it is in the store; 0: it is not

	elsewhere bool // resources on other nodes got it, too
}

// stream identifies the messages among which one of this sender has to keep its place.
func stream(from jid.JID, st *stanza.Stanza) string {
	return from.String() + " " + string(st.Root.Attr("to"))
}

// streamOf returns the sender of a stored message, and its stream.
func streamOf(message []byte) (from jid.JID, id string, ok bool) {
	x := rereaders.Get().(*rereader)
	defer rereaders.Put(x)
	var st stanza.Stanza
	if !x.read(message, &st) {
		return jid.JID{}, "", false
	}
	from, err := jid.ParseBytes(st.Root.Attr("from"))
	if err != nil {
		return jid.JID{}, "", false
	}
	return from.Clone(), stream(from, &st), true
}

// JID is the address of the sender.
func (m *handing) JID() jid.JID { return m.from }

// SendBytes sends an error reply.
func (m *handing) SendBytes(t *session.Turn, b []byte) bool {
	if m.r.isRemote(m.from) {
		return m.r.sendRemote(t, m.session.JID(), m.from, b) == nil
	}
	return (&nodeSender{r: m.r, jid: m.from, key: m.account.String()}).SendBytes(t, b)
}

// message delivers a message to another session of the same full JID, or else to the
// resources that get messages to the account's bare JID, or else to the store.
func (m *handing) message(t *session.Turn, st *stanza.Stanza) {
	r := m.r
	follows := m.storing && storable(st)
	if st.HasTo && st.To.IsFull() && !follows {
		to := r.resource(st.To)
		waits := to != nil && waitsForOffline(to, st)
		if to == nil && storable(st) {
			r.locate(t, m.account.String())
			waits = r.hasPlace(st.To) // it gets what is stored
		}
		waits = waits || storable(st) && m.session.Replaced() // so does the next session
		if to != nil && !waits && m.send(t, to, st) {
			return
		}
		if st.Type != stanza.Chat && !waits {
			r.refuse(t, m, st) // RFC 6121 section 8.5.3.2.1
			return
		}
	}
	switch {
	case st.Type == stanza.Groupchat, st.Type == stanza.Error: // see messageToBare
	case !follows && m.toAccount(t, st):
	case st.Type == stanza.Headline || !storable(st):
		countMessage(t, st, messageDropped)
	case r.config().MaxOffline < 0:
		countMessage(t, st, messageRefused)
		r.Reply(t, m, st, stanza.ServiceUnavailable)
	default:
		m.forward = stanza.AppendForward(nil, st, stanza.Edit{From: m.from.String()})
		m.pending = append(m.pending, m)
		if !m.storing {
			m.storing, m.streams = true, make(map[string]time.Time)
			r.offlineStored(m.account)
		}
		if id := stream(m.from, st); m.streams[id].Before(m.received) {
			m.streams[id] = m.received
		}
	}
}

// toAccount is Router.deliver for the resources whose clients can still be reached.
func (m *handing) toAccount(t *session.Turn, st *stanza.Stanza) (taken bool) {
	account := m.account.String()
	least := m.r.leastPriority(account, st)
	var to []*session.Session
	for s := range m.r.Recipients(account, NonNegative) {
		if s.Priority() >= least && !s.Ending() && !bars(s, m.from) && !waitsForOffline(s, st) {
			to = append(to, s)
		}
	}
	return len(to) > 0 && m.r.sendOrHold(t, to, st, m.from.String(), m.appendTo(t, st), session.CopyStamped)
}

// appendTo returns the message with a delay stamp.
func (m *handing) appendTo(t *session.Turn, st *stanza.Stanza) []byte {
	plain := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: m.from.String()})
	b := stanza.AppendInside(nil, plain, stanza.AppendDelay(nil, m.session.Host(), m.received))
	t.PutBuf(plain)
	return b
}

// send sends the message with a delay stamp, unless the session has ended, too, or the sender
// has been blocked meanwhile.
func (m *handing) send(t *session.Turn, to *session.Session, st *stanza.Stanza) bool {
	if to.Ending() || bars(to, m.from) {
		return false
	}
	b := m.appendTo(t, st)
	return hold(t, to, st, m.from.String(), chatStateFrom, b) || to.SendStamped(t, b)
}

// stored is called when the message was stored, or refused because of err.
func (m *handing) stored(t *session.Turn, err error) {
	x := rereaders.Get().(*rereader)
	defer rereaders.Put(x)
	var st stanza.Stanza
	if !x.read(m.text, &st) {
		panic("router: BUG: a stanza cannot be read again")
	}
	m.r.storedOffline(t, m, &st, m.account, err)
}

const nsCarbons = "urn:xmpp:carbons:2"

// isCarbon reports whether a message contains a copy of another one (XEP-0280).
func isCarbon(st *stanza.Stanza) bool {
	for el := st.Root.First(); el.OK(); el = el.Next() {
		if string(el.Space()) == nsCarbons && (string(el.Local()) == "received" || string(el.Local()) == "sent") {
			return true
		}
	}
	return false
}

// rereader parses stanzas that the server has written.
type rereader struct {
	parser  parser.Parser
	scratch *parser.Scratch
	open    bool          // the parser has read a stream header
	stanza  stanza.Stanza // of readItem
	put     func()        // returns the rereader to the pool
}

// rereadLimits are the largest limits of a parser: what was accepted once is accepted again,
// together with what was added to it.
var rereadLimits = parser.Limits{MaxStanza: 1 << 30, MaxDepth: 1 << 30, MaxAttrs: 1 << 30, MaxNamespaces: 1 << 30, MaxName: 1 << 30}

var rereaders sync.Pool

func init() {
	rereaders.New = func() any {
		x := &rereader{scratch: parser.NewScratch(rereadLimits)}
		x.put = func() { rereaders.Put(x) }
		return x
	}
}

// read makes st a view of the stanza in b, which is valid until the next call.
func (x *rereader) read(b []byte, st *stanza.Stanza) bool {
	if !x.open {
		const header = "<stream:stream xmlns='" + stanza.NSClient + "' xmlns:stream='" + stanza.NSStreams + "'>"
		x.parser = parser.Parser{}
		if ev, _, err := x.parser.Next(x.scratch, []byte(header)); ev != parser.StreamOpen || err != nil {
			panic("router: BUG: the stream header was not parsed")
		}
		x.open = true
	}
	ev, n, err := x.parser.Next(x.scratch, b)
	if err != nil || ev != parser.Stanza || n != len(b) {
		x.parser.Free(x.scratch)
		x.open = false
		return false
	}
	return stanza.Read(x.scratch.Tape(), st) == nil
}
