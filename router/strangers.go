package router

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"roost/internal/hourly"
	"roost/internal/loglimit"
	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// strangers limits the messages and subscription requests that accounts of this server send
// to those who do not know them. An address knows an account if there is a subscription
// between them, in either direction, or if it has sent the account a request, which the
// account's own roster shows, or recently a message. The counters are in memory, on each node
// for itself; an account takes space only while something that it has sent still counts.
//
// An address without an account counts as a stranger, too, so that the limits do not reveal
// which accounts exist.
type strangers struct {
	r         *Router
	messages  *hourly.Limit[uint64] // by the hash of the bare JID
	requests  *hourly.Limit[uint64]
	exempt    atomic.Pointer[map[string]bool] // bare JIDs of accounts without limits
	addressed pairs
	log       *loglimit.Limit

	refusedMessages, refusedRequests atomic.Int64
}

// RFC 6120 section 8.3.3.12 (https://www.rfc-editor.org/rfc/rfc6120#section-8.3.3.12),
// policy-violation: "The entity has violated some local service policy". Here it helps to wait.
var (
	errStrangerMessages = &stanza.ErrorReply{Type: "wait", Condition: "policy-violation",
		Text: "You have sent too many messages to people who have not added you as a contact, or replied. Try again later."}
	errManyRequests = &stanza.ErrorReply{Type: "wait", Condition: "policy-violation",
		Text: "You have sent too many subscription requests. Try again later."}
)

func (g *strangers) prepare(r *Router) {
	g.r = r
	g.messages, g.requests = hourly.New(^uint64(0)), hourly.New(^uint64(0))
	g.log = loglimit.New(r.config().Logger, "more stanzas to strangers were refused than are logged")
	g.set(r.config())
}

// set applies the settings. What was counted remains.
func (g *strangers) set(cfg *Config) {
	exempt := make(map[string]bool, len(cfg.Exempt))
	for _, text := range cfg.Exempt {
		if j, err := jid.Parse(text); err == nil {
			exempt[j.BareString()] = true
		}
	}
	g.exempt.Store(&exempt)
	g.messages.Set(cfg.StrangerMessages)
	g.requests.Set(cfg.SubscriptionRequests)
}

func (g *strangers) limitsMessages() bool { return g.r.config().StrangerMessages > 0 }

// hash returns the key of a bare JID.
func (g *strangers) hash(bare string) uint64 { return maphash.String(g.r.seed, bare) }

// pair returns the key of a message's direction.
func (g *strangers) pair(from, to string) uint64 {
	return bits.RotateLeft64(g.hash(from), 1) ^ g.hash(to)
}

// message counts a message, if its recipient is a stranger, and returns the error if there
// were too many. It may need a worker, for the sender's roster; then it has counted nothing.
func (g *strangers) message(t *session.Turn, from Sender, st *stanza.Stanza) (e *stanza.ErrorReply, need session.Work) {
	if !g.limitsMessages() || st.Type == stanza.Error {
		return nil, session.Done
	}
	if st.Type == stanza.Groupchat && (local(from) == nil || g.r.isRemote(st.To)) {
		return nil, session.Done // of a room, or to what is probably one
	}
	me := bareOf(from)
	to, isAccount := target(from, st)
	if !isAccount || to.String() == me {
		return nil, session.Done
	}
	s := local(from)
	if s == nil {
		if g.r.isRemote(from.JID()) { // the recipient may answer
			g.addressed.add(g.pair(me, to.String()), t.Now())
		}
		return nil, session.Done
	}
	ro, ok := g.r.cached(me)
	if !ok {
		if !t.MayBlock() {
			return nil, session.Read
		}
		var err error
		if ro, err = g.r.Roster(s.JID().Bare()); err != nil {
			g.r.LogError("roster could not be read", s.FullJID(), err)
			return stanza.InternalServerError, session.Done
		}
	}
	if ro.subscribed(to.String()) {
		return nil, session.Done
	}
	now := t.Now()
	if !ro.Pending(to.String()) && !(*g.exempt.Load())[me] && !g.addressed.has(g.pair(to.String(), me), now) && !g.messages.Allow(g.hash(me), now) {
		g.refused(&g.refusedMessages, s, "messages to strangers were refused: the account has reached the limit")
		return errStrangerMessages, session.Done
	}
	g.addressed.add(g.pair(me, to.String()), now)
	return nil, session.Done
}

// request counts a subscription request, unless the account has made it before, and returns
// the error if there were too many. Only workers may call it.
func (g *strangers) request(t *session.Turn, from Sender, st *stanza.Stanza) error {
	s := local(from)
	if s == nil || g.r.config().SubscriptionRequests <= 0 || st.Type != stanza.Subscribe || (*g.exempt.Load())[s.BareJID()] {
		return nil
	}
	ro, err := g.r.Roster(s.JID().Bare())
	if err != nil {
		return err
	}
	mine := stateOf(ro, st.To.BareString())
	if mine.ask || mine.sub.HasTo() || g.requests.Allow(g.hash(s.BareJID()), t.Now()) {
		return nil
	}
	g.refused(&g.refusedRequests, s, "subscription requests were refused: the account has reached the limit")
	return errManyRequests
}

func (g *strangers) refused(n *atomic.Int64, s *session.Session, message string) {
	n.Add(1)
	if g.log.Allow() {
		g.r.config().Logger.Info(message, "jid", s.FullJID())
	}
}

// hasAddressed reports whether another node has to know that the sender of a message has
// addressed its recipient, who may be a stranger.
func (g *strangers) hasAddressed(t *session.Turn, from Sender, to jid.JID) bool {
	return g.addressed.has(g.pair(bareOf(from), to.String()), t.Now())
}

// subscribed reports whether there is a subscription in either direction, which both rosters
// have. Of a request that waits for an answer, only one of them knows.
func (r *Roster) subscribed(contact string) bool {
	it, _ := r.Item(contact)
	return it.Subscription.HasTo() || it.Subscription.HasFrom()
}

// Limits of what is remembered in pairs.
const (
	pairTime = 12 * time.Hour
	maxPairs = 32768 // each half takes about 1 MB
)

// pairs remembers keys for pairTime at least, and at most twice as long, unless there are
// more than maxPairs in that time.
type pairs struct {
	mu         sync.Mutex
	young, old map[uint64]struct{}
	since      time.Time // when young began
}

// add remembers a key from now on.
func (p *pairs) add(key uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.age(now)
	if p.young == nil {
		p.young = make(map[uint64]struct{})
	}
	p.young[key] = struct{}{}
}

// has reports whether a key is remembered.
func (p *pairs) has(key uint64, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.age(now)
	if _, ok := p.young[key]; ok {
		return true
	}
	_, ok := p.old[key]
	return ok
}

// age forgets what is too old or too much. The caller holds mu.
func (p *pairs) age(now time.Time) {
	since := now.Sub(p.since)
	if since < pairTime && len(p.young) < maxPairs {
		return
	}
	p.old, p.young, p.since = p.young, nil, now
	if since >= 2*pairTime {
		p.old = nil
	}
}
