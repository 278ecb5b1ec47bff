package xep

import "roost/router"

const nsTime = "urn:xmpp:time"

// entityTime returns the server's time (XEP-0202), in UTC and with the offset of its time
// zone, in the formats of XEP-0082.
func entityTime() router.Extension {
	handle := func(rq *router.Request) {
		now := rq.Turn.Now()
		rq.Result(func(b []byte) []byte {
			b = append(b, "<time xmlns='"+nsTime+"'><tzo>"...)
			b = now.AppendFormat(b, "-07:00")
			b = append(b, "</tzo><utc>"...)
			b = now.UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
			return append(b, "</utc></time>"...)
		})
	}
	return router.Extension{
		Name:    "time",
		XEP:     202,
		Version: "2.0",
		Title:   "Entity Time",
		Domain:  []string{nsTime},
		IQ: []router.IQ{{
			Space:   nsTime,
			Local:   "time",
			Methods: router.Get,
			Targets: router.ToServer | router.ToSelf,
			Handle:  handle,
		}},
	}
}
