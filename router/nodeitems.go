package router

import (
	"encoding/binary"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// itemKind is the first byte of an item. What follows are fields, each with its length
// before it. All nodes of a cluster must know a kind before any of them sends it.
type itemKind byte

// The kinds of items. The fields are in the order in which they are listed.
const (
	itemMessage      itemKind = iota + 1 // flags, hops, ID in the store, with messageReached resources, with messageOnly a resource, sender, stanza
	itemSent                             // sender, stanza: a message that it has sent
	itemRefused                          // recipient, stanza, error: with which the stanza was answered
	itemForward                          // sender, stanza: for a full JID
	itemDeliver                          // recipient, stanza: a reply
	itemBroadcast                        // sender, id, presence, whether it was available and its status, full JIDs that get nothing, accounts, and whether its node has died if it has
	itemAvailable                        // sender, account, stanza: for the account's available resources
	itemProbe                            // client, accounts: whose presence the client is to be sent
	itemShow                             // recipient, sender, stanza: presence in response to itemProbe
	itemSubscription                     // sender, account, for whom, stanza
	itemPush                             // account, version, removed, item
	itemRoster                           // account: its roster has changed; see also nodemissed.go
	itemPresences                        // of, to: accounts
	itemUnavailable                      // of, to: accounts
	itemBlocklist                        // account, name of the push, all: whether all were unblocked, addresses
	itemStored                           // account: messages were stored for it
	itemObserve                          // account: its resources are to be observed
	itemKick                             // full JID, request, maybe noWait; or account, request, resource: of a session whose client is not connected, "" for any
	itemReply                            // request, and whether a session was ended: nodes of earlier versions do not say that
	itemAnnounce                         // full JID: whose presence is to be sent to other nodes again
	itemFetch                            // node, request, account, resumption ID: of a session that the node is to be sent
	itemSession                          // request, data: the session
	itemNoSession                        // request, handled stanzas, whether these are known: there is no such session
	itemTaken                            // node, request, full JID, whether the node has taken the session
	itemRest                             // request, last, whether messages are stored, data: what has arrived for the session since
	itemRelay                            // full JID, ID in the store, stamped, stanza: for a session that has moved
	itemPassed                           // node, item: that the node has sent for a session that has moved
	itemEnd                              // account, resource, user-agent ID, condition, text: sessions that an administrator ends
	itemReached                          // resource that the item is for, "" for all; resources that it reaches in another way, item: itemSent or itemRefused
)

// Flags of itemMessage.
const (
	messagePrimary = 1 << iota // the node has to see to it that someone gets the message
	messageCopied              // the node's resources do not get it, but may get a copy
	messageNoted               // its sender has addressed someone who may be a stranger: see strangers
	messageReached             // there are resources that it reaches by way of other items
	messageOnly                // it is for one resource only
	messageAsk                 // with messagePrimary: the node has to find one that sees to it: see askReached
	messageLost                // with messagePrimary: another node has lost its copy; the stanza has a delay stamp: see nodelost.go
)

// maxHops is how often a message is passed on because its recipient has moved to another
// node. After that it is stored.
const maxHops = 3

// appendKind appends the kind of an item.
func appendKind(b []byte, k itemKind) []byte { return append(b, byte(k)) }

// appendField appends a text.
func appendField[T string | []byte](b []byte, text T) []byte {
	b = appendNumber(b, uint64(len(text)))
	return append(b, text...)
}

// appendNumber appends a number.
func appendNumber(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// appendFlag appends a truth value.
func appendFlag(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendTexts appends a list of texts.
func appendTexts(b []byte, all []string) []byte {
	b = appendNumber(b, uint64(len(all)))
	for _, text := range all {
		b = appendField(b, text)
	}
	return b
}

// appendRosterItem appends a roster item.
func appendRosterItem(b []byte, it *store.RosterItem) []byte {
	b = appendField(b, it.JID.String())
	b = appendField(b, it.Name)
	b = appendTexts(b, it.Groups)
	flags := uint64(it.Subscription)
	if it.Ask {
		flags |= 1 << 2
	}
	if it.Approved {
		flags |= 1 << 3
	}
	return appendNumber(b, flags)
}

// appendSender appends a sender, and the node that gets its replies if that is not the one
// that sends the item.
func appendSender(b []byte, from Sender) []byte {
	node := NodeID(0)
	if n, ok := from.(*nodeSender); ok {
		node = n.node
	}
	b = appendNumber(b, uint64(node))
	return appendField(b, address(from))
}

// fields reads the fields of an item. After an error, all that follow are empty. The texts
// are borrowed, the addresses are not.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) number() uint64 {
	n, size := binary.Uvarint(f.b)
	if size <= 0 {
		f.fail()
		return 0
	}
	f.b = f.b[size:]
	return n
}

func (f *fields) flag() bool { return f.number() != 0 }

func (f *fields) text() []byte {
	n := f.number()
	if n > uint64(len(f.b)) {
		f.fail()
		return nil
	}
	text := f.b[:n:n]
	f.b = f.b[n:]
	return text
}

func (f *fields) texts() []string {
	n := f.number()
	if n > uint64(len(f.b)) { // each takes a byte at least
		f.fail()
		return nil
	}
	all := make([]string, 0, n)
	for range n {
		all = append(all, string(f.text()))
	}
	return all
}

func (f *fields) address() jid.JID {
	j, err := jid.Parse(string(f.text()))
	if err != nil {
		f.fail()
	}
	return j
}

func (f *fields) rosterItem() (it store.RosterItem) {
	it.JID, it.Name, it.Groups = f.address(), string(f.text()), f.texts()
	flags := f.number()
	it.Subscription, it.Ask, it.Approved = store.Subscription(flags&3), flags&(1<<2) != 0, flags&(1<<3) != 0
	return it
}

func (f *fields) fail() { f.b, f.bad = nil, true }

// nodeSender is a sender that is not a session here: a client of another node, or an address
// of another domain that reached another node.
type nodeSender struct {
	r    *Router
	node NodeID // where its replies go; 0: it has to be found
	jid  jid.JID
	key  string // the account for which its replies are kept in order

	undelivered bool // the stanza was sent to a node that did not get it

	// Of a message: see nodeMessage.
	primary bool
	reached []reached
	only    string
	left    []moved // sessions that it was for, and that had left when it was delivered

	// Of itemSent and itemRefused: see OthersOf.
	hasOthers bool
	others    []*session.Session
}

var _ Sender = (*nodeSender)(nil)

// JID is the address.
func (n *nodeSender) JID() jid.JID { return n.jid }

// SendBytes sends a reply to the node, or to the client if that is here: it may have moved, and what it
// has sent may come back. The node would not pass the reply on to where it has come from.
func (n *nodeSender) SendBytes(t *session.Turn, b []byte) bool {
	if to := n.r.resource(n.jid); to != nil {
		return to.SendBytes(t, b)
	}
	node := n.node
	if node == 0 || node == n.r.nodes.Self() {
		p, ok := findPlace(n.r.askPlaces(t, n.jid.BareString()), n.jid.Resource())
		if !ok {
			return false // also without a cluster
		}
		node = p.Node
	}
	item := appendField(appendKind(nil, itemDeliver), n.jid.String())
	return n.r.nodes.Send(node, n.key, append(item, b...))
}

// fromNode reports whether a stanza has come from another node: its rules were applied
// there, and it must not be sent to a third one.
func fromNode(from Sender) bool {
	_, ok := from.(*nodeSender)
	return ok
}

// readItem parses the stanza of an item. The caller calls done when it is not needed any
// more.
func readItem(b []byte) (st *stanza.Stanza, done func(), ok bool) {
	x := rereaders.Get().(*rereader)
	x.stanza = stanza.Stanza{}
	if !x.read(b, &x.stanza) {
		x.put()
		return nil, nil, false
	}
	return &x.stanza, x.put, true
}
