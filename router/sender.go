package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// Sender is where a stanza comes from: a session of this server, the server itself
// (Server), or an address of another domain (see Route). Its address is one that it has
// proved, and what it has written in 'from' does not count.
type Sender interface {
	// JID is the sender's address.
	JID() jid.JID

	// SendBytes queues one stanza for the sender, a reply; b is copied. False means
	// that it takes nothing any more. It must not wait and must not call the router:
	// a reply to a probe is queued while the contact's presence is locked, so that
	// it comes in order with what changes of that presence bring.
	SendBytes(t *session.Turn, b []byte) bool
}

// local is the session that a sender is, nil if it is none of this server's: only a
// session has presence, a roster and data of its own.
func local(from Sender) *session.Session {
	s, _ := from.(*session.Session)
	return s
}

// address is the address that a sender's stanzas go out with, and that replies go to.
// It is empty for a client that has no resource yet.
func address(from Sender) string {
	if s := local(from); s != nil {
		return s.FullJID()
	}
	return from.JID().String()
}

// bareOf is a sender's bare JID.
func bareOf(from Sender) string { return from.JID().BareString() }

// Server is the server itself as a sender, for what nobody's client has sent.
type Server struct {
	Domain jid.JID                         // one that it serves
	Reply  func(t *session.Turn, b []byte) // gets each reply, lent until it returns; nil drops them
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

// target is the account that a stanza is for: its 'to', or the sender's own
// account where there is none (RFC 6120 section 10.3). ok is false for the
// server itself.
func target(from Sender, st *stanza.Stanza) (bare jid.JID, ok bool) {
	bare = st.To.Bare()
	if !st.HasTo {
		bare = from.JID().Bare()
	}
	return bare, bare.Local() != ""
}
