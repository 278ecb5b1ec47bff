// Package pie reads and writes accounts in the Portable Import/Export Format of XEP-0227
// (https://xmpp.org/extensions/xep-0227.html), version 1.1, as other servers do, too.
//
// It does not read data of services, such as personal eventing and archives, which this
// server does not have; a Source reports them.
package pie

// Namespaces.
const (
	nsPie     = "urn:xmpp:pie:0"
	nsSCRAM   = "urn:xmpp:pie:0#scram"
	nsArchive = "urn:xmpp:pie:0#mam"
	nsInclude = "http://www.w3.org/2001/XInclude"

	nsRoster   = "jabber:iq:roster"
	nsPrivacy  = "jabber:iq:privacy"
	nsBlocking = "urn:xmpp:blocking"

	// nsAccount is that of an element of this server's own, for what the format does not
	// have: when the account was created, whether it may log in, and when it was last online.
	nsAccount = "urn:roost:account:0"
)

// blockedList is the name of the privacy list with the addresses that an account has
// blocked. The format has no list of blocked addresses (XEP-0191), but XEP-0191 section 5
// has it as the default privacy list.
const blockedList = "blocked"
