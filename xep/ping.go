package xep

import "roost/router"

const nsPing = "urn:xmpp:ping"

// ping answers pings (XEP-0199): "If the server supports the ping namespace, it
// MUST return an IQ-result" (section 4.2). A ping without 'to' is for the
// client's own account and means the same.
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
