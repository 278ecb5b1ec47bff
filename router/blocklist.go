package router

import (
	"bytes"
	"html"
	"slices"
	"sync/atomic"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// Blocklist is the list of the addresses that an account has blocked (XEP-0191). It is
// immutable; nil is an empty list.
type Blocklist struct {
	all []string // normalized, sorted
}

// newBlocklist returns the list of these addresses, which it keeps.
func newBlocklist(all []string) *Blocklist {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return &Blocklist{all}
}

// addresses returns all addresses.
func (l *Blocklist) addresses() []string {
	if l == nil {
		return nil
	}
	return l.all
}

// Blocks reports whether an address is blocked: "<user@domain/resource> (only that resource
// matches), <user@domain> (any resource matches), <domain/resource> (only that resource
// matches), <domain> (the domain itself matches, as does any user@domain or
// domain/resource)" (https://xmpp.org/extensions/xep-0191.html#matching).
func (l *Blocklist) Blocks(j jid.JID) bool {
	if l == nil {
		return false
	}
	return l.has(j.String()) || j.IsFull() && l.has(j.BareString()) || j.Local() != "" && l.has(j.Domain())
}

func (l *Blocklist) has(address string) bool {
	_, ok := slices.BinarySearch(l.all, address)
	return ok
}

// blocksSender reports whether the sender of a stanza that this server has written is blocked by
// the account that it is for: see bars.
func (l *Blocklist) blocksSender(account string, whole []byte) bool {
	if l == nil {
		return false
	}
	from, err := jid.Parse(html.UnescapeString(string(stanza.From(whole))))
	return err == nil && l.Blocks(from) && from.BareString() != account
}

// weight returns the approximate memory use, in bytes.
func (l *Blocklist) weight() int {
	n := 0
	for _, address := range l.addresses() {
		n += 16 + len(address)
	}
	return n
}

// blocked holds the blocklist of a session's account. Presence is sent to many accounts at
// once by code that cannot wait for the store, so the list is in memory as long as the
// account has a session, and shared by its sessions. Sessions of accounts without a list
// have no value. Only observed sessions have one, so the others pay for one test of a flag.
var blocked = session.NewSlot[atomic.Pointer[Blocklist]]()

// blocklistOf returns the list of a session's account.
func blocklistOf(s *session.Session) *Blocklist {
	if !observed.Has(s) {
		return nil
	}
	if p := blocked.Get(s); p != nil {
		return p.Load()
	}
	return nil
}

// bars reports whether the account of s has blocked an address. It never blocks its own
// resources: "An implementation MUST NOT block communications from one of a user's
// resources to another" (https://xmpp.org/extensions/xep-0191.html#privacy).
func bars(s *session.Session, other jid.JID) bool {
	return observed.Has(s) && blocklistOf(s).Blocks(other) && other.BareString() != s.BareJID()
}

// separated reports whether the account of one of two sessions has blocked the other.
func separated(a, b *session.Session) bool { return bars(a, b.JID()) || bars(b, a.JID()) }

// learnBlocklist is the function learnBlocklist for a session that is being bound or restored.
func (r *Router) learnBlocklist(s *session.Session, ro *Roster) {
	if ro.blocked == nil || s.AuthenticatedBefore(ro.Generation) {
		return
	}
	mu := r.lockPresence(s.BareJID())
	defer mu.Unlock()
	learnBlocklist(s, ro.blocked)
}

// Unwanted implements session.Router. What a blocked sender has sent to a client before it was
// blocked, and while the client had no connection, is not delivered afterwards: "Once the user has
// blocked communications with a JID, the user's server MUST NOT deliver any XML stanzas from the
// JID to the user" (https://xmpp.org/extensions/xep-0191.html#block). Neither is a copy of it.
// Requests are: they have to be answered.
func (r *Router) Unwanted(s *session.Session) func(b []byte) bool {
	list, account := blocklistOf(s), s.BareJID()
	if list == nil {
		return nil
	}
	return func(b []byte) bool {
		return !bytes.HasPrefix(b, []byte("<iq")) && (list.blocksSender(account, b) || list.blocksCopied(account, b))
	}
}

// blocksCopied reports whether a stanza is a copy that the account has got of a message whose
// sender it has blocked (XEP-0280).
func (l *Blocklist) blocksCopied(account string, whole []byte) bool {
	if html.UnescapeString(string(stanza.From(whole))) != account {
		return false
	}
	st, done, ok := readItem(whole)
	if !ok {
		return false
	}
	defer done()
	for el := st.Root.First(); el.OK(); el = el.Next() {
		if el.Is(nsCarbons, "received") {
			from, err := jid.ParseBytes(el.Child("urn:xmpp:forward:0", "forwarded").Child(stanza.NSClient, "message").Attr("from"))
			return err == nil && l.Blocks(from) && from.BareString() != account
		}
	}
	return false
}

// setBlocklist gives all sessions of an account its new list. The caller holds the
// account's presence lock.
func (r *Router) setBlocklist(owner string, l *Blocklist) {
	for s := range r.Recipients(owner, Everyone) {
		blocked.Make(s).Store(l)
		observed.Set(s)
	}
}

// learnBlocklist gives a session the list that was read after the session was put in the
// tables, unless the list has changed since: then setBlocklist has given it a newer one. The
// caller holds the account's presence lock.
func learnBlocklist(s *session.Session, l *Blocklist) (learned bool) {
	if l == nil || blocked.Get(s) != nil {
		return false
	}
	blocked.Make(s).Store(l)
	observed.Set(s)
	return true
}

// bars reports whether an account has blocked an address, which is not its own. Only workers may
// call it. It reads the store, also if the list is in memory: how long it takes must not tell
// whether the account is online, or was lately. If the list cannot be read, it returns false
// and the error.
func (r *Router) bars(account, other jid.JID) (bool, error) {
	all, err := r.config().Store.BlobKeys(r.ctx, account.Bare(), nsBlocking)
	if err != nil {
		return false, err
	}
	return newBlocklist(all).Blocks(other), nil
}

// errBlocked is the error for a stanza to an address that the sender's own account has
// blocked: "the user's server MUST NOT route the stanza to the JID but instead MUST return
// a <not-acceptable/> error containing an application-specific error condition of <blocked/>"
// (https://xmpp.org/extensions/xep-0191.html#block).
var errBlocked = &stanza.ErrorReply{Type: "cancel", Condition: "not-acceptable", Extra: "<blocked xmlns='urn:xmpp:blocking:errors'/>"}

// refuseOwnBlocked refuses a stanza to an address that the sender's own account has
// blocked, and reports whether it did.
func (r *Router) refuseOwnBlocked(t *session.Turn, from Sender, st *stanza.Stanza) bool {
	s := local(from)
	if s == nil || !st.HasTo || !bars(s, st.To) {
		return false
	}
	countMessage(t, st, messageRefused)
	r.Reply(t, from, st, errBlocked)
	return true
}
