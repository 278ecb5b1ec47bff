package router

import (
	"slices"
	"sync"
	"time"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// A message that resources on several nodes got is handed on only if none of them has
// acknowledged it. A node knows that of its own resources: see session.Copies. When the last of
// these has lost its copy, the node does not hand the message on, but says so to another one
// (messageLost): whoever has a copy there that is not acknowledged sees to the message from then
// on. The same is said of a copy that nobody took. So if a node hears nothing, one of the others
// has acknowledged the message or still has it, and if it finds no copy, one of its own has
// acknowledged it. What was lost on two nodes at once, or may have been, is handed on: a message
// may be delivered twice, but is not lost.

// sendToAccount is sendOrHold for resources of this node, among those in here. Resources on other
// nodes get the message, too, if their priority is at least least.
func (r *Router) sendToAccount(t *session.Turn, to []*session.Session, from Sender, st *stanza.Stanza, b []byte, here []*session.Session, least int) (taken bool) {
	account := to[0].BareJID()
	if r.nodes == nil || !r.reachesOthers(from, account, here, least) {
		return r.sendOrHold(t, to, st, address(from), b, 0)
	}
	taken = r.sendOrHold(t, to, st, address(from), b, session.CopyElsewhere)
	if !r.untaken.isEmpty() && r.untaken.has(lostKey(r.untakenKey(account, from, st))) {
		r.takeOver(account, b) // the other copies are lost already
	}
	return taken
}

// reachesOthers reports whether resources on other nodes get a message, too.
func (r *Router) reachesOthers(from Sender, account string, here []*session.Session, least int) (others bool) {
	if n, ok := from.(*nodeSender); ok {
		self := r.nodes.Self()
		for i := range n.reached {
			if x := &n.reached[i]; x.takes && x.node != self {
				r.peers.add(x.node)
				others = true
			}
		}
		return others
	}
	places, _ := r.placesBesides(account, here)
	for i := range places {
		if p := &places[i]; isNonNegative(p) && int(p.Priority) >= least {
			r.peers.add(p.Node)
			others = true
		}
	}
	return others
}

// lostKey is the key in untakenCopies of a message that another node has lost. The copy for this
// node may arrive later.
func lostKey(untaken uint64) uint64 { return ^untaken }

// forwarded returns a message as all resources of an account get it, on whatever node.
func forwarded(from Sender, st *stanza.Stanza) []byte {
	return stanza.AppendForward(nil, st, stanza.Edit{From: address(from)})
}

// takeOver makes the copies that this node's resources have of a message independent of those on
// other nodes. It reports whether there are any; if ended is true, they may have been handed on
// before.
func (r *Router) takeOver(account string, message []byte) (found, ended bool) {
	for s := range r.Recipients(account, Everyone) {
		f, e := s.TakeOver(message)
		found, ended = found || f, ended || e
	}
	return found, ended
}

// leaveToOthers leaves a message to the nodes of other resources that got it. It returns false if
// there are none, or if it is not certain that they would see to it.
func (m *handing) leaveToOthers(t *session.Turn, st *stanza.Stanza) bool {
	r := m.r
	if r.nodes == nil || !storable(st) {
		return false
	}
	holders := m.findHolders()
	if len(holders) == 0 || !r.peers.trusted(r.nodes.Others(), m.received) {
		return false
	}
	r.untaken.add(r.untakenKey(m.account.String(), m, st)) // before the copy here is dropped: see lostArrived
	return r.sendLost(m, m.account, m.text, m.received, holders)
}

// findHolders returns resources on other nodes, one of each.
func (h *handOn) findHolders() []reached {
	if h.located {
		return h.holders
	}
	h.located = true
	places, err := h.r.nodes.Current(h.r.ctx, h.account.String())
	if err != nil {
		h.r.nodesFailed("resources on other nodes could not be looked up", err)
	}
	h.holders = holdersOn(places)
	return h.holders
}

func holdersOn(places []Place) (all []reached) {
	for i := range places {
		p := &places[i]
		if !slices.ContainsFunc(all, func(x reached) bool { return x.node == p.Node }) {
			all = append(all, reached{resource: p.Resource, node: p.Node})
		}
	}
	return all
}

// sendLost says to the node of the first holder that the copies of a message here are lost. That
// node passes it on to the next one if it has no copy. It returns false if there is no space in the
// queue. message is what forwarded returns.
func (r *Router) sendLost(from Sender, account jid.JID, message []byte, received time.Time, holders []reached) bool {
	m := nodeMessage{reached: holders[1:]}
	item := m.appendTo(appendKind(nil, itemMessage), messagePrimary|messageLost)
	item = appendSender(item, from)
	item = stanza.AppendInside(item, message, stanza.AppendDelay(nil, account.Domain(), received))
	return r.nodes.Send(holders[0].node, account.String(), item)
}

// lostArrived handles a message of which another node has lost its copies. item is the stanza with
// the delay stamp. A resource here that ends at the same moment notes that before it drops its
// copy, and before the other node is told of it. So each of the two finds that the other one has
// lost the message, or its copy.
func (r *Router) lostArrived(t *session.Turn, from *nodeSender, st *stanza.Stanza, account jid.JID, item []byte) {
	message, received := stanza.CutDelay(slices.Clone(item))
	key := r.untakenKey(account.String(), from, st)
	r.untaken.add(lostKey(key)) // before the copies here are looked for: see sendToAccount
	found, ended := r.takeOver(account.String(), message)
	switch {
	case found && !ended:
	case ended, r.untaken.has(key):
		r.storeLost(t, from, st, account, message, received)
	default:
		if rest := from.reached; len(rest) > 0 && !r.sendLost(from, account, message, received, rest) {
			r.storeLost(t, from, st, account, message, received)
		}
	}
}

// storeLost stores a message that nobody may have.
func (r *Router) storeLost(t *session.Turn, from *nodeSender, st *stanza.Stanza, account jid.JID, message []byte, received time.Time) {
	if !r.isRemote(from.jid) {
		from.node = 0 // the sender is not on the node that had the copy
	}
	r.storeReceived(t, from, st, account, message, received)
}

// tellUntaken says to the nodes of the other resources that nobody here took a copy.
func (r *Router) tellUntaken(t *session.Turn, from *nodeSender, st *stanza.Stanza, account jid.JID) {
	if !storable(st) {
		return
	}
	self := r.nodes.Self()
	holders := slices.DeleteFunc(slices.Clone(from.reached), func(x reached) bool { return !x.takes || x.node == self })
	if from.only != "" { // then the item does not say who else gets the message
		places, err := r.nodes.Current(r.ctx, account.String())
		if err != nil {
			r.nodesFailed("resources on other nodes could not be looked up", err)
		}
		holders = holdersOn(places)
	}
	if len(holders) > 0 && !r.sendLost(from, account, forwarded(from, st), t.Now(), holders) {
		r.storeLost(t, from, st, account, forwarded(from, st), t.Now())
	}
}

// peerNodes are the other nodes whose resources got messages that resources of this one got, too.
type peerNodes struct {
	mu    sync.Mutex
	all   []NodeID
	since time.Time // messages that were sent before may have been lost with a node
}

// add adds a node, before the message is sent.
func (p *peerNodes) add(n NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.all, n) {
		p.all = append(p.all, n)
	}
}

// mistrust is called when what other nodes have said may not have arrived.
func (p *peerNodes) mistrust() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Now()
}

// trusted reports whether no node has died, or was stopped, since a message was sent. alive are the
// other nodes.
func (p *peerNodes) trusted(alive []NodeID, sent time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.all)
	p.all = slices.DeleteFunc(p.all, func(x NodeID) bool { return !slices.Contains(alive, x) })
	if len(p.all) < n {
		p.since = time.Now()
	}
	return sent.After(p.since)
}
