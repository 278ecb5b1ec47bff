package session

import (
	"crypto/tls"
	"net/netip"
	"sync/atomic"
	"time"

	"roost/internal/peernet"
	"roost/jid"
	"roost/parser"
)

// Conn is the part of a connection that a session uses. Output goes through an outbox whose
// size is limited. No method blocks. Any goroutine may call a method unless its comment says
// otherwise.
type Conn interface {
	// Queue copies p to the outbox: all of it or, with an error, nothing.
	Queue(p []byte) error

	// Reserve makes Queue fail from when it returns. QueueReserved is Queue after that.
	Reserve()
	QueueReserved(p []byte) error

	// Messages reports whether the connection has messages (RFC 7395): each Queue is one, and
	// so is each unit that the client sends.
	Messages() bool

	// QueueMessages is Queue, or QueueReserved, for several messages, which end at these
	// offsets of p: it queues all or none.
	QueueMessages(p []byte, ends []int, reserved bool) error

	// Flush writes queued bytes to the socket. It reports whether some remain; then Drained
	// is called when all are written.
	Flush() (full bool)

	// Queued returns the number of bytes in the outbox.
	Queued() int

	// Unconfirmed returns the number of bytes that the client's system has not received, as far as
	// is known: those in the outbox, and those that the socket has accepted.
	Unconfirmed() int

	// Pause stops reading; only the loop may call it. Resume starts reading again.
	Pause()
	Resume()

	// Post runs f on the connection's loop, soon.
	Post(f func(loop int))

	// StartTLS starts TLS after the queued bytes. It may be called only from within Data.
	StartTLS(*tls.Config) error

	// SetCloseCode sets the code (RFC 6455 section 7.4.1) that tells the peer of a connection
	// with messages why Close follows.
	SetCloseCode(code uint16)

	// Close flushes, closes, and waits at most linger for the peer's close.
	Close(linger time.Duration)

	// SetDeadline makes the connection expire after a time; 0 removes the deadline.
	SetDeadline(after time.Duration)

	// Hold reports how many bytes the session holds before Authenticated. If it returns
	// false, these are too many, and the stream must end. Only the goroutine that handles the
	// session's input may call it.
	Hold(n int) bool

	// Authenticated lifts the limits that apply before the login, including Hold's. It is
	// called when the client has authenticated and bound a resource or resumed a session.
	Authenticated()

	// Unplug takes away the socket, which stays open. It returns nil if the connection is
	// closed or being closed. Only the loop may call it, and not from within Data. What Hold
	// has reported still counts.
	Unplug() Socket

	// Plug makes a Conn of a socket, for the handler h; reading is paused. The Conn has the
	// type, the loop and the Reserve of this one, which must have no socket. Only its loop may
	// call Plug.
	Plug(s Socket, h any) (conn any, err error)

	// Vacant returns a Conn of the same type, loop and Reserve that has no socket; other
	// sessions use it, too. Only the loop may call it.
	Vacant() any

	// RemoteAddr returns the client's address, or the zero value once the connection is
	// closed. Secure reports whether TLS is in use.
	RemoteAddr() netip.AddrPort
	Secure() bool
}

// Type tells whether a session's client has authenticated. The values are the names that
// XMPP servers commonly use for the kinds of sessions.
type Type string

// The types of a session.
const (
	C2SUnauthed Type = "c2s_unauthed" // not authenticated yet
	C2S         Type = "c2s"          // a local client
)

// Session is one client's stream. There may be a million of them, mostly idle, so every
// field counts; a test limits the size.
type Session struct {
	mgr  *Manager     // immutable
	conn atomic.Value // Conn; see there. The values have one type, so this is not larger than an interface

	// jid never changes after binding, and other goroutines only see bound
	// sessions.
	jid      jid.Compact
	state    atomic.Uint32 // flags; the low byte is the priority
	event    atomic.Uint32 // low 32 bits of the account's newest event when the client authenticated; see Event
	parser   parser.Parser // owned by the loop; but see Flag
	next     atomic.Pointer[Session]
	presence atomic.Pointer[Presence]
	cold     atomic.Pointer[coldState]
}

// Flags of Session.state. The low byte is the priority.
const (
	flagOpen      = 1 << (8 + iota) // the stream headers were exchanged
	flagAuthed                      // SASL succeeded
	flagBound                       // in the tables: a connected resource (RFC 6120 section 7)
	flagAvailable                   // an available resource
	flagBusy                        // a worker has the session
	flagClosing                     // our side of the stream is closed: input is ignored
	flagGone                        // the connection is closed
	flagDirty                       // in a turn's list of sessions to flush
	flagLeft                        // its end was announced
	flagSlow                        // its outbox was full: the session is being closed
	flagDeferred                    // Manager.deferred has functions for the loop to run
	flagBacklog                     // reading is paused until the client has read its outbox
	flagLogin                       // the login deadline is set
	flagTLS                         // <proceed/> was sent; the TLS handshake is in progress
	flagBinding                     // bound, but the client has not received the result yet
	flagThrottled                   // reading is paused because the account caused too many deliveries
	flagDelayed                     // busy: the response to a failed login is delayed
	flagManaged                     // stream management is enabled: see acks.go
	flagTapped                      // it has a Tap
	flagDetached                    // the connection is lost, and the client may resume the session: see detached.go
	flagMoving                      // the session is moving to another node: see depart.go
	flagPartial                     // Manager.partials counts the stanza that has arrived in part
)

func (s *Session) has(flag uint32) bool { return s.state.Load()&flag != 0 }

// set sets a flag and reports whether it was not set before.
func (s *Session) set(flag uint32) bool { return s.state.Or(flag)&flag == 0 }

func (s *Session) unset(flag uint32) { s.state.And(^flag) }

// Conn returns the session's connection. When a session is resumed, it gets another one, on
// the same loop; the earlier one is closed.
func (s *Session) Conn() Conn { return s.conn.Load().(Conn) }

// admit lifts the limits that apply until a client has an address. Only the goroutine that
// handles the session's input may call it.
func (s *Session) admit() {
	s.parser.Unrestrict()
	s.Conn().Authenticated()
}

// network returns the network that the client's limits are counted under. Only the
// goroutine that handles the session's input may call it.
func (s *Session) network() peernet.Network {
	if n := s.negotiation(); n != nil {
		return n.network
	}
	addr := s.Conn().RemoteAddr().Addr()
	if !addr.IsValid() {
		// The connection is closed. All such sessions share a network that no client can
		// have, so that they do not get loopback's privileges.
		addr = netip.IPv4Unspecified()
	}
	return peernet.Of(addr)
}

// NotOpen reports whether the stream header has not arrived yet.
func (s *Session) NotOpen() bool { return !s.has(flagOpen) }

// Type reports whether the client has authenticated.
func (s *Session) Type() Type {
	if s.has(flagAuthed) {
		return C2S
	}
	return C2SUnauthed
}

// JID returns what is known of the session's address: first the domain, then the account's
// bare JID, then the full JID.
func (s *Session) JID() jid.JID { return s.jid.JID() }

// Username returns the localpart, "" before authentication.
func (s *Session) Username() string { return s.JID().Local() }

// Host returns the domainpart, "" before the stream is opened.
func (s *Session) Host() string { return s.JID().Domain() }

// Resource returns the resourcepart, "" before binding.
func (s *Session) Resource() string { return s.JID().Resource() }

// FullJID returns the full JID, "" before binding.
func (s *Session) FullJID() string {
	j := s.JID()
	if !j.IsFull() {
		return ""
	}
	return j.String()
}

// BareJID returns the account's bare JID, "" before authentication.
func (s *Session) BareJID() string {
	j := s.JID()
	if j.Local() == "" {
		return ""
	}
	return j.BareString()
}

// accountHash returns the hash of the account's bare JID.
func (s *Session) accountHash() uint64 { return s.mgr.table.hash(s.BareJID()) }

// claimed returns the account whose keys were read for the exchange in progress, and the
// account's newest event at that time. bare is "" if there is no exchange. Only the
// goroutine that handles the session's input may call it.
func (s *Session) claimed() (bare string, event int64) {
	if n := s.negotiation(); n != nil && n.sasl != nil {
		x := n.sasl.found()
		return x.who.BareString(), x.event
	}
	return "", 0
}

// Priority returns the priority of the resource's presence, -128 to 127, by default 0 ([RFC
// 6121 section 4.7.2.3]).
//
// [RFC 6121 section 4.7.2.3]: https://www.rfc-editor.org/rfc/rfc6121#section-4.7.2.3
func (s *Session) Priority() int { return int(int8(s.state.Load())) }

// Presence returns the resource's last broadcast presence, nil while the resource is
// unavailable.
func (s *Session) Presence() *Presence { return s.presence.Load() }

// Available reports whether this is an available resource.
func (s *Session) Available() bool { return s.has(flagAvailable) }

// Bound reports whether this is a connected resource: it is in the tables and its client
// has received its full JID. Until then it gets no stanzas from others ([RFC 6120 section
// 7.1]).
//
// [RFC 6120 section 7.1]: https://www.rfc-editor.org/rfc/rfc6120#section-7.1
func (s *Session) Bound() bool {
	return s.state.Load()&(flagBound|flagLeft|flagBinding) == flagBound
}

// SetPresence makes the resource available with this presence and priority, or unavailable
// if p is nil.
func (s *Session) SetPresence(p *Presence, priority int8) {
	old := s.presence.Swap(p)
	if old != nil {
		s.mgr.presences.release(old)
	}
	if was, is := old != nil, p != nil; was != is {
		if is {
			s.mgr.available.Add(1)
		} else {
			s.mgr.available.Add(-1)
		}
	}
	flag := uint32(0)
	if p != nil {
		flag = flagAvailable
	}
	for {
		old := s.state.Load()
		if s.state.CompareAndSwap(old, old&^(flagAvailable|0xff)|flag|uint32(uint8(priority))) {
			return
		}
	}
}

// Next returns the next session of the same account, or nil at the end. The list is unordered
// and may change while it is traversed.
func (s *Session) Next() *Session {
	n := s.next.Load()
	if n == nil {
		return nil
	}
	return n.from(s.BareJID())
}

// from returns the first session of an account in the list that starts at s. Accounts with
// the same hash share a list.
func (s *Session) from(bare string) *Session {
	for s != nil && s.BareJID() != bare {
		s = s.next.Load()
	}
	return s
}

// hasAddress reports whether the list that starts at s has a session with the address of
// other.
func (s *Session) hasAddress(other *Session) bool {
	for x := s.from(other.BareJID()); x != nil; x = x.Next() {
		if x.Resource() == other.Resource() {
			return true
		}
	}
	return false
}
