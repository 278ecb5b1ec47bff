package router

import (
	"roost/jid"
	"roost/session"
)

// Who may see an account's presence is in its roster. Anybody can ask, for any name, and a
// roster is large: so an account of this server that asks is first looked up in its own roster,
// which is mostly in memory. The same transaction changes both rosters, so a contact that is
// not in one of them is not in the other, unless only one of the accounts was imported. The
// other roster still decides for those who may be in it.
//
// Until it is known that the sender is neither a stranger nor blocked, the work is the same
// for an account that is online, was lately, is offline or does not exist: a worker reads the
// sender's roster and the blocklist that the store has for the name, and nothing that
// may or may not be in memory because of others (RFC 6120 section 13.10.2,
// https://www.rfc-editor.org/rfc/rfc6120#section-13.10.2).

// Sees reports whether a sender may see the presence of an account of this server. It is false
// for an account that does not exist, so a caller that treats all strangers alike does not
// reveal which accounts exist. Only workers may call it.
func (r *Router) Sees(t *session.Turn, from Sender, account jid.JID) (bool, error) {
	if account.BareString() == bareOf(from) {
		return true, nil
	}
	stranger, _, err := r.isStranger(t, from, account)
	if stranger || err != nil {
		return false, err
	}
	ro, err := r.Roster(account.Bare())
	if err != nil {
		return false, err
	}
	return ro.Subscribed(bareOf(from)), nil
}

// isStranger reports whether the sender's own roster says that it does not see an account's
// presence. Only accounts of this server have one: others, and an account that asks about
// itself, are no strangers. The result is final on a turn that may block; another may have to
// wait for the sender's roster.
func (r *Router) isStranger(t *session.Turn, from Sender, account jid.JID) (stranger bool, need session.Work, err error) {
	if !r.hasRoster(from) || account.BareString() == bareOf(from) {
		return false, session.Done, nil
	}
	var mine *Roster
	if s := local(from); s != nil {
		mine, need, err = r.tryOwnRoster(t, s)
	} else {
		mine, need, err = r.tryRoster(t, from.JID().Bare())
	}
	if need != session.Done || err != nil {
		return false, need, err
	}
	it, _ := mine.Item(account.BareString())
	return !it.Subscription.HasTo(), session.Done, nil
}

// hasRoster reports whether a sender has the address of an account of this server: it is a
// client here or on another node.
func (r *Router) hasRoster(from Sender) bool {
	return from.JID().Local() != "" && r.Serves(from.JID().Domain())
}

// forProbe returns the roster of an account that a sender probes, nil if the sender is a
// stranger, and whether the account has blocked the sender. A probe of another account of this
// server always needs a worker.
func (r *Router) forProbe(t *session.Turn, from Sender, account jid.JID) (ro *Roster, barred bool, need session.Work, err error) {
	own := account.String() == bareOf(from)
	if own || !r.hasRoster(from) {
		ro, need, err = r.tryRoster(t, account)
		return ro, ro != nil && !own && ro.blocked.Blocks(from.JID()), need, err
	}
	if !t.MayBlock() {
		return nil, false, session.Read, nil
	}
	if barred, err = r.bars(account, from.JID()); barred || err != nil {
		return nil, barred, session.Done, err
	}
	if stranger, _, err := r.isStranger(t, from, account); stranger || err != nil {
		return nil, false, session.Done, err
	}
	ro, err = r.Roster(account.Clone())
	return ro, false, session.Done, err
}
