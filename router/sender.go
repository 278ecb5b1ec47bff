package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// Sender is where a stanza comes from: a session of this server, the server itself
// (Server), or an address of another domain (see Route). Its address is verified; the
// 'from' of its stanzas is ignored.
type Sender interface {
	// JID is the sender's address.
	JID() jid.JID

	// SendBytes queues one stanza, a reply, for the sender; b is copied. It returns false
	// if the sender takes no more. It must not block and must not call the router: a reply
	// to a probe is queued while the contact's presence is locked, so that it is in order
	// with changes of that presence.
	SendBytes(t *session.Turn, b []byte) bool
}

// local returns the session that a sender is, nil if it is not a session of this server:
// only sessions have presence, a roster and data of their own here.
func local(from Sender) *session.Session {
	s, _ := from.(*session.Session)
	return s
}

// address returns the 'from' address of a sender's stanzas and the 'to' address of replies.
// It is empty for a client that has no resource yet.
func address(from Sender) string {
	if s := local(from); s != nil {
		return s.FullJID()
	}
	return from.JID().String()
}

// bareOf returns a sender's bare JID.
func bareOf(from Sender) string { return from.JID().BareString() }

// Server is the server itself as a sender, for stanzas that no client has sent.
type Server struct {
	Domain jid.JID                         // one that it serves
	Reply  func(t *session.Turn, b []byte) // gets each reply, borrowed until it returns; nil drops them
}

var _ Sender = (*Server)(nil)

// JID is the domain.
func (v *Server) JID() jid.JID { return v.Domain }

// SendBytes hands b to Reply.
func (v *Server) SendBytes(t *session.Turn, b []byte) bool {
	if v.Reply != nil {
		v.Reply(t, b)
	}
	return true
}

// target returns the account that a stanza is for: its 'to', or the sender's own account if
// it has none (RFC 6120 section 10.3, https://www.rfc-editor.org/rfc/rfc6120#section-10.3).
// ok is false for the server itself.
func target(from Sender, st *stanza.Stanza) (bare jid.JID, ok bool) {
	bare = st.To.Bare()
	if !st.HasTo {
		bare = from.JID().Bare()
	}
	return bare, bare.Local() != ""
}
