package xep

import (
	"strconv"
	"time"

	"roost/router"
	"roost/session"
)

// StreamLimits are the limits of streams that clients are told of (XEP-0478). They
// are settings of other packages.
type StreamLimits struct {
	MaxStanza     int           // largest first-level element, in bytes
	MaxRestricted int           // the same before authentication, and until a resource is bound
	Idle          time.Duration // a client that sends nothing for this long is disconnected; 0 or below: never
}

// SetStreamLimits sets the limits that clients are told of from now on. It may be called while
// the router runs.
func (x *Set) SetStreamLimits(l StreamLimits) { x.limits.Store(&l) }

// limits tells clients the limits of their streams in the stream features (XEP-0478):
// before authentication those that apply until then, and the others after it, which a client
// may use as soon as it has bound a resource. "It is
// acceptable for the limits on a stream to change whenever new stream features are
// announced"
// (https://xmpp.org/extensions/xep-0478.html#rules). A client that has announced limits of
// its own does not exist: section 7 (Design Considerations) leaves that out.
func limits(x *Set) router.Extension {
	return router.Extension{
		Name:    "limits",
		XEP:     478,
		Version: "0.2.0",
		Title:   "Stream Limits Advertisement",
		Features: []session.Feature{{
			When: func(*session.Session) bool { return true },
			Offer: func(s *session.Session, b []byte) []byte {
				if l := x.limits.Load(); l != nil {
					b = l.appendXML(b, s.Type() == session.C2S)
				}
				return b
			},
		}},
	}
}

// appendXML appends the element. Before authentication the login deadline, which is shorter
// than any idle timeout, applies whatever the client sends, so no idle time is announced.
func (l *StreamLimits) appendXML(b []byte, authenticated bool) []byte {
	size := l.MaxRestricted
	if authenticated {
		size = l.MaxStanza
	}
	b = append(b, "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>"...)
	b = strconv.AppendInt(b, int64(size), 10)
	b = append(b, "</max-bytes>"...)
	if authenticated && l.Idle >= time.Second {
		b = append(b, "<idle-seconds>"...)
		// Rounded down: a client that sends something within this time is not disconnected.
		b = strconv.AppendInt(b, int64(l.Idle/time.Second), 10)
		b = append(b, "</idle-seconds>"...)
	}
	return append(b, "</limits>"...)
}
