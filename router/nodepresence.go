package router

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// Presence between nodes. A client's presence goes to each node once, with the list of the
// contacts that have resources there; the contacts' presence is requested in the same way.

// unavailableXML is unavailable presence without content, in the form of Presence.
const unavailableXML = "<presence type='unavailable'/>"

// addressees collects accounts by the nodes that have resources of them.
type addressees map[NodeID][]string

// add adds an account: to the nodes that have resources of it, or to all nodes if that is not
// known. A resource that is not available may have become so since the directory was read: its
// node knows.
func (a addressees) add(r *Router, account string) {
	var few [4]NodeID
	for _, n := range r.nodesWith(few[:0], account, anyPlace) {
		a[n] = append(a[n], account)
	}
}

// each calls f for each node, in a fixed order.
func (a addressees) each(f func(n NodeID, accounts []string)) {
	for _, n := range slices.Sorted(maps.Keys(a)) {
		f(n, a[n])
	}
}

// broadcastElsewhere sends presence to the nodes of the subscribed contacts and of the
// account's other resources. now is the current roster, list is the sender's.
func (r *Router) broadcastElsewhere(t *session.Turn, bc *broadcast, now *Roster, list *Blocklist) {
	if r.nodes == nil || bc.told {
		return
	}
	bc.told = true
	to := make(addressees)
	to.add(r, bc.s.BareJID())
	for i := range bc.ro.Items {
		it := &bc.ro.Items[i]
		contact := it.JID.BareString()
		if it.Subscription.HasFrom() && (now == bc.ro || now.Subscribed(contact)) && r.Serves(it.JID.Domain()) && !list.Blocks(it.JID.Bare()) {
			to.add(r, contact)
		}
	}
	xml := unavailableXML
	if bc.p != nil {
		xml = bc.p.XML()
	}
	r.sendBroadcast(t, bc.s.JID(), bc.id, xml, bc.last, list, to, false)
}

// sendBroadcast sends the presence of a resource to the nodes of some accounts. list is the
// resource's blocklist, in which only full JIDs matter here. last is not zero if the resource
// was available and is not any more, died says that its node has died.
func (r *Router) sendBroadcast(t *session.Turn, from jid.JID, id []byte, xml string, last store.LastActivity, list *Blocklist, to addressees, died bool) {
	b := appendField(appendKind(t.GetBuf(), itemBroadcast), from.String())
	b = appendField(b, id)
	b = appendField(b, xml)
	gone := !last.At.IsZero()
	b = appendFlag(b, gone)
	if gone {
		b = appendField(b, last.Status)
	}
	b = appendTexts(b, fullAddresses(list))
	to.each(func(n NodeID, accounts []string) {
		item := appendTexts(b, accounts)
		if died {
			item = appendFlag(item, true)
		}
		t.CountDelivery(len(item))
		r.nodes.Send(n, from.BareString(), item)
	})
	t.PutBuf(b)
}

// fullAddresses returns the full JIDs on a list.
func fullAddresses(list *Blocklist) (full []string) {
	for _, address := range list.addresses() {
		if j, err := jid.Parse(address); err == nil && j.IsFull() {
			full = append(full, address)
		}
	}
	return full
}

// broadcast handles itemBroadcast.
func (l *nodeLane) broadcast(node NodeID, key string, f *fields) {
	from, id, xml, gone := f.address(), f.text(), f.text(), f.flag()
	if gone {
		l.r.lastActivity.hear(store.LastActivity{Owner: from.Bare(), At: time.Now().UTC(), Status: bytes.Clone(f.text())})
	}
	except := newBlocklist(f.texts())
	bc := broadcast{from: from, leaving: gone}
	head := l.item[:len(l.item)-len(f.b)]
	accounts := f.texts()
	died := len(f.b) > 0 && f.flag()
	for _, account := range accounts {
		item := appendTexts(slices.Clip(head), []string{account})
		if died {
			item = appendFlag(item, true)
		}
		to, err := jid.Parse(account)
		if err != nil {
			continue
		}
		mu := l.r.lockPresence(from.BareString()) // see holdPresence
		if !gone || !l.r.isBack(from) {
			l.r.toAvailableHere(l.turn, from, to, except, &bc, func(b []byte, to string) []byte {
				return session.AppendPresence(b, xml, from.String(), to, id)
			})
		}
		mu.Unlock()
		l.passOn(node, account, key, item)
		if l.turn.Spent() {
			l.turn.Flush()
		}
	}
	if died {
		l.r.askBackSoon(from)
	}
}

// availableElsewhere is toAvailable for the resources of other nodes.
func (r *Router) availableElsewhere(t *session.Turn, from, to jid.JID, list *Blocklist, appendTo func([]byte, string) []byte) {
	if r.nodes == nil || list.Blocks(to) {
		return
	}
	item := appendField(appendKind(t.GetBuf(), itemAvailable), from.String())
	item = appendField(item, to.String())
	r.tell(to.String(), from.BareString(), appendTo(item, to.String()))
	t.PutBuf(item)
}

// available handles itemAvailable.
func (l *nodeLane) available(node NodeID, key string, f *fields) {
	from, to := f.address(), f.address()
	l.r.toAvailableHere(l.turn, from, to, nil, nil, func(b []byte, _ string) []byte { return append(b, f.b...) })
	l.passOn(node, to.BareString(), key, l.item)
}

// forwardElsewhere sends a stanza for a full JID to the node that has the resource, and
// reports whether there is one.
func (r *Router) forwardElsewhere(t *session.Turn, from Sender, st *stanza.Stanza) bool {
	p, ok := findPlace(r.placesFor(from, st.To.BareString()), st.To.Resource())
	if !ok {
		return false
	}
	item := appendSender(appendKind(t.GetBuf(), itemForward), from)
	item = stanza.AppendForward(item, st, stanza.Edit{From: address(from)})
	t.CountDelivery(len(item))
	ok = r.nodes.Send(p.Node, bareOf(from), item)
	t.PutBuf(item)
	return ok
}

// directedElsewhere sends presence to a resource of another node.
func (r *Router) directedElsewhere(t *session.Turn, from, to jid.JID, appendTo func([]byte, string) []byte) {
	nodes := r.nodesWith(nil, to.BareString(), func(p *Place) bool { return p.Resource == to.Resource() })
	if len(nodes) == 0 {
		return
	}
	item := appendField(appendKind(t.GetBuf(), itemShow), to.String())
	item = appendField(item, from.String())
	item = appendTo(item, to.String())
	for _, n := range nodes {
		r.nodes.Send(n, from.BareString(), item)
	}
	t.PutBuf(item)
}

func (r *Router) sendProbes(t *session.Turn, from Sender, to addressees) {
	b := appendSender(appendKind(t.GetBuf(), itemProbe), from)
	to.each(func(n NodeID, accounts []string) {
		r.nodes.Send(n, bareOf(from), appendTexts(b, accounts))
	})
	t.PutBuf(b)
}

// askForAccount requests the presence of one account for a client, when the client is ready
// for it.
func (r *Router) askForAccount(t *session.Turn, s *session.Session, account string) pause {
	if r.nodes == nil {
		return pauseNone
	}
	to := make(addressees)
	to.add(r, account)
	switch {
	case len(to) == 0:
	case r.mustWait(s, 1):
		return pauseClient
	default:
		r.sendProbes(t, s, to)
	}
	return pauseNone
}

// probeElsewhere forwards the probe of a sender of another domain to the nodes that have
// available resources of a contact.
func (r *Router) probeElsewhere(t *session.Turn, from Sender, contact string) {
	if r.nodes == nil || fromNode(from) {
		return
	}
	to := make(addressees)
	to.add(r, contact)
	r.sendProbes(t, from, to)
}

// probe handles itemProbe. The client's node has checked that it may see the presence.
func (l *nodeLane) probe(node NodeID, key string, f *fields) {
	from := l.sender(node, f)
	head := l.item[:len(l.item)-len(f.b)]
	for _, account := range f.texts() {
		of, err := jid.Parse(account)
		if err != nil {
			continue
		}
		l.showPresence(from, of)
		l.passOn(node, account, key, appendTexts(slices.Clip(head), []string{account}))
		if slices.Contains(l.r.moves.movedTo(account), node) { // with the request on the way
			item := appendField(appendKind(nil, itemPresences), account)
			l.r.nodes.Send(node, account, appendField(item, from.jid.String()))
		}
		if l.turn.Spent() {
			l.turn.Flush()
		}
	}
}

// show handles itemShow. If the client has to read first, the presence is requested again
// when it has.
func (l *nodeLane) show(node NodeID, key string, f *fields) {
	to, from := f.address(), f.address()
	s := l.r.resource(to)
	switch {
	case s == nil && l.passOnTo(to, node, key, l.item):
	case s == nil || bars(s, from):
	case l.r.mustWait(s, len(f.b)) && Available(s):
		l.r.sessions.RunOnLoop(s, func(t *session.Turn) { l.r.sendPresenceOf(t, s, from.BareString()) })
	default:
		sendHeldFirst(l.turn, s)
		s.SendBytes(l.turn, f.b)
	}
}

// subscriptionElsewhere is sendSubscription for the resources of other nodes.
func (r *Router) subscriptionElsewhere(key string, from, to jid.JID, request bool, b []byte) {
	if r.nodes == nil || !r.Serves(to.Domain()) {
		return
	}
	item := appendField(appendKind(nil, itemSubscription), from.String())
	item = appendField(item, to.String())
	item = appendFlag(item, request)
	r.tell(to.BareString(), key, append(item, b...))
}

// subscription handles itemSubscription.
func (l *nodeLane) subscription(node NodeID, key string, f *fields) {
	from, to, request := f.address(), f.address(), f.flag()
	// The client may reply before itemRoster arrives, which is in order with other items of the
	// recipient only: "subscribed" to a request that is not in the roster would be an approval
	// in advance.
	l.r.evict(to.BareString())
	l.r.sendSubscription(l.turn, from, to, request, f.b)
	l.passOn(node, to.BareString(), key, l.item)
}

// pushElsewhere is push for the resources of other nodes.
func (r *Router) pushElsewhere(key, owner string, c *change) {
	if r.nodes == nil {
		return
	}
	item := appendField(appendKind(nil, itemPush), owner)
	item = appendNumber(item, uint64(c.after.Version))
	item = appendFlag(item, c.removed)
	r.tell(owner, key, appendRosterItem(item, &c.item))
}

// push handles itemPush.
func (l *nodeLane) push(node NodeID, key string, f *fields) {
	owner, version, removed := string(f.text()), int64(f.number()), f.flag()
	item := f.rosterItem()
	if f.bad {
		return
	}
	l.r.evict(owner)
	if l.r.pushed.isLatest(owner, item.JID.String(), version) {
		l.r.pushHere(l.turn, owner, &item, removed, version)
	}
	l.passOn(node, owner, key, l.item)
	if l.r.saving.Load() != nil {
		l.r.pushMissed(rosterChange{account: owner, contact: item.JID.String(), version: version})
	}
}

// undeliveredPush handles a push that did not reach its node: it has stopped, and may have saved
// sessions.
func (l *nodeLane) undeliveredPush(f *fields) {
	x := rosterChange{account: string(f.text()), version: int64(f.number())}
	f.flag()
	if x.contact = f.rosterItem().JID.String(); !f.bad {
		l.r.pushMissed(x)
	}
}

// tellPair sends an item with two addresses to the nodes that have resources of an account.
func (r *Router) tellPair(kind itemKind, account, key string, of, to jid.JID) {
	if r.nodes == nil {
		return
	}
	item := appendField(appendKind(nil, kind), of.String())
	r.tell(account, key, appendField(item, to.String()))
}

// storedElsewhere tells the nodes that have resources of an account that messages were
// stored for it: also those that are not available, which have to read the store when they
// are. A resource that is not in the directory yet has not read the store either.
func (r *Router) storedElsewhere(t *session.Turn, owner jid.JID) {
	if r.nodes == nil {
		return
	}
	places, err := r.nodes.Current(r.ctx, owner.String())
	if err != nil {
		r.untold.add(owner.String())
		// If the directory is back since, Rejoined may have been called before that.
		if places, err = r.nodes.Current(r.ctx, owner.String()); err != nil {
			return
		}
	}
	for _, n := range nodesOf(nil, places, anyPlace) {
		if !r.nodes.Send(n, owner.String(), storedItem(owner)) {
			r.untold.add(owner.String())
		}
	}
}

// storedItem is an itemStored.
func storedItem(owner jid.JID) []byte {
	return appendField(appendKind(nil, itemStored), owner.String())
}
