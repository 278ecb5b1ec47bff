package router

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"roost/internal/job"
	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// After the directory was out of reach or has lost data, this node repeats what may not have
// reached the others: see Lost. First all resources are registered again, so that they are
// found. Then each available resource that was missing there, or all if presence was lost,
// announces its presence to the other nodes and requests that of its contacts there.

// The paces, in resources a second. A registration and the update of its entry cost some 20 µs of
// this node and of the engine together. Presence costs about as much as a login without its key
// derivation.
const (
	registerRate = 10_000
	presenceRate = 2_000
)

// registerers is how many registrations are under way at once: each waits for the engine.
const registerers = 32

// Rejoined implements NodeHandler.
func (r *Router) Rejoined(ctx context.Context, lost Lost) {
	r.peers.mistrust()
	if lost >= LostPresence {
		r.forgetRosters()
	}
	r.tellUntold(ctx)
	if lost < LostEntries {
		return
	}
	begin := time.Now()
	missing := r.registerAll(ctx, lost)
	if ctx.Err() != nil {
		return
	}
	if lost >= LostPresence {
		r.tellChanges(r.nodes.Others(), "")
	}
	if lost >= LostPresence || len(missing) > 0 {
		r.askForChanges()
	}
	r.config().Logger.Info("clients registered again with the cluster", "sessions", len(missing), "took", time.Since(begin).Round(time.Millisecond))
	exchanging := r.sessions.Each
	if lost < LostPresence {
		exchanging = slices.Values(missing)
	}
	r.atPace(ctx, presenceRate, exchanging, r.exchangeSoon)
}

// exchangeSoon is exchangePresence for a caller that does not have the session.
func (r *Router) exchangeSoon(s *session.Session) {
	r.sessions.RunOnLoop(s, func(t *session.Turn) { r.exchangePresence(t, s, false) })
}

// atPace calls f for sessions, at a rate, until ctx ends.
func (r *Router) atPace(ctx context.Context, rate float64, sessions iter.Seq[*session.Session], f func(*session.Session)) {
	pace := job.NewPace(rate, time.NewTicker)
	defer pace.Stop()
	allowed := 0
	for s := range sessions {
		if allowed == 0 {
			if allowed = pace.Wait(ctx, registerRate); allowed == 0 {
				return
			}
		}
		allowed--
		f(s)
	}
}

// registerAll registers all resources of this node, and returns those that were not in the
// directory.
func (r *Router) registerAll(ctx context.Context, lost Lost) (missing []*session.Session) {
	todo := make(chan *session.Session)
	var tasks sync.WaitGroup
	var mu sync.Mutex
	for range registerers {
		tasks.Go(func() {
			t := r.sessions.NewTurn()
			defer t.End()
			for s := range todo {
				r.guarded(nil, func() {
					if r.registerAgain(ctx, t, s, lost) {
						mu.Lock()
						missing = append(missing, s)
						mu.Unlock()
					}
				})
				t.Flush()
			}
		})
	}
	r.atPace(ctx, registerRate, r.sessions.Each, func(s *session.Session) { todo <- s })
	close(todo)
	tasks.Wait()
	return missing
}

// registerAgain registers a resource, and reports whether it was missing in the directory.
// If another node has the same resource, that was bound while the two could not find each
// other. That one stays: it is registered, so usually it is the newer. It is the same session if
// that is moving: a session that another node was sent is not registered here (see stays), and
// one that has come here takes the entry of the node where it was.
func (r *Router) registerAgain(ctx context.Context, t *session.Turn, s *session.Session, lost Lost) (missing bool) {
	if s.Moving() {
		return false
	}
	reg, o := Registration{}, origins.Get(s)
	if o != nil {
		reg.From = o.node
	}
	got, err := r.nodes.Register(ctx, s.BareJID(), s.Resource(), reg)
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case err != nil: // it is repeated when the directory is back
		r.nodesFailed("a resource could not be registered with the cluster", err)
		return false
	case got.Taken && (s.Moving() || o != nil && !o.left.Load()):
		return false // the move began meanwhile, or takeSession will find the same
	case got.Taken:
		r.giveWay(t, s)
		return false
	case o != nil:
		r.hasMoved(t, s, &got)
	}
	if len(got.Places) > 0 {
		r.observeReturned(s, got.Places, !got.Known || lost >= LostPresence) // or itemObserve was returned
	}
	r.unregisterGone(s)
	r.correctEntry(s, got.Known || o != nil)
	if got.Known {
		return false
	}
	// Other nodes have not found the resource, and may have stored messages. One that is not
	// available reads them when it is.
	r.deliverStoredHere(t, s.JID().Bare())
	return true
}

// correctEntry makes a resource's entry in the directory say whether it is available, and its
// priority. If there was an entry before, that is not known: a replica may have taken over
// without the last change, or the engine may have refused that. A new entry is not available.
func (r *Router) correctEntry(s *session.Session, before bool) {
	mu := r.lockPresence(s.BareJID())
	defer mu.Unlock()
	if available := s.Available(); s.Bound() && (available || before) {
		r.updateElsewhere(s, available, int8(s.Priority()))
	}
}

// giveWay ends a session whose address a session on another node has.
func (r *Router) giveWay(t *session.Turn, s *session.Session) {
	r.displace(t, s, r.mayAnnounceEnd(s))
}

// succeeded reports whether a session on another node has the address of s, and is
// available.
func (r *Router) succeeded(s *session.Session) bool {
	places, err := r.nodes.Current(r.ctx, s.BareJID())
	if err != nil {
		r.nodesFailed("resources on other nodes could not be looked up", err)
	}
	p, ok := findPlace(places, s.Resource())
	return ok && p.Available
}

// displace ends a session whose address another one has. If announced is false, contacts are not told
// that it is unavailable.
func (r *Router) displace(t *session.Turn, s *session.Session, announced bool) {
	if !announced {
		r.endSilently(s)
	}
	r.sessions.Displace(t, s)
}

// endSilently has contacts not be told when a session ends.
func (r *Router) endSilently(s *session.Session) {
	mu := r.lockPresence(s.BareJID())
	defer mu.Unlock()
	s.SetPresence(nil, 0)
	owesEnd.Clear(s)
}

// compareLater has the blocklist of a session's account compared with the store when that can be
// read.
func (r *Router) compareLater(s *session.Session) {
	r.learnLater(missedChange{rosterChange: rosterChange{account: strings.Clone(s.BareJID()), blocklist: true}})
}

// exchangePresence announces a resource's presence to other nodes, and requests that of its
// contacts there. Before that, if reread is false, it compares the account's blocklist with the
// store: what another node has changed may have been missed.
func (r *Router) exchangePresence(t *session.Turn, s *session.Session, reread bool) {
	if !s.Bound() {
		return
	}
	ro, need, err := r.tryOwnRoster(t, s)
	if err != nil {
		r.nodesFailed("presence could not be exchanged with other nodes", err)
		r.compareLater(s)
		return
	}
	if need == session.Done && !reread && !slices.Equal(ro.blocked.addresses(), blocklistOf(s).addresses()) {
		r.sessions.Offload(t, s, session.Write, func(t *session.Turn) {
			if err := r.rereadBlocklist(t, s.JID().Bare(), nil); err != nil {
				r.nodesFailed("a blocklist that another node may have changed could not be read", err)
				r.compareLater(s)
			}
			r.exchangePresence(t, s, true)
		})
		return
	}
	if need == session.Done {
		if !s.Available() {
			return
		}
		need = r.locateContacts(t, s, ro)
	}
	if need != session.Done {
		r.sessions.Offload(t, s, need, func(t *session.Turn) { r.exchangePresence(t, s, reread) })
		return
	}
	r.announceElsewhere(t, s, ro)
	if s.Inactive() || s.Detached() {
		missed.Make(s).outdated = true // it is sent when the client is there
		return
	}
	if f := unsent.Get(s); f != nil {
		f.outdated, f.next, f.sent = true, "", nil
		return
	}
	f := pendingPresence{outdated: true}
	r.sendPendingPresence(t, s, ro, &f)
}

// announceElsewhere sends the presence of an available resource to other nodes again.
func (r *Router) announceElsewhere(t *session.Turn, s *session.Session, ro *Roster) {
	mu := r.lockPresence(s.BareJID())
	defer mu.Unlock()
	if p := s.Presence(); p != nil && s.Bound() && s.Available() {
		bc := broadcast{s: s, ro: r.currentRoster(s, ro), p: p}
		r.broadcastElsewhere(t, &bc, bc.ro, blocklistOf(s))
	}
}

// sendOutdated sends a client what replaces the presence of contacts on other nodes that it
// was sent, which may be outdated: unavailable presence of the contacts' bare JIDs (RFC 6121
// section 4.3.2, https://www.rfc-editor.org/rfc/rfc6121#section-4.3.2, has it for a contact
// without available resources). Then it requests the presence of those that are available.
// Contacts that are available on this node keep what the client has of them.
func (r *Router) sendOutdated(t *session.Turn, s *session.Session, ro *Roster, f *pendingPresence) pause {
	i := 0
	if f.next != "" {
		i, _ = ro.find(f.next)
	}
	for ; i < len(ro.Items); i++ {
		it := &ro.Items[i]
		if !it.Subscription.HasTo() || !r.Serves(it.JID.Domain()) || bars(s, it.JID) {
			continue
		}
		f.next = it.JID.BareString()
		if t.Spent() {
			return pauseTurn
		}
		if !r.sendGone(t, s, f.next) {
			return pauseClient
		}
	}
	f.next = ""
	r.probeContacts(t, s, ro, 0)
	return pauseNone
}

// sendGone sends a client unavailable presence of a contact that is not available on this
// node. It returns false if the client has to read first.
func (r *Router) sendGone(t *session.Turn, s *session.Session, contact string) bool {
	mu := r.lockPresence(contact)
	defer mu.Unlock()
	if r.HasRecipients(contact, Available) {
		return true
	}
	b := stanza.Head{Kind: stanza.Presence, Type: stanza.Unavailable, From: contact, To: s.BareJID()}.AppendEmpty(t.GetBuf())
	defer t.PutBuf(b)
	if r.mustWait(s, len(b)) {
		return false
	}
	sendHeldFirst(t, s)
	s.SendBytes(t, b)
	return true
}

// untold are accounts that messages were stored for while it was not known whether another
// node has resources of them.
type untold struct {
	mu       sync.Mutex
	accounts map[string]bool
	lost     bool // there were more
}

// maxUntold is the largest number of accounts: some 10 MB.
const maxUntold = 100_000

// add adds an account, which may be borrowed.
func (u *untold) add(account string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.accounts == nil {
		u.accounts = make(map[string]bool)
	}
	if u.lost = u.lost || len(u.accounts) >= maxUntold; !u.lost {
		u.accounts[strings.Clone(account)] = true
	}
}

// take removes all.
func (u *untold) take() (accounts map[string]bool, lost bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	accounts, lost = u.accounts, u.lost
	u.accounts, u.lost = nil, false
	return accounts, lost
}

// tellUntold tells the other nodes of messages that were stored for their clients.
func (r *Router) tellUntold(ctx context.Context) {
	accounts, lost := r.untold.take()
	if lost {
		r.config().Logger.Warn("messages were stored for more accounts than other nodes can be told of; some clients get them at their next login", "limit", maxUntold)
	}
	t := r.sessions.NewTurn()
	defer t.End()
	for account := range accounts {
		if ctx.Err() != nil {
			return
		}
		if owner, err := jid.Parse(account); err == nil {
			r.storedElsewhere(t, owner)
		}
	}
}
