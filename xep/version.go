package xep

import (
	"roost/parser"
	"roost/router"
)

const nsVersion = "jabber:iq:version"

// version publishes the name and version of the software (XEP-0092), but not the
// operating system: "an application MUST provide a way for a human user or administrator to
// disable sharing of information about the operating system" (section 5,
// https://xmpp.org/extensions/xep-0092.html#security), and clients do not need it.
func version(x *Set) router.Extension {
	handle := func(rq *router.Request) {
		rq.Result(func(b []byte) []byte {
			b = append(b, "<query xmlns='"+nsVersion+"'><name>"+software+"</name><version>"...)
			b = parser.AppendEscaped(b, x.config().Version)
			return append(b, "</version></query>"...)
		})
	}
	return router.Extension{
		Name:    "version",
		XEP:     92,
		Version: "1.1",
		Title:   "Software Version",
		Domain:  []string{nsVersion},
		IQ: []router.IQ{{
			Space:   nsVersion,
			Local:   "query",
			Methods: router.Get,
			Targets: router.ToServer | router.ToSelf,
			Handle:  handle,
		}},
	}
}
