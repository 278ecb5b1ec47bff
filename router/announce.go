package router

import (
	"roost/parser"
	"roost/session"
	"roost/stanza"
)

// Announcement is a message from the server itself to many clients.
//
// Its type is headline ([RFC 6121 section 5.2.2]): "an alert, a notification, or other
// transient information to which no reply is expected". [XEP-0133] has such a message sent
// "only to users who currently have a "session" with the service".
//
// [RFC 6121 section 5.2.2]: https://www.rfc-editor.org/rfc/rfc6121#section-5.2.2
// [XEP-0133]: https://xmpp.org/extensions/xep-0133.html#announce
type Announcement struct {
	content []byte // of <message/>, XML
}

// NewAnnouncement makes an announcement. subject may be empty. Both texts must be of
// characters that XML allows.
func NewAnnouncement(subject, text string) *Announcement {
	var b []byte
	if subject != "" {
		b = append(b, "<subject>"...)
		b = parser.AppendEscaped(b, subject)
		b = append(b, "</subject>"...)
	}
	b = append(b, "<body>"...)
	b = parser.AppendEscaped(b, text)
	return &Announcement{append(b, "</body>"...)}
}

// Announce sends an announcement to a resource, from its own domain, and reports whether
// there was space in its outbox. The client is not disconnected if there was not. What
// extensions do with messages between entities does not apply: it is not stored, and not
// copied to other resources, which get it themselves.
func (r *Router) Announce(t *session.Turn, to *session.Session, a *Announcement) bool {
	h := stanza.Head{Kind: stanza.Message, Type: stanza.Headline, From: to.Host(), To: to.FullJID()}
	b := h.AppendStart(t.GetBuf())
	b = append(b, a.content...)
	b = append(b, "</message>"...)
	ok := to.TrySendBytes(t, b)
	t.PutBuf(b)
	return ok
}
