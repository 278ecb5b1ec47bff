package parsebench

// The kinds of elements, as common clients write them: some quote attributes with ', some
// with ".

func (g *generator) chat() {
	g.add(`<message to='%' id='%' type='chat'><body>%</body>`, g.to, g.id, g.sentence(3+g.r.IntN(22)))
	g.chatTail()
}

func (g *generator) longChat() {
	g.add(`<message xml:lang="en" type="chat" to="%" id="%"><body>%</body>`, g.to, g.id, g.sentence(60+g.r.IntN(140)))
	g.chatTail()
}

func (g *generator) escapedChat() {
	g.add(`<message type="chat" to="%" id="%"><body>%</body>`, g.to, g.id, g.escapedSentence(8+g.r.IntN(30)))
	g.chatTail()
}

func (g *generator) foreignChat() {
	g.add(`<message to='%' id='%' type='chat'><body>%</body>`, g.to, g.id, g.foreignSentence(4+g.r.IntN(16)))
	g.chatTail()
}

// foreignTalk is long talk with little markup.
func (g *generator) foreignTalk() {
	g.add(`<message to='%' id='%' type='chat'><body>%</body><request xmlns='urn:xmpp:receipts'/></message>`, g.bare, g.id, g.foreignSentence(50+g.r.IntN(120)))
}

// chatTail appends the elements that clients add after a body.
func (g *generator) chatTail() {
	if !g.chance(3) {
		g.add(`<request xmlns='urn:xmpp:receipts'/>`)
	}
	if !g.chance(3) {
		g.add(`<markable xmlns='urn:xmpp:chat-markers:0'/>`)
	}
	if !g.chance(3) {
		g.add(`<origin-id xmlns='urn:xmpp:sid:0' id='%'/>`, g.id)
	}
	if g.chance(3) {
		g.add(`<active xmlns='http://jabber.org/protocol/chatstates'/>`)
	}
	g.add(`</message>`)
}

func (g *generator) shortChat() {
	g.add(`<message to='%' id='%' type='chat'><body>%</body></message>`, g.bare, g.shortID, g.sentence(2+g.r.IntN(8)))
}

// encrypted is a message of XEP-0384 for a few devices.
func (g *generator) encrypted() {
	g.add(`<message to="%" id="%" type="chat"><encrypted xmlns="eu.siacs.conversations.axolotl"><header sid="%">`, g.bare, g.id, g.number(1<<31-1))
	for range 2 + g.r.IntN(5) {
		if g.chance(4) {
			g.add(`<key prekey="true" rid="%">%</key>`, g.number(1<<31-1), g.base64(240))
			continue
		}
		g.add(`<key rid="%">%</key>`, g.number(1<<31-1), g.base64(104))
	}
	g.add(`<iv>%</iv></header><payload>%</payload></encrypted><encryption xmlns="urn:xmpp:eme:0" namespace="eu.siacs.conversations.axolotl" name="OMEMO"/>`,
		g.base64(16), g.base64(40+g.r.IntN(200)))
	g.add(`<body>I sent you an OMEMO encrypted message but your client doesn't seem to support that.</body><store xmlns="urn:xmpp:hints"/>`)
	g.chatTail()
}

func (g *generator) groupChat() {
	g.add(`<message from='%/%' to='%' id='%' type='groupchat'><body>%</body>`, g.room, func() { g.one(people) }, g.full, g.id, g.sentence(3+g.r.IntN(30)))
	g.add(`<occupant-id xmlns='urn:xmpp:occupant-id:0' id='%'/><stanza-id xmlns='urn:xmpp:sid:0' by='%' id='%'/>`, g.base64(44), g.room, g.uuid)
	if g.chance(3) {
		g.add(`<delay xmlns='urn:xmpp:delay' from='%' stamp='%'/>`, g.room, g.stamp)
	}
	g.add(`<markable xmlns='urn:xmpp:chat-markers:0'/></message>`)
}

func (g *generator) groupPresence() {
	g.add(`<presence from='%/%' to='%'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='participant' jid='%'/>`,
		g.room, func() { g.one(people) }, g.full, g.full)
	if g.chance(5) {
		g.add(`<status code='110'/>`)
	}
	g.add(`</x><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://gajim.org' ver='%'/></presence>`, g.base64(28))
}

func (g *generator) presence() {
	g.add(`<presence id='%'>`, g.id)
	if g.chance(2) {
		g.add(`<show>%</show>`, func() { g.one([]string{"away", "xa", "dnd", "chat"}) })
	}
	if g.chance(3) {
		g.add(`<status>%</status>`, g.sentence(2+g.r.IntN(6)))
	}
	g.add(`<priority>%</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://conversations.im' ver='%'/>`, g.number(50), g.base64(28))
	g.add(`<x xmlns='vcard-temp:x:update'><photo>%</photo></x>`, func() { g.letters(40, "0123456789abcdef") })
	if g.chance(3) {
		g.add(`<idle xmlns='urn:xmpp:idle:1' since='%'/>`, g.stamp)
	}
	g.add(`</presence>`)
}

func (g *generator) shortPresence() {
	g.add(`<presence><show>%</show><priority>%</priority></presence>`, func() { g.one([]string{"away", "xa", "dnd"}) }, g.number(20))
}

func (g *generator) receipt() {
	g.add(`<message to='%' id='%'><received xmlns='urn:xmpp:receipts' id='%'/></message>`, g.bare, g.shortID, g.id)
}

func (g *generator) marker() {
	g.add(`<message to='%' id='%' type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='%'/><store xmlns='urn:xmpp:hints'/></message>`, g.bare, g.id, g.id)
}

func (g *generator) chatState() {
	g.add(`<message to='%' type='chat'><% xmlns='http://jabber.org/protocol/chatstates'/></message>`, g.bare,
		func() { g.one([]string{"composing", "paused", "active", "inactive", "gone"}) })
}

func (g *generator) ping() {
	if g.chance(2) {
		g.add(`<iq type='result' id='%' to='%'/>`, g.id, g.full)
		return
	}
	g.add(`<iq type='get' id='%' to='%'><ping xmlns='urn:xmpp:ping'/></iq>`, g.shortID, func() { g.one(domains) })
}

func (g *generator) ack() {
	g.acks += g.r.IntN(4)
	if g.chance(2) {
		g.add(`<r xmlns='urn:xmpp:sm:3'/>`)
		return
	}
	g.add(`<a xmlns='urn:xmpp:sm:3' h='%'/>`, g.number(g.acks+1))
}

func (g *generator) roster() {
	g.add(`<iq type='result' id='%' to='%'><query xmlns='jabber:iq:roster' ver='ver%'>`, g.id, g.full, g.number(1000))
	for range 10 + g.r.IntN(60) {
		g.rosterItem()
	}
	g.add(`</query></iq>`)
}

func (g *generator) rosterItem() {
	name := g.sentence(1 + g.r.IntN(2))
	if g.chance(5) {
		name = g.foreignSentence(2)
	}
	g.add(`<item jid='%' name='%' subscription='%'`, g.bare, name, func() { g.one([]string{"both", "both", "both", "to", "from", "none"}) })
	if g.chance(3) {
		g.add(`/>`)
		return
	}
	g.add(`><group>%</group></item>`, func() { g.one(words) })
}

func (g *generator) rosterPush() {
	g.add(`<iq type='set' id='%'><query xmlns='jabber:iq:roster' ver='ver%'>`, g.id, g.number(1000))
	g.rosterItem()
	g.add(`</query></iq>`)
}

var features = []string{"urn:xmpp:ping", "urn:xmpp:receipts", "urn:xmpp:carbons:2", "urn:xmpp:chat-markers:0", "urn:xmpp:time", "jabber:iq:version", "jabber:iq:last",
	"http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/muc", "http://jabber.org/protocol/chatstates",
	"urn:xmpp:jingle:1", "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:transports:ice-udp:1", "urn:xmpp:message-correct:0", "urn:xmpp:avatar:metadata+notify",
	"eu.siacs.conversations.axolotl.devicelist+notify", "http://jabber.org/protocol/nick+notify", "urn:xmpp:bookmarks:1+notify"}

func (g *generator) disco() {
	g.add(`<iq type="result" to="%" id="%"><query xmlns="http://jabber.org/protocol/disco#info" node="http://conversations.im#%">`, g.full, g.id, g.base64(28))
	g.add(`<identity category="client" name="Conversations" type="phone"/>`)
	for i := range features {
		if !g.chance(4) {
			g.add(`<feature var="%"/>`, func() { g.b = append(g.b, features[i]...) })
		}
	}
	g.add(`</query></iq>`)
}

// archived is a message from an archive (XEP-0313), with a stanza inside a stanza.
func (g *generator) archived() {
	g.add(`<message id='%' to='%'><result xmlns='urn:xmpp:mam:2' queryid='%' id='%'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='%'/>`,
		g.id, g.full, g.id, g.uuid, g.stamp)
	g.add(`<message xmlns='jabber:client' from='%' to='%' id='%' type='chat'><body>%</body>`, g.full, g.bare, g.id, g.sentence(3+g.r.IntN(25)))
	g.chatTail()
	g.add(`</forwarded></result></message>`)
}

// file is a piece of a file sent in band (XEP-0047), or a picture (XEP-0084).
func (g *generator) file() {
	g.add(`<iq to='%' id='%' type='set'><data xmlns='http://jabber.org/protocol/ibb' seq='%' sid='%'>%</data></iq>`, g.full, g.id, g.number(65536), g.id, g.base64(4096))
}
