package router

import (
	"errors"

	"roost/session"
	"roost/stanza"
)

// run makes the change. It returns Write if a client's stanza has to wait for others that
// change subscriptions with the same contact; then it has done nothing.
func (l *subscriptionChange) run(t *session.Turn, events ...stanza.Type) (session.Work, error) {
	l.both = l.concernsContact(events)
	need, err := l.locked(t, events)
	if errors.Is(err, errRouted) {
		l.both = true
		need, err = l.locked(t, events)
	}
	return need, err
}

// errRouted reports that the user's roster has changed since concernsContact returned false.
var errRouted = errors.New("the change concerns the contact, too")

// concernsContact reports whether one of the events is routed to a contact of this server, by
// what the user's roster is now. Others, such as a pre-approval (RFC 6121 section 3.4,
// https://www.rfc-editor.org/rfc/rfc6121#section-3.4), concern only the user's own roster:
// they neither wait for the contact's lock nor hold it.
func (l *subscriptionChange) concernsContact(events []stanza.Type) bool {
	switch {
	case l.r.isRemote(l.contact):
		return false
	case l.r.isRemote(l.user):
		return true
	}
	mine, err := l.r.ownRoster(l.session)
	if err != nil {
		return true // the change meets the error again
	}
	try := *l
	try.mine = stateOf(mine, l.contact.String())
	for _, e := range events {
		if try.outbound(e) {
			return true
		}
	}
	return false
}

// locked makes the change with the roster locks of the accounts concerned. What concerns the
// contact passes a gate first: changes by any number of accounts wait for the contact's lock
// one after the other, each for a commit, and would occupy all workers.
func (l *subscriptionChange) locked(t *session.Turn, events []stanza.Type) (session.Work, error) {
	l.locate(t)
	if l.both {
		gate := &l.r.rosterGates[l.r.stripe(l.contact.String())]
		if !gate.Enter(t) {
			return session.Write, nil
		}
		defer gate.Leave()
	}
	if l.session != nil && l.stanza != nil {
		if err := l.r.strangers.request(t, l.session, l.stanza); err != nil {
			return session.Done, err
		}
	}
	unlock := l.lock()
	defer unlock()
	return session.Done, retry(func() error {
		try := *l // each attempt begins with the current state
		return try.try(t, events)
	})
}

// locate looks up where the accounts that the change concerns have resources on other nodes, which
// notify tells of it. The directory may take seconds to reply, and others wait for the roster locks,
// among them lanes of the bus: so what is not in memory any more when notify needs it is not looked up
// then, and all nodes are told.
func (l *subscriptionChange) locate(t *session.Turn) {
	if l.r.nodes == nil {
		return
	}
	var accounts []string
	if l.r.Serves(l.user.Domain()) {
		accounts = append(accounts, l.user.String())
	}
	if l.both && l.r.Serves(l.contact.Domain()) && l.contact.Local() != "" {
		accounts = append(accounts, l.contact.String())
	}
	l.r.locateEach(t, accounts)
}

// lock takes the roster locks of the accounts of this server that the change concerns.
func (l *subscriptionChange) lock() (unlock func()) {
	switch {
	case !l.both:
		return l.r.lockRosters(l.user)
	case l.r.isRemote(l.user):
		return l.r.lockRosters(l.contact)
	}
	return l.r.lockRosters(l.user, l.contact)
}
