package router

import (
	"bytes"

	"roost/jid"
	"roost/stanza"
)

const nsStanzaID = "urn:xmpp:sid:0"

// stanzaIDExtension registers XEP-0359. The server assigns no ids of its own: nothing could
// refer to them, because there is no archive. It removes those that claim to be its own, so
// that a client can rely on an id of its account, which its archive will assign.
func stanzaIDExtension() Extension {
	return Extension{
		Name:    "stanzaid",
		XEP:     359,
		Version: "0.7.0",
		Title:   "Unique and Stable Stanza IDs",
		Domain:  []string{nsStanzaID},
		Account: []string{nsStanzaID},
	}
}

// dropStanzaIDs leaves out of a message the ids that only this server may assign. "Stanza ID
// generating entities, which encounter a <stanza-id/> element where the 'by' attribute
// matches the 'by' attribute they would otherwise set, MUST delete that element even if they
// are not adding their own stanza ID", and other elements of the namespace are left alone:
// entities "SHOULD NOT strip any elements qualified by the 'urn:xmpp:sid:0' namespace from
// message stanzas unless the preceding rule applied to those elements"
// (https://xmpp.org/extensions/xep-0359.html#rules). It must be called each time before a
// message is routed further, because what it does is lost while the message waits for a
// worker.
func (r *Router) dropStanzaIDs(st *stanza.Stanza) {
	// The name of an element cannot be escaped, so messages without these bytes, almost all
	// of them, need no search. This end of "stanza-id" begins with a rare letter, which makes
	// it ten times as fast to look for as the whole name.
	if st.Omits() || !bytes.Contains(st.Tape.Raw(), []byte("za-id")) {
		return
	}
	for el := st.Root.First(); el.OK(); el = el.Next() {
		if !el.Is(nsStanzaID, "stanza-id") {
			continue
		}
		if by, err := jid.ParseBytes(el.Attr("by")); err == nil && r.Serves(by.Domain()) {
			st.Omit(el)
		}
	}
}
