package router

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"sync/atomic"

	"roost/jid"
	"roost/parser"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

const nsRoster = "jabber:iq:roster"

// Limits of one roster item, in bytes. RFC 6121 section 2.3.3
// (https://www.rfc-editor.org/rfc/rfc6121#section-2.3.3) requires an error if an item
// exceeds the server's limits.
const (
	maxName   = 1023
	maxGroup  = 1023
	maxGroups = 100
	maxItem   = 8 << 10 // name and groups together
)

// interested is set for a resource that has requested the roster.
var interested = session.NewFlag("the roster was requested")

// rosterExtension adds the stream features of RFC 6121 and the handler of rosters.
func rosterExtension(r *Router) Extension {
	return Extension{
		Name:   "roster",
		Title:  "Roster management (RFC 6121)",
		Domain: []string{nsRoster},
		State:  FlagState(interested),
		Features: []session.Feature{
			{XML: "<ver xmlns='urn:xmpp:features:rosterver'/>"},
			{XML: "<sub xmlns='urn:xmpp:features:pre-approval'/>"},
		},
		Available: func(t *session.Turn, s *session.Session, a Availability) session.Work {
			switch {
			case !a.Initial || len(a.Roster.Requests) == 0 || sendRequestsLater(s):
				return session.Done
			case !t.MayBlock():
				return session.Read
			}
			r.sendRequests(t, s, nil)
			return session.Done
		},
		IQ: []IQ{
			{Space: nsRoster, Local: "query", Methods: Get, Targets: ToSelf, Blocking: true, Handle: r.rosterGet, Inline: r.rosterGetInline},
			{Space: nsRoster, Local: "query", Methods: Set, Targets: ToSelf, Blocking: true, Handle: r.rosterSet},
			{Space: nsRoster, Local: "query", Methods: Get | Set, Targets: ToAccount, Handle: func(rq *Request) {
				// RFC 6121 section 2.3.3
				// (https://www.rfc-editor.org/rfc/rfc6121#section-2.3.3): "if the sender of
				// the roster set is not authorized to update the roster", <forbidden/>.
				rq.Error(stanza.Forbidden)
			}},
		},
	}
}

// rosterGetTries is how often a roster is read for a client that requests it while it
// changes.
const rosterGetTries = 100

// rosterGet sends the roster, or what has changed in it (RFC 6121 sections 2.1.4 and 2.6),
// and makes the resource interested.
func (r *Router) rosterGet(rq *Request) {
	owner := rq.Account()
	r.sendOwnRoster(rq, "roster", func(ro *Roster, seen uint32) bool {
		b, ends := r.appendRosterOrChanges(rq, owner, ro)
		return r.sendCurrent(rq, b, ends, seen)
	})
}

// sendOwnRoster reads the roster of the sender's account and calls send, until that returns
// true: the roster has not changed since the change counter was seen. what is the name of
// what is sent, for the error.
func (r *Router) sendOwnRoster(rq *Request, what string, send func(ro *Roster, seen uint32) bool) {
	owner := rq.Account().String()
	for range rosterGetTries {
		seen := r.changesOf(owner).Load()
		ro, err := r.ownRoster(rq.Session)
		if err != nil {
			rq.Error(err)
			return
		}
		if send(ro, seen) {
			return
		}
	}
	rq.Error(stanza.ResourceConstraint.WithText("The " + what + " is changing too fast. Try again later."))
}

// sendCurrent sends what was read of a roster and makes the resource interested, unless the
// roster has changed since it was read: later changes are pushed. ends has the end of each
// stanza in b; nil means that b is one stanza.
func (r *Router) sendCurrent(rq *Request, b []byte, ends []int, seen uint32) bool {
	owner := rq.Account().String()
	mu := r.lockPresence(owner)
	defer mu.Unlock()
	if r.changesOf(owner).Load() != seen {
		rq.Turn.PutBuf(b)
		return false
	}
	interested.Set(rq.Session)
	if len(ends) > 1 {
		rq.sendBatch(b, ends)
	} else {
		rq.send(b)
	}
	return true
}

// rosterGetInline is rosterGet for requests that do not need the store: for a complete or
// unchanged roster in memory.
func (r *Router) rosterGetInline(rq *Request) bool {
	owner := rq.Account().String()
	seen := r.changesOf(owner).Load()
	ro, ok := r.cachedOwn(rq.Session)
	ver := rq.Payload().Attr("ver")
	switch {
	case !ok:
		return false
	case len(ver) == 0:
		return r.sendCurrent(rq, appendRoster(rq, ro), nil, seen)
	case string(ver) == strconv.FormatInt(ro.Version, 10):
		return r.sendCurrent(rq, rq.appendEmpty(), nil, seen)
	}
	return false
}

// appendRoster appends the whole roster. RFC 6121 section 2.6.3
// (https://www.rfc-editor.org/rfc/rfc6121#section-2.6.3): "Even if the client has not
// included the 'ver' attribute in its roster gets or sets, the server SHOULD include the
// 'ver' attribute on all roster pushes and results".
func appendRoster(rq *Request, ro *Roster) []byte {
	b := stanza.AppendResultStart(rq.Turn.GetBuf(), rq.Stanza, address(rq.From))
	b = append(b, "<query xmlns='"+nsRoster+"'"...)
	b = appendVer(b, ro.Version)
	b = append(b, '>')
	for i := range ro.Items {
		b = appendItem(b, &ro.Items[i], false)
	}
	return append(b, "</query></iq>"...)
}

func appendVer(b []byte, version int64) []byte {
	b = append(b, " ver='"...)
	b = strconv.AppendInt(b, version, 10)
	return append(b, '\'')
}

// fewChanges is the size, in bytes, up to which changes are sent to a client with an older
// version, even if the whole roster is smaller.
const fewChanges = 4 << 10

// pushMarkup is an upper limit of the size of a roster push without its item and addressee.
const pushMarkup = 160

// appendRosterOrChanges appends, for a client that has an older version, an empty result
// and then the changes as pushes, if those are known and smaller than the whole roster; RFC
// 6121 section 2.6.3 (https://www.rfc-editor.org/rfc/rfc6121#section-2.6.3) leaves the
// choice to the server. Otherwise it appends the roster. ends has the end of each stanza;
// nil means that there is one.
func (r *Router) appendRosterOrChanges(rq *Request, owner jid.JID, ro *Roster) (b []byte, ends []int) {
	ver := rq.Payload().Attr("ver")
	since, err := strconv.ParseInt(string(ver), 10, 64)
	if err != nil || since < 0 {
		return appendRoster(rq, ro), nil
	}
	if since == ro.Version {
		return rq.appendEmpty(), nil
	}
	to := rq.Session.FullJID()
	push := pushMarkup + escapedLen(to)
	size, limit := 0, max(fewChanges, ro.sentBytes())
	for i := range ro.Items {
		if ro.Items[i].Version > since {
			size += push + sentBytes(&ro.Items[i])
		}
	}
	if size > limit {
		return appendRoster(rq, ro), nil // before reading from the store
	}
	changes, current, ok, err := r.config().Store.RosterChanges(r.ctx, owner, since)
	if err != nil || !ok || current != ro.Version || size+push*removed(changes) > limit {
		return appendRoster(rq, ro), nil
	}
	// Sent as one write, like the whole roster, and no larger.
	b = rq.appendEmpty()
	ends = append(make([]int, 0, 1+len(changes)), len(b))
	for i := range changes {
		c := &changes[i]
		b = appendPush(b, to, &c.Item, c.Removed, c.Version)
		ends = append(ends, len(b))
	}
	return b, ends
}

// removed returns the number of changes that removed an item.
func removed(changes []store.RosterChange) (n int) {
	for i := range changes {
		if changes[i].Removed {
			n++
		}
	}
	return n
}

// appendItem appends one item as it is sent to clients.
func appendItem(b []byte, it *store.RosterItem, removed bool) []byte {
	b = append(b, "<item jid='"...)
	b = parser.AppendEscaped(b, it.JID.String())
	if removed {
		return append(b, "' subscription='remove'/>"...)
	}
	if it.Name != "" {
		b = append(b, "' name='"...)
		b = parser.AppendEscaped(b, it.Name)
	}
	b = append(b, "' subscription='"...)
	b = append(b, it.Subscription.String()...)
	if it.Ask {
		b = append(b, "' ask='subscribe"...)
	}
	if it.Approved {
		b = append(b, "' approved='true"...)
	}
	if len(it.Groups) == 0 {
		return append(b, "'/>"...)
	}
	b = append(b, "'>"...)
	for _, g := range it.Groups {
		b = append(b, "<group>"...)
		b = parser.AppendEscaped(b, g)
		b = append(b, "</group>"...)
	}
	return append(b, "</item>"...)
}

// pushID makes the ids of pushes unique: a random part for this process and a
// number.
var pushID struct {
	prefix string
	n      atomic.Uint64
}

func init() {
	var b [4]byte
	rand.Read(b[:])
	pushID.prefix = "push-" + hex.EncodeToString(b[:]) + "-"
}

// appendPushStart appends the start tag of a push, of any kind.
func appendPushStart(b []byte, to string) []byte {
	b = append(b, "<iq type='set' id='"...)
	b = append(b, pushID.prefix...)
	b = strconv.AppendUint(b, pushID.n.Add(1), 36)
	b = append(b, "' to='"...)
	b = parser.AppendEscaped(b, to)
	return append(b, "'>"...)
}

func appendPush(b []byte, to string, it *store.RosterItem, removed bool, version int64) []byte {
	b = appendPushStart(b, to)
	b = append(b, "<query xmlns='"+nsRoster+"'"...)
	b = appendVer(b, version)
	b = append(b, '>')
	b = appendItem(b, it, removed)
	return append(b, "</query></iq>"...)
}

// push sends a changed item to an account's interested resources (RFC 6121 section 2.1.6,
// https://www.rfc-editor.org/rfc/rfc6121#section-2.1.6). The caller holds the roster lock,
// which keeps pushes in the order of versions, and has located the account before that.
func (r *Router) push(t *session.Turn, key, owner string, c *change) {
	r.pushElsewhere(key, owner, c)
	if r.nodes == nil || r.pushed.isLatest(owner, c.item.JID.String(), c.after.Version) {
		r.pushHere(t, owner, &c.item, c.removed, c.after.Version)
	}
}

// pushHere is push for the resources of this node.
func (r *Router) pushHere(t *session.Turn, owner string, it *store.RosterItem, removed bool, version int64) {
	for s := range r.Recipients(owner, Interested) {
		b := appendPush(t.GetBuf(), s.FullJID(), it, removed, version)
		s.SendBytes(t, b)
		t.PutBuf(b)
	}
}

// rosterSet adds, changes or removes one item (RFC 6121 sections 2.3 to 2.5).
func (r *Router) rosterSet(rq *Request) {
	item, remove, e := parseItem(rq.Payload())
	if e != nil {
		rq.Error(e)
		return
	}
	if item.JID.BareString() == rq.Session.BareJID() {
		rq.Error(stanza.NotAllowed.WithText("An account cannot be its own contact."))
		return
	}
	if remove {
		r.rosterRemove(rq, item.JID)
		return
	}
	owner := rq.Account()
	r.locate(rq.Turn, owner.String()) // for push
	unlock := r.lockRosters(owner)
	defer unlock()
	var c *change
	err := retry(func() (err error) {
		c, err = r.putItem(rq.Session, item)
		return err
	})
	if err != nil {
		rq.Error(err)
		return
	}
	rq.Empty()
	r.push(rq.Turn, owner.String(), owner.String(), c)
}

// putItem adds or replaces an item. The caller holds the roster lock.
func (r *Router) putItem(s *session.Session, item store.RosterItem) (*change, error) {
	ro, err := r.rosterToChange(s)
	if err != nil {
		return nil, err
	}
	if err := r.checkRosterLimits(ro, &item); err != nil {
		return nil, err
	}
	old, _ := ro.Item(item.JID.String())
	// RFC 6121 section 2.1.2 (https://www.rfc-editor.org/rfc/rfc6121#section-2.1.2): only
	// the server sets subscription, ask and approved.
	item.Subscription, item.Ask, item.Approved = old.Subscription, old.Ask, old.Approved
	c := &change{before: ro, item: item, update: store.RosterUpdate{Owner: s.JID().Bare(), Put: &item}}
	return c, r.apply(c)
}

// checkLength returns an error for an address that is too long for a roster or a blocklist.
func checkLength(j jid.JID) *stanza.ErrorReply {
	if store.CheckKey(j.String()) != nil {
		return stanza.NotAcceptable.WithText("The address is longer than " + strconv.Itoa(store.MaxKey) + " bytes.")
	}
	return nil
}

// parseItem reads the only item of a roster set.
func parseItem(query parser.Element) (item store.RosterItem, remove bool, e *stanza.ErrorReply) {
	el := query.First()
	// RFC 6121 section 2.3.3 (https://www.rfc-editor.org/rfc/rfc6121#section-2.3.3): "The
	// <query/> element contains more than one <item/> child element": <bad-request/>.
	if !el.Is(nsRoster, "item") || el.Next().OK() {
		return item, false, stanza.BadRequest
	}
	address := el.Attr("jid")
	if address == nil {
		return item, false, stanza.BadRequest
	}
	contact, err := jid.Parse(string(address))
	if err != nil {
		return item, false, stanza.JIDMalformed
	}
	item.JID = contact
	if string(el.Attr("subscription")) == "remove" {
		return item, true, nil
	}
	if e := checkLength(contact); e != nil {
		return item, false, e
	}
	item.Name = string(el.Attr("name"))
	if len(item.Name) > maxName {
		return item, false, stanza.NotAcceptable
	}
	for g := el.First(); g.OK(); g = g.Next() {
		if !g.Is(nsRoster, "group") {
			continue
		}
		name := string(g.AppendText(nil))
		switch {
		case name == "" || len(name) > maxGroup || len(item.Groups) >= maxGroups:
			return item, false, stanza.NotAcceptable
		case slices.Contains(item.Groups, name):
			return item, false, stanza.BadRequest
		}
		item.Groups = append(item.Groups, name)
	}
	if itemBytes(&item)-len(item.JID.String()) > maxItem {
		return item, false, stanza.NotAcceptable
	}
	return item, false, nil
}
