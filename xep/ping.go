package xep

import "roost/router"

const nsPing = "urn:xmpp:ping"

// ping replies to pings (XEP-0199): "If the server supports the ping namespace, it MUST
// return an IQ-result" (section 4.2, https://xmpp.org/extensions/xep-0199.html#c2s). A ping
// without 'to' is for the client's own account and gets the same reply.
func ping() router.Extension {
	return router.Extension{
		Name:    "ping",
		XEP:     199,
		Version: "2.0.1",
		Title:   "XMPP Ping",
		Domain:  []string{nsPing},
		IQ: []router.IQ{{
			Space:   nsPing,
			Local:   "ping",
			Methods: router.Get,
			Targets: router.ToServer | router.ToSelf,
			Handle:  (*router.Request).Empty,
		}},
	}
}
