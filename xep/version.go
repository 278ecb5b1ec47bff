package xep

import (
	"roost/parser"
	"roost/router"
)

const nsVersion = "jabber:iq:version"

// version tells which software this is (XEP-0092). It does not tell the
// operating system: "an application MUST provide a way for a human user or
// administrator to disable sharing of information about the operating system"
// (section 5), and nobody needs it.
func version(cfg Config) router.Extension {
	handle := func(rq *router.Request) {
		rq.Result(func(b []byte) []byte {
			b = append(b, "<query xmlns='"+nsVersion+"'><name>"+software+"</name><version>"...)
			b = parser.AppendEscaped(b, cfg.Version)
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
