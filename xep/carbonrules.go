package xep

import (
	"hash/maphash"
	"sync/atomic"

	"roost/parser"
	"roost/router"
	"roost/stanza"
)

const nsMUCUser = "http://jabber.org/protocol/muc#user"

// eligible reports whether a message is copied, by the rules of
// https://xmpp.org/extensions/xep-0280.html#recommended-rules, which the feature
// urn:xmpp:carbons:rules:0 makes binding. from is the sender of a received message, nil for
// a sent one. An error is eligible only if it is in response to an eligible message, which
// the caller has to know.
func eligible(st *stanza.Stanza, from router.Sender) bool {
	if st.Type == stanza.Groupchat {
		return false
	}
	c := readContent(st)
	switch {
	case c.private:
		return false
	case st.Type == stanza.Error:
		return true
	case c.noCopy:
		return false
	case c.invitation:
		return true
	case c.muc && from != nil && from.JID().IsFull():
		return false // a private message from a participant, which the room itself sends to all joined clients
	}
	return st.Type == stanza.Chat || c.im || st.Type == stanza.Normal && c.body
}

// content is what decides whether a message is copied.
type content struct {
	body       bool
	im         bool // "payload elements typically used in IM (XEP-0184, XEP-0085, XEP-0333)"
	private    bool // the sender wants no copies
	noCopy     bool // the same as a hint (XEP-0334)
	muc        bool // it is about a room, or from a participant of one
	invitation bool // "a XEP-0249" or "a Mediated Invitation"
}

func readContent(st *stanza.Stanza) (c content) {
	for el := st.Root.First(); el.OK(); el = el.Next() {
		c.add(el)
	}
	return c
}

func (c *content) add(el parser.Element) {
	switch string(el.Space()) {
	case stanza.NSClient:
		c.body = c.body || string(el.Local()) == "body"
	case "urn:xmpp:receipts", "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0":
		c.im = true
	case nsCarbons:
		c.private = c.private || string(el.Local()) == "private"
	case "urn:xmpp:hints":
		c.noCopy = c.noCopy || string(el.Local()) == "no-copy"
	case "jabber:x:conference":
		c.invitation = true
	case nsMUCUser:
		c.muc = true
		c.invitation = c.invitation || el.Child(nsMUCUser, "invite").OK()
	}
}

// recentSize is the number of messages that are remembered.
const recentSize = 1 << 15

// recentMessages remembers eligible messages, because an error is copied if
// "it was sent in response to a <message/> that was eligible for carbons delivery"
// (https://xmpp.org/extensions/xep-0280.html#recommended-rules), which its content does not
// show. It has a fixed size, whatever the number of clients, and takes no lock: a message
// replaces one of the earlier ones, on average that of recentSize messages ago.
type recentMessages struct {
	seed maphash.Seed
	all  [recentSize]atomic.Uint64
}

func newRecentMessages() *recentMessages { return &recentMessages{seed: maphash.MakeSeed()} }

// add remembers a message by the full JID of its sender, the bare JID of its recipient, and
// its id. A message without an id cannot be recognized in an error.
func (m *recentMessages) add(from, to string, id []byte) {
	if len(id) > 0 {
		sum := m.sum(from, to, id)
		m.all[sum%recentSize].Store(sum)
	}
}

func (m *recentMessages) has(from, to string, id []byte) bool {
	if len(id) == 0 {
		return false
	}
	sum := m.sum(from, to, id)
	return m.all[sum%recentSize].Load() == sum
}

func (m *recentMessages) sum(from, to string, id []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	_, _ = h.WriteString(from)
	_ = h.WriteByte(0) // not in an address
	_, _ = h.WriteString(to)
	_ = h.WriteByte(0)
	_, _ = h.Write(id)
	return h.Sum64()
}
