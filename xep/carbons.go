package xep

import (
	"roost/parser"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

const (
	nsCarbons      = "urn:xmpp:carbons:2"
	nsCarbonsRules = "urn:xmpp:carbons:rules:0"
	nsForward      = "urn:xmpp:forward:0"
)

// carbonsEnabled is set for a resource that has asked for copies.
var carbonsEnabled = session.NewFlag("carbons are enabled")

// messageCarbons sends the messages of one resource also to the account's other resources
// that have asked for them (XEP-0280).
func messageCarbons() router.Extension {
	c := &carbons{recent: newRecentMessages()}
	iq := func(local string, to router.Targets, handle func(*router.Request)) router.IQ {
		return router.IQ{Space: nsCarbons, Local: local, Methods: router.Set, Targets: to, Handle: handle}
	}
	// "<not-allowed/> if the request is from a client that is not hosted on this server"
	// (https://xmpp.org/extensions/xep-0280.html#enabling-errors), and if it is about another
	// client's account.
	refuse := func(rq *router.Request) { rq.Error(stanza.NotAllowed) }
	return router.Extension{
		Name:    "carbons",
		XEP:     280,
		Version: "1.0.1",
		Title:   "Message Carbons",
		Domain:  []string{nsCarbons, nsCarbonsRules},
		IQ: []router.IQ{
			iq("enable", router.ToSelf, c.enable),
			iq("disable", router.ToSelf, c.disable),
			iq("enable", router.ToAccount, refuse),
			iq("disable", router.ToAccount, refuse),
		},
		Features: []session.Feature{{
			Space: nsCarbons,
			// "Message Carbons MUST be enabled at this point. As this operation MUST succeed, no
			// response is necessary" (https://xmpp.org/extensions/xep-0386.html#bind-request).
			Enable: func(_ *session.Turn, s *session.Session, request parser.Element, dst []byte) []byte {
				if string(request.Local()) == "enable" {
					c.enableFor(s)
				}
				return dst
			},
		}},
		Ready: func(r *router.Router, _ *router.Extension) { c.router = r },
		State: router.FlagState(carbonsEnabled),
		Bound: func(_ *session.Turn, s *session.Session, _ router.Known) {
			if c.othersEnabled(s) {
				router.Observe(s)
			}
		},
		Sent:      c.sent,
		Recipient: c.received,
		Refused:   c.refused,
	}
}

// carbons copies messages.
type carbons struct {
	router *router.Router
	recent *recentMessages
}

// enable handles both the first and any further request: "the server SHOULD NOT treat
// multiple enable requests (without an intermediate disable request) as an error"
// (https://xmpp.org/extensions/xep-0280.html#bizrules-multi).
func (c *carbons) enable(rq *router.Request) {
	c.enableFor(rq.Session)
	rq.Empty()
}

// enableFor has copies sent to a resource. The order matters: a resource that is bound at
// the same time either sees the flag (Bound) or is seen here.
func (c *carbons) enableFor(s *session.Session) {
	carbonsEnabled.Set(s)
	c.router.ObserveOthers(s)
}

func (c *carbons) disable(rq *router.Request) {
	carbonsEnabled.Clear(rq.Session)
	rq.Empty()
}

// othersEnabled reports whether another resource of the account has asked for copies.
func (c *carbons) othersEnabled(s *session.Session) bool {
	for other := range c.router.Recipients(s.BareJID(), router.Everyone) {
		if other != s && carbonsEnabled.Has(other) {
			return true
		}
	}
	return false
}

// sent copies a message of a resource to the others: "its sending server delivers the
// <message/> […] and delivers a forwarded copy to each Carbons-enabled resource for the
// matching bare JID sender, excluding the sending client"
// (https://xmpp.org/extensions/xep-0280.html#outbound). A message to the own account is
// delivered or copied to the others as a received one.
func (c *carbons) sent(t *session.Turn, from router.Sender, st *stanza.Stanza) {
	account, sender := from.JID().BareString(), from.JID().String()
	if !st.HasTo || st.To.BareString() == account {
		return
	}
	if st.Type == stanza.Error && !c.recent.has(st.To.String(), account, st.ID) || !eligible(st, nil) {
		return
	}
	c.recent.add(sender, st.To.BareString(), st.ID)
	c.toOthers(t, from, &messageCopy{st: st, typ: st.Type, sent: true, peer: st.To.String(), append: func(b []byte) []byte {
		return stanza.AppendForward(b, st, stanza.Edit{From: sender, Embed: true})
	}})
}

// received copies a message to a resource that does not receive it otherwise: the server
// "delivers a forwarded copy to each Carbons-enabled resource for the matching bare JID
// recipient that did not receive it under the RFC 6121 delivery rules"
// (https://xmpp.org/extensions/xep-0280.html#inbound). That includes resources with a
// negative priority and those that have not sent presence. The sender does not get its own
// message.
func (c *carbons) received(t *session.Turn, from router.Sender, s *session.Session, st *stanza.Stanza, took bool) {
	if !took && !carbonsEnabled.Has(s) || from.JID() == s.JID() {
		return
	}
	if st.Type == stanza.Error && !c.recent.has(st.To.String(), from.JID().BareString(), st.ID) || !eligible(st, from) {
		return
	}
	sender := from.JID().String()
	c.recent.add(sender, s.BareJID(), st.ID)
	if took {
		return
	}
	c.send(t, s, &messageCopy{st: st, typ: st.Type, peer: sender, append: func(b []byte) []byte {
		return stanza.AppendForward(b, st, stanza.Edit{From: sender, Embed: true})
	}})
}

// refused copies an error of this server that replies to an eligible message.
func (c *carbons) refused(t *session.Turn, from router.Sender, st *stanza.Stanza, e *stanza.ErrorReply) {
	sender := from.JID().String()
	if !c.recent.has(sender, st.To.BareString(), st.ID) {
		return
	}
	const name = "<message"
	reply := stanza.AppendError(nil, st, sender, e)
	c.toOthers(t, from, &messageCopy{typ: stanza.Error, append: func(b []byte) []byte {
		b = append(b, name+" xmlns='"+stanza.NSClient+"'"...)
		return append(b, reply[len(name):]...)
	}})
}

// messageCopy is a message that is copied to resources of an account.
type messageCopy struct {
	st     *stanza.Stanza // nil: the message is an error of this server
	typ    stanza.Type    // of the message
	sent   bool           // the account has sent it; otherwise, it has received it
	peer   string         // the other address
	append func([]byte) []byte
}

// toOthers sends a copy to all resources of a sender's account that have asked for copies,
// except the sender.
func (c *carbons) toOthers(t *session.Turn, from router.Sender, m *messageCopy) {
	for other := range c.router.OthersOf(from) {
		if carbonsEnabled.Has(other) {
			c.send(t, other, m)
		}
	}
}

// send sends one copy. "The wrapping message SHOULD maintain the same 'type' attribute value;
// the 'from' attribute MUST be the Carbons-enabled user's bare JID […]; and the 'to'
// attribute MUST be the full JID of the resource receiving the copy"
// (https://xmpp.org/extensions/xep-0280.html#inbound). If the client replies with an error,
// that is addressed to its own account and dropped: "the server MUST NOT forward that error
// back to the original sender" (https://xmpp.org/extensions/xep-0280.html#bizrules-errors).
func (c *carbons) send(t *session.Turn, to *session.Session, m *messageCopy) {
	direction := "received"
	if m.sent {
		direction = "sent"
	}
	h := stanza.Head{Kind: stanza.Message, Type: m.typ, From: to.BareJID(), To: to.FullJID()}
	b := h.AppendStart(t.GetBuf())
	b = append(b, '<')
	b = append(b, direction...)
	b = append(b, " xmlns='"+nsCarbons+"'><forwarded xmlns='"+nsForward+"'>"...)
	b = m.append(b)
	b = append(b, "</forwarded></"...)
	b = append(b, direction...)
	b = append(b, "></message>"...)
	c.router.SendCopy(t, to, m.st, m.peer, m.sent, b)
	t.PutBuf(b)
}
