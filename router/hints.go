package router

import (
	"roost/stanza"
)

const nsHints = "urn:xmpp:hints"

// hintsExtension registers XEP-0334, by which senders say how a message is to be stored and
// copied. This file decides about storing; the extension for carbons decides about copies.
func hintsExtension() Extension {
	return Extension{
		Name:    "hints",
		XEP:     334,
		Version: "1.0.0",
		Title:   "Message Processing Hints",
	}
}

// storable reports whether a message is stored until its recipient is online. It is if it
// has a body or other content than a transient chat state (XEP-0160, XEP-0085), unless it
// is a headline. The sender's hints take precedence:
//
//   - "A message containing a <no-store/> hint should not be stored by a server either
//     permanently […] or temporarily, e.g. for later delivery to an offline client"
//     (https://xmpp.org/extensions/xep-0334.html#no-store). It also wins over <store/>.
//   - "A message containing the <store/> hint that is not of type 'error' SHOULD be stored
//     by the entity" (https://xmpp.org/extensions/xep-0334.html#hints).
//   - <no-permanent-store/> is about archives and logs, of which there are none, and
//     <no-copy/> is about copies.
//
// Errors and messages of rooms are never stored, whatever their hints: they are for the
// resource that they are addressed to
// (https://xmpp.org/extensions/xep-0160.html#types).
func storable(st *stanza.Stanza) bool {
	if st.Type == stanza.Error || st.Type == stanza.Groupchat {
		return false
	}
	content := false
	store := false
	for el := st.Root.First(); el.OK(); el = el.Next() {
		switch string(el.Space()) {
		case nsChatStates:
			continue
		case nsHints:
			switch string(el.Local()) {
			case "no-store":
				return false
			case "store":
				store = true
			}
			continue
		case stanza.NSClient:
			if string(el.Local()) == "thread" {
				continue
			}
		}
		content = true
	}
	return store || content && st.Type != stanza.Headline
}
