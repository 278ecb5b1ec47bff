package router

import (
	"errors"
	"slices"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// maxRequest is the size of the largest subscription request that is stored whole, in
// bytes. Only the addresses of larger ones are stored.
const maxRequest = 4096

// subscription handles a presence stanza that manages a subscription (RFC 6121 section 3,
// https://www.rfc-editor.org/rfc/rfc6121#section-3).
func (r *Router) subscription(t *session.Turn, from Sender, st *stanza.Stanza) session.Work {
	if !st.HasTo || !r.maySubscribe(from, st.To) {
		r.Reply(t, from, st, stanza.NotAllowed)
		return session.Done
	}
	if r.isRemote(from.JID()) && r.isRemote(st.To) {
		r.forwardRemote(t, from, st)
		return session.Done
	}
	if !t.MayWrite() {
		return session.Write
	}
	rel := &subscriptionChange{r: r, session: local(from), user: from.JID().Bare().Clone(), contact: st.To.Bare().Clone(), stanza: st}
	need, err := rel.run(t, st.Type)
	if err != nil {
		var reply *stanza.ErrorReply
		if errors.As(err, &reply) {
			r.Reply(t, from, st, reply)
		} else {
			r.fault(t, from, st, "subscription could not be changed", err)
		}
	}
	return need
}

// maySubscribe reports whether there may be a subscription between a sender and an address.
// The server itself has no subscriptions, and an account's resources see each other's
// presence without one. A sender must be a session of this server or a remote address.
func (r *Router) maySubscribe(from Sender, to jid.JID) bool {
	return (local(from) != nil || r.isRemote(from.JID())) &&
		(to.Local() != "" || r.isRemote(to)) &&
		to.BareString() != bareOf(from)
}

// rosterRemove removes an item and cancels any subscriptions in either direction (RFC 6121
// section 2.5, https://www.rfc-editor.org/rfc/rfc6121#section-2.5).
func (r *Router) rosterRemove(rq *Request, contact jid.JID) {
	events := []stanza.Type{stanza.Unsubscribe, stanza.Unsubscribed}
	if contact.Resource() != "" {
		events = nil // subscriptions belong to the bare JID, which has its own item
	}
	rel := &subscriptionChange{r: r, session: rq.Session, user: rq.Account().Bare().Clone(), contact: contact.Bare().Clone(), request: rq, item: contact}
	var err error
	if rq.need, err = rel.run(rq.Turn, events...); err != nil {
		rq.Error(err)
	}
}

// subscriptionChange is one change of the relation between two accounts, caused by the
// user. It changes both rosters in one transaction, and then notifies everyone concerned.
// If one account is remote, only the other's roster is changed here, and the remote server
// is notified by a route. Nor is the contact's roster read or locked for what is not routed
// to the contact, such as a pre-approval.
type subscriptionChange struct {
	r             *Router
	session       *session.Session // the user's; nil when the user is remote, or was deleted
	user, contact jid.JID
	stanza        *stanza.Stanza // what the user's client sent; nil when an item is removed
	request       *Request       // the roster set that removes an item; otherwise nil
	item          jid.JID        // the item removed
	both          bool           // it concerns the contact's roster, which is locked, too

	mineBefore, mine     subState // the user's side
	theirsBefore, theirs subState // the contact's side
	barred               bool     // the contact has blocked the user: requests are dropped, and everything else happens silently
	toContact            []stanza.Type
	here                 bool    // other nodes do the same for their resources
	answered             bool    // this server replied 'subscribed' for the contact
	asked                *change // if answered: the user's side between the request and the reply
	mineChange           *change
	theirsChange         *change
}

func (l *subscriptionChange) try(t *session.Turn, events []stanza.Type) error {
	mine := &Roster{}
	if !l.r.isRemote(l.user) {
		var err error
		if mine, err = l.r.rosterToChange(l.session); err != nil {
			return err
		}
	}
	exists, theirs, err := l.contactRoster()
	if err != nil {
		return err
	}
	_, found := mine.Item(l.item.String())
	if l.request != nil && !found {
		return stanza.ItemNotFound
	}
	l.barred = theirs.blocked.Blocks(l.user)
	l.mineBefore, l.theirsBefore = stateOf(mine, l.contact.String()), stateOf(theirs, l.user.String())
	l.mine, l.theirs = l.mineBefore, l.theirsBefore
	for _, e := range events {
		if err := l.step(e, exists); err != nil {
			return err
		}
	}
	if err := l.prepare(mine, theirs); err != nil {
		return err
	}
	changes := []*change{l.mineChange, l.theirsChange}
	if l.asked != nil {
		changes = slices.Insert(changes, 0, l.asked)
	}
	if err := l.r.apply(changes...); err != nil {
		return err
	}
	l.notify(t)
	return nil
}

// contactRoster reads the contact's roster if the change concerns it. It returns an empty
// roster if there is no such account, because the user must get the same response in both
// cases.
func (l *subscriptionChange) contactRoster() (exists bool, ro *Roster, err error) {
	if !l.both || !l.r.Serves(l.contact.Domain()) || l.contact.Local() == "" || l.contact.String() == l.user.String() {
		return false, &Roster{}, nil
	}
	ro, err = l.r.Roster(l.contact)
	if err != nil {
		return false, nil, err
	}
	return ro.Version != 0, ro, nil
}

// outbound applies one event to the user's side, and reports whether it is routed to the
// contact.
func (l *subscriptionChange) outbound(e stanza.Type) (route bool) {
	if l.request != nil && !l.concerns(e) {
		return false
	}
	if l.r.isRemote(l.user) {
		return true
	}
	l.mine, route = l.mine.outbound(e)
	return route
}

// step applies one event to both sides.
func (l *subscriptionChange) step(e stanza.Type, exists bool) error {
	switch {
	case !l.outbound(e):
		return nil
	case l.r.isRemote(l.contact):
		l.toContact = append(l.toContact, e)
		return nil
	case !l.both:
		return errRouted
	}
	l.inbound(e, exists)
	return nil
}

// inbound applies one event to the contact's side.
func (l *subscriptionChange) inbound(e stanza.Type, exists bool) {
	if !exists || l.barred && e == stanza.Subscribe {
		return
	}
	var deliver, answer bool
	l.theirs, deliver, answer = l.theirs.inbound(e)
	if deliver {
		l.toContact = append(l.toContact, e)
	}
	switch {
	case answer && l.r.isRemote(l.user):
		l.answered = true
	case answer:
		var changed bool
		l.mine, changed, _ = l.mine.inbound(stanza.Subscribed)
		l.answered = changed
	}
}

// concerns reports whether removing the item has to cancel anything with this event (RFC
// 6121 section 2.5.2, https://www.rfc-editor.org/rfc/rfc6121#section-2.5.2).
func (l *subscriptionChange) concerns(e stanza.Type) bool {
	if e == stanza.Unsubscribe {
		return l.mine.sub.HasTo() || l.mine.ask
	}
	return l.mine.sub.HasFrom() || l.mine.pendingIn
}

// prepare computes the changes of both rosters.
func (l *subscriptionChange) prepare(mine, theirs *Roster) error {
	before := mine
	if l.answered && !l.mineBefore.ask && !l.r.isRemote(l.user) {
		mine = l.ask(mine)
	}
	l.mineChange = l.mineBefore.update(mine, l.user, l.contact, l.mine, nil)
	if l.request != nil {
		l.mineChange.update.Put, l.mineChange.update.Remove = nil, l.item
		l.mineChange.item, l.mineChange.removed = store.RosterItem{JID: l.item}, true
	}
	if put := l.mineChange.update.Put; put != nil {
		if err := l.r.checkRosterLimits(before, put); err != nil {
			return err
		}
	}
	if l.theirs.pendingIn && !l.theirsBefore.pendingIn && len(theirs.Requests) >= l.r.config().MaxRequests {
		// Once the number of pending requests reaches its limit, further ones are dropped
		// without notice to the sender.
		l.theirs, l.toContact = l.theirsBefore, nil
	}
	l.theirsChange = l.theirsBefore.update(theirs, l.contact, l.user, l.theirs, l.keptRequest())
	return nil
}

// ask makes the pending request a change of its own if it is granted at once, and returns
// the user's roster after that change. RFC 6121 section 3.1.2
// (https://www.rfc-editor.org/rfc/rfc6121#section-3.1.2): after the request was delivered
// the server "MUST then send a roster push to all of the user's interested resources,
// containing the potential contact with a subscription state of "none" and with notation
// that the subscription is pending".
func (l *subscriptionChange) ask(mine *Roster) *Roster {
	asked := l.mineBefore
	asked.ask = true
	l.asked = l.mineBefore.update(mine, l.user, l.contact, asked, nil)
	l.mineBefore = asked
	return mine.after(&l.asked.update, mine.Version+1)
}

func (l *subscriptionChange) keptRequest() *store.Request {
	if l.stanza == nil {
		return nil
	}
	b := l.appendEvent(nil, stanza.Subscribe)
	if len(b) > maxRequest {
		b = stanza.Head{Kind: stanza.Presence, Type: stanza.Subscribe, From: l.user.String(), To: l.contact.String()}.AppendEmpty(nil)
	}
	return &store.Request{From: l.user, Stanza: b}
}

// appendEvent appends the stanza as it is sent to the contact, from the user's bare JID to
// the contact's (RFC 6121 section 3.1.2,
// https://www.rfc-editor.org/rfc/rfc6121#section-3.1.2).
func (l *subscriptionChange) appendEvent(b []byte, e stanza.Type) []byte {
	if l.stanza != nil {
		return stanza.AppendForward(b, l.stanza, stanza.Edit{From: l.user.String(), To: l.contact.String()})
	}
	return stanza.Head{Kind: stanza.Presence, Type: e, From: l.user.String(), To: l.contact.String()}.AppendEmpty(b)
}

// notify sends stanzas, pushes and presence, in the order that RFC 6121 requires:
// unavailable presence before 'unsubscribed' (section 3.2.2), subscription stanzas before
// the push that they cause (sections 3.1.6, 3.2.3, 3.3.3), and presence that can newly be
// seen last (section 3.1.5).
func (l *subscriptionChange) notify(t *session.Turn) {
	if l.request != nil {
		l.request.Empty()
	}
	lostMine := l.mineBefore.sub.HasFrom() && !l.mine.sub.HasFrom()
	lostTheirs := l.mineBefore.sub.HasTo() && !l.mine.sub.HasTo() ||
		l.theirsBefore.sub.HasFrom() && !l.theirs.sub.HasFrom()
	if lostMine {
		l.r.sendUnavailable(t, l.key(), l.user, l.contact)
	}
	for _, e := range l.toContact {
		l.deliver(t, e)
	}
	if l.asked != nil {
		l.r.push(t, l.key(), l.user.String(), l.asked)
	}
	if l.answered {
		l.deliverAnswer(t)
	}
	for _, c := range []*change{l.theirsChange, l.mineChange} {
		if c.update.ChangesItems() {
			l.r.push(t, l.key(), c.update.Owner.String(), c)
		}
	}
	if slices.Contains(l.toContact, stanza.Subscribed) {
		l.r.sendPresences(t, l.key(), l.user, l.contact)
	}
	if l.answered {
		l.r.sendPresences(t, l.key(), l.contact, l.user)
	}
	if lostTheirs {
		l.r.sendUnavailable(t, l.key(), l.contact, l.user)
	}
}

// deliver sends an event to the contact's server or clients: a request to the available
// resources (RFC 6121 section 3.1.3, https://www.rfc-editor.org/rfc/rfc6121#section-3.1.3),
// other events to the interested ones.
func (l *subscriptionChange) deliver(t *session.Turn, e stanza.Type) {
	b := l.appendEvent(t.GetBuf(), e)
	if l.r.isRemote(l.contact) {
		refused := l.r.sendRemote(t, l.user, l.contact, b)
		t.PutBuf(b)
		if refused != nil && l.stanza != nil {
			l.r.Reply(t, l.session, l.stanza, refused)
		}
		return
	}
	if !l.here {
		l.r.subscriptionElsewhere(l.key(), l.user, l.contact, e == stanza.Subscribe, b)
	}
	l.r.sendSubscription(t, l.user, l.contact, e == stanza.Subscribe, b)
	t.PutBuf(b)
}

// key is the account for which other nodes keep what they are told in order.
func (l *subscriptionChange) key() string { return l.user.String() }

// sendSubscription sends a subscription stanza to an account's resources on this node: a
// request to the available ones, others to the interested ones.
func (r *Router) sendSubscription(t *session.Turn, from, to jid.JID, request bool, b []byte) {
	wanted := Interested
	if request {
		wanted = Available
	}
	for s := range r.Recipients(to.BareString(), wanted) {
		if !bars(s, from) {
			s.SendBytes(t, b)
		}
	}
}

// deliverAnswer sends 'subscribed' on behalf of the contact to the user's server or
// clients.
func (l *subscriptionChange) deliverAnswer(t *session.Turn) {
	h := stanza.Head{Kind: stanza.Presence, Type: stanza.Subscribed, From: l.contact.String(), To: l.user.String()}
	b := h.AppendEmpty(t.GetBuf())
	defer t.PutBuf(b)
	if l.r.isRemote(l.user) {
		l.r.sendRemote(t, l.contact, l.user, b)
		return
	}
	l.r.subscriptionElsewhere(l.key(), l.contact, l.user, false, b)
	l.r.sendSubscription(t, l.contact, l.user, false, b)
}
