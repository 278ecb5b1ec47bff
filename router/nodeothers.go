package router

import (
	"iter"
	"slices"

	"roost/session"
)

// What a client has sent, and an error reply to it, is of interest to the other resources of its
// account, on whatever nodes they are. Sessions move while items are on their way. So an item names the
// resources that are reached in another way, as for messages (nodecopies.go), and follows those that
// have left, each by itself: a resource gets a copy once.

// OthersOf returns the connected resources of a sender's account besides the sender, on this node: those
// that the functions Sent and Refused of an extension may send a copy. A resource that gets its copy
// by way of another node is not among them.
func (r *Router) OthersOf(from Sender) iter.Seq[*session.Session] {
	return func(yield func(*session.Session) bool) { r.eachOther(from, yield) }
}

// eachOther is OthersOf as a call, so that a loop over that allocates nothing.
func (r *Router) eachOther(from Sender, yield func(*session.Session) bool) {
	if n, ok := from.(*nodeSender); ok && n.hasOthers {
		for _, s := range n.others {
			if s.JID() != n.jid && !yield(s) {
				return
			}
		}
		return
	}
	for s := range r.Recipients(bareOf(from), Connected) {
		if s.JID() != from.JID() && !yield(s) {
			return
		}
	}
}

// tellOthers sends an item to the nodes that have other resources of a sender's account. If it is not
// known which do, each node gets it for those that it has by then, and does not pass it on.
func (r *Router) tellOthers(t *session.Turn, from Sender, makeItem func() []byte) {
	var few [10]*session.Session // enough to allocate nothing
	here := few[:0]
	for s := range r.OthersOf(from) {
		here = append(here, s)
	}
	account, self := bareOf(from), from.JID().Resource()
	places, known := r.placesBesides(account, here)
	if !known {
		item := makeItem()
		for _, n := range r.nodes.Others() {
			r.pass(n, r.nodes.Self(), account, item)
		}
		t.PutBuf(item)
		return
	}
	var fewNodes [4]NodeID
	nodes := nodesOf(fewNodes[:0], places, func(p *Place) bool { return p.Resource != self })
	if len(nodes) == 0 {
		return
	}
	item := makeItem()
	for _, n := range nodes {
		elsewhere := resourcesBesides(n, here, places, self)
		if len(elsewhere) == 0 {
			r.nodes.Send(n, account, item)
			continue
		}
		b := appendReached(t.GetBuf(), "", elsewhere, item)
		r.nodes.Send(n, account, b)
		t.PutBuf(b)
	}
	t.PutBuf(item)
}

// resourcesBesides returns those of the resources here, and of those at places, that are not on a node,
// except one. A resource that is both here and on another node has just been replaced there.
func resourcesBesides(node NodeID, here []*session.Session, places []Place, except string) (all []string) {
	for _, s := range here {
		if _, ok := findPlace(places, s.Resource()); !ok {
			all = append(all, s.Resource())
		}
	}
	for i := range places {
		if p := &places[i]; p.Node != node && p.Resource != except {
			all = append(all, p.Resource)
		}
	}
	return all
}

// appendReached appends an itemReached.
func appendReached(b []byte, only string, elsewhere []string, item []byte) []byte {
	b = appendField(appendKind(b, itemReached), only)
	return append(appendTexts(b, elsewhere), item...)
}

// reachedOtherwise handles itemReached.
func (l *nodeLane) reachedOtherwise(node NodeID, account string, f *fields) {
	l.only = string(f.text())
	for _, resource := range f.texts() {
		l.reached = append(l.reached, reached{resource: resource})
	}
	if len(f.b) == 0 {
		f.fail()
		return
	}
	l.item = f.b
	inner := &fields{b: f.b[1:]}
	switch kind := itemKind(f.b[0]); kind {
	case itemSent, itemRefused:
		l.handle(node, account, kind, inner)
	default:
		inner.fail()
	}
	f.bad = inner.bad
}

// toOthers calls f, which handles what a client of another node has sent, and then passes the item on for
// each of the account's resources that had left.
func (l *nodeLane) toOthers(node NodeID, key string, from *nodeSender, f func()) {
	from.only, from.reached, from.hasOthers = l.only, l.reached, true
	from.others = l.r.messageRecipients(nil, from, from.jid.BareString())
	f()
	if l.passed {
		return
	}
	left := slices.DeleteFunc(from.left, func(x moved) bool { return x.resource == from.jid.Resource() })
	for _, x := range left {
		l.r.pass(x.to, node, key, appendReached(nil, x.resource, nil, l.item))
	}
}
