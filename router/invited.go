package router

import (
	"errors"
	"time"

	"roost/jid"
	"roost/session"
	"roost/store"
)

// RegisterInvited adds an account by an invitation, as store.RegisterInvited does, whose errors
// it returns. If the invitation says so, and the inviter's roster is not full, the account and
// the inviter become contacts of each other, and the inviter's clients are told: "the server
// MUST use roster pushes […] in order to inform the inviter about the invitee's new account
// without the need to reconnect" (https://xmpp.org/extensions/xep-0401.html#preauth-ibr). Only
// turns that may write may call it.
func (r *Router) RegisterInvited(t *session.Turn, a store.Account, i *store.Invitation, since time.Time) error {
	st := r.config().Store
	if !i.Contact || i.Inviter == "" || i.Inviter == a.JID.BareString() {
		return r.countInvited(t, st.RegisterInvited(r.ctx, a, i.ID, since, nil))
	}
	inviter, err := jid.Parse(i.Inviter)
	if err != nil {
		return err
	}
	r.locate(t, i.Inviter) // for push
	unlock := r.lockRosters(inviter)
	defer unlock()
	var c *change
	err = retry(func() error {
		ro, err := r.Roster(inviter)
		if err != nil {
			return err
		}
		c = newContact(ro, inviter, a.JID.Bare().Clone())
		if errors.Is(r.checkRosterLimits(ro, &c.item), errRosterFull) {
			c = nil
			return st.RegisterInvited(r.ctx, a, i.ID, since, nil)
		}
		if err := st.RegisterInvited(r.ctx, a, i.ID, since, &c.update); err != nil {
			r.evict(i.Inviter) // another process may have changed it: read it again
			return err
		}
		c.after = ro.after(&c.update, ro.Version+1)
		r.publish(c)
		r.rosterElsewhere(c.missed())
		return nil
	})
	if err == nil && c != nil {
		r.push(t, i.Inviter, i.Inviter, c)
	}
	return r.countInvited(t, err)
}

// newContact returns the change by which a new account becomes a contact.
func newContact(ro *Roster, owner, contact jid.JID) *change {
	c := &change{before: ro}
	c.item, _ = ro.Item(contact.String()) // the owner may have added the name before it existed
	c.item.JID, c.item.Subscription, c.item.Ask, c.item.Approved = contact, store.Both, false, false
	c.update = store.RosterUpdate{Owner: owner, Expect: ro.Version, Put: &c.item}
	return c
}

// countInvitedAccounts counts accounts that were created by invitations.
var countInvitedAccounts = session.NewCounter(1)

func (r *Router) countInvited(t *session.Turn, err error) error {
	if err == nil {
		countInvitedAccounts.Add(t, 0, 1)
	}
	return err
}
