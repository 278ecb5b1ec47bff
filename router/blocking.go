package router

import (
	"slices"

	"roost/jid"
	"roost/parser"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

const nsBlocking = store.BlockedKind

// blocklistRequested is set for a resource that has requested the blocklist: it gets pushes.
var blocklistRequested = session.NewFlag("the blocklist was requested")

// blockingExtension lets users block addresses (XEP-0191). This file handles the requests,
// blocklist.go has the lists, and blockingchange.go changes them. The code that sends stanzas
// checks what a list forbids.
func blockingExtension(r *Router) Extension {
	iq := func(local string, m Methods, h func(*Request)) IQ {
		return IQ{Space: nsBlocking, Local: local, Methods: m, Targets: ToSelf, Blocking: true, Handle: h}
	}
	get := iq("blocklist", Get, r.blocklistGet)
	get.Inline = r.blocklistGetInline
	return Extension{
		Name:    "blocking",
		XEP:     191,
		Version: "1.3",
		Title:   "Blocking Command",
		Domain:  []string{nsBlocking},
		IQ:      []IQ{get, iq("block", Set, r.block), iq("unblock", Set, r.unblock)},
		State:   State{Save: r.saveBlocking, Restore: r.restoreBlocking},
	}
}

// blocklistGet sends the list, and from then on pushes.
func (r *Router) blocklistGet(rq *Request) {
	r.sendOwnRoster(rq, "list", func(ro *Roster, seen uint32) bool { return r.sendBlocklist(rq, ro, seen) })
}

// blocklistGetInline is blocklistGet for a list that is in memory.
func (r *Router) blocklistGetInline(rq *Request) bool {
	seen := r.changesOf(rq.Account().String()).Load()
	ro, ok := r.cachedOwn(rq.Session)
	return ok && r.sendBlocklist(rq, ro, seen)
}

// sendBlocklist sends the list of a roster, unless it may have changed since it was read:
// later changes are pushed.
func (r *Router) sendBlocklist(rq *Request, ro *Roster, seen uint32) bool {
	owner := rq.Account().String()
	mu := r.lockPresence(owner)
	defer mu.Unlock()
	if r.changesOf(owner).Load() != seen {
		return false
	}
	blocklistRequested.Set(rq.Session)
	rq.Result(func(b []byte) []byte { return appendAddresses(b, "blocklist", ro.blocked.addresses()) })
	return true
}

// appendAddresses appends an element with an item for each address.
func appendAddresses(b []byte, name string, addresses []string) []byte {
	b = append(b, '<')
	b = append(b, name...)
	b = append(b, " xmlns='"+nsBlocking+"'"...)
	if len(addresses) == 0 {
		return append(b, "/>"...)
	}
	b = append(b, '>')
	for _, address := range addresses {
		b = append(b, "<item jid='"...)
		b = parser.AppendEscaped(b, address)
		b = append(b, "'/>"...)
	}
	b = append(b, "</"...)
	b = append(b, name...)
	return append(b, '>')
}

// parseAddresses reads the addresses of the items of a request, each once. check returns an
// error for one that is not accepted.
func (r *Router) parseAddresses(payload parser.Element, check func(jid.JID) *stanza.ErrorReply) (all []string, e *stanza.ErrorReply) {
	limit := r.config().MaxBlocked
	for el := payload.First(); el.OK(); el = el.Next() {
		if !el.Is(nsBlocking, "item") {
			continue
		}
		address := el.Attr("jid")
		if address == nil {
			return nil, stanza.BadRequest
		}
		j, err := jid.Parse(string(address))
		switch {
		case err != nil:
			return nil, stanza.JIDMalformed
		case len(all) == 2*limit: // more than can be blocked or unblocked
			return nil, errBlocklistFull
		}
		if e := check(j); e != nil {
			return nil, e
		}
		all = append(all, j.String())
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// block blocks addresses. "If the <block/> element does not contain at least one <item/>
// child element, the server MUST return a <bad-request/> error"
// (https://xmpp.org/extensions/xep-0191.html#block).
func (r *Router) block(rq *Request) {
	addresses, e := r.parseAddresses(rq.Payload(), checkLength)
	if e == nil && len(addresses) == 0 {
		e = stanza.BadRequest
	}
	if e == nil {
		r.changeBlocklist(rq, &blockChange{add: addresses})
		return
	}
	rq.Error(e)
}

// unblock unblocks addresses, or all if the element is empty.
func (r *Router) unblock(rq *Request) {
	addresses, e := r.parseAddresses(rq.Payload(), func(jid.JID) *stanza.ErrorReply { return nil })
	if e == nil && len(addresses) == 0 && rq.Payload().First().OK() {
		e = stanza.BadRequest // what it has is no item, and must not unblock everyone
	}
	if e != nil {
		rq.Error(e)
		return
	}
	r.changeBlocklist(rq, &blockChange{remove: addresses, removeAll: len(addresses) == 0})
}

// pushBlocked sends a change of the list to all of the account's resources that have
// requested it: "The server MUST also send an IQ-set to all of the user's resources that
// have requested the blocklist, containing the blocked item(s)"
// (https://xmpp.org/extensions/xep-0191.html#block).
func (r *Router) pushBlocked(t *session.Turn, owner string, c *blockChange) {
	if len(c.changed) == 0 {
		return
	}
	for s := range r.Recipients(owner, wantsBlocklist) {
		pushBlockedTo(t, s, c)
	}
}

// wantsBlocklist is true for a connected resource that has requested the blocklist.
func wantsBlocklist(s *session.Session) bool { return blocklistRequested.Has(s) && s.Bound() }

// pushBlockedTo is pushBlocked for one resource.
func pushBlockedTo(t *session.Turn, s *session.Session, c *blockChange) {
	name, addresses := "block", c.changed
	switch {
	case c.removeAll:
		name, addresses = "unblock", nil // "containing notification of global unblocking"
	case c.add == nil:
		name = "unblock"
	}
	b := appendPushStart(t.GetBuf(), s.FullJID())
	b = appendAddresses(b, name, addresses)
	b = append(b, "</iq>"...)
	s.SendBytes(t, b)
	t.PutBuf(b)
}
