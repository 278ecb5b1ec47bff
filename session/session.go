package session

import (
	"crypto/tls"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"roost/internal/peernet"
	"roost/jid"
	"roost/parser"
)

// Conn is the connection under a session, as far as a session needs it. Bytes
// go through an outbox bounded in bytes; nothing here ever waits.
type Conn interface {
	Queue(p []byte) error            // copies p to the outbox; an error means nothing was taken
	Flush() (full bool)              // writes what is queued, as far as the socket takes it; true: bytes are left, and Drained is called when they are gone
	Queued() int                     // bytes in the outbox
	Pause()                          // stops reading; only from the loop
	Resume()                         // starts reading again
	Post(f func(loop int))           // runs f on the connection's loop, soon
	StartTLS(*tls.Config) error      // begins TLS after what is queued; only from within Data
	Close(linger time.Duration)      // flushes, closes, waits at most linger for the peer
	SetDeadline(after time.Duration) // closes the connection when it is still there then; 0 takes it back
	Hold(n int) bool                 // says how many bytes the session holds before authentication; false: too many, the stream has to end
	Authenticated()                  // nothing is counted any more, and the limits before authentication no longer apply
	RemoteAddr() netip.AddrPort
	Secure() bool
}

// Type is how far a session has come, in the words of the session model.
type Type string

// The types of a session.
const (
	C2SUnauthed Type = "c2s_unauthed" // not authenticated yet
	C2S         Type = "c2s"          // a local client
)

// Session is one client's stream. A million of them idle at a time: every field
// is paid for a million times, and a test holds the size.
type Session struct {
	mgr  *Manager // immutable
	conn Conn     // immutable

	// jid never changes after binding, and other goroutines only see bound
	// sessions.
	jid      jid.Compact
	state    atomic.Uint32 // flags, and the priority in the low byte
	event    atomic.Uint32 // the account's newest event when it authenticated, the low bits; see Event
	next     atomic.Pointer[Session]
	presence atomic.Pointer[Presence]
	parser   parser.Parser // owned by the loop
	cold     atomic.Pointer[coldState]
}

// coldState is what only some sessions need some of the time.
type coldState struct {
	negotiation *negotiation // owned by the loop or worker; nil once bound

	mu      sync.Mutex
	slots   *slotValue // values of Slots
	onDrain []func(*Turn)
}

// Flags of Session.state. The low byte is the priority.
const (
	flagOpen      = 1 << (8 + iota) // a stream header was read and answered
	flagAuthed                      // SASL succeeded
	flagBound                       // in the tables: a connected resource
	flagAvailable                   // an available resource
	flagBusy                        // a worker has the session
	flagClosing                     // our side of the stream is closed: input is ignored
	flagGone                        // the connection is closed
	flagDirty                       // in some turn's list of sessions to flush
	flagLeft                        // its leaving was announced
	flagSlow                        // its outbox was full: it is being closed
	flagDeferred                    // Manager.deferred has something for the loop
	flagBacklog                     // reading is paused until the client has read
	flagLogin                       // the deadline of the login runs
	flagTLS                         // <starttls/> was answered with <proceed/>, the handshake is under way
	flagBinding                     // bound, and the client has not been told
	flagThrottled                   // reading is paused until deliveries that the client has caused are forgiven
	flagDelayed                     // busy: the response to a failed login waits for its time

	flagEnd // this bit and those above are for Flags
)

func (s *Session) has(flag uint32) bool { return s.state.Load()&flag != 0 }

// set sets a flag and reports whether it was not set before.
func (s *Session) set(flag uint32) bool { return s.state.Or(flag)&flag == 0 }

func (s *Session) unset(flag uint32) { s.state.And(^flag) }

// Conn is the connection.
func (s *Session) Conn() Conn { return s.conn }

// network is the network that limits count the client under. Only the goroutine that
// handles the session's input may call it.
func (s *Session) network() peernet.Network {
	if n := s.negotiation(); n != nil {
		return n.network
	}
	addr := s.conn.RemoteAddr().Addr()
	if !addr.IsValid() {
		// The connection is closed. Those share a network that no client has: they
		// must not get what loopback may have.
		addr = netip.IPv4Unspecified()
	}
	return peernet.Of(addr)
}

// NotOpen reports whether no stream header has come yet.
func (s *Session) NotOpen() bool { return !s.has(flagOpen) }

// Type tells whether the client is authenticated.
func (s *Session) Type() Type {
	if s.has(flagAuthed) {
		return C2S
	}
	return C2SUnauthed
}

// JID is the address as far as it is known: the domain, then the account's bare
// JID, then the full JID.
func (s *Session) JID() jid.JID { return s.jid.JID() }

// Username is the localpart, "" before authentication.
func (s *Session) Username() string { return s.JID().Local() }

// Host is the domainpart, "" before the stream is opened.
func (s *Session) Host() string { return s.JID().Domain() }

// Resource is the resourcepart, "" before binding.
func (s *Session) Resource() string { return s.JID().Resource() }

// FullJID is the full JID, "" before binding.
func (s *Session) FullJID() string {
	j := s.JID()
	if !j.IsFull() {
		return ""
	}
	return j.String()
}

// BareJID is the account's address, "" before authentication.
func (s *Session) BareJID() string {
	j := s.JID()
	if j.Local() == "" {
		return ""
	}
	return j.BareString()
}

// accountHash is the hash of the account's address.
func (s *Session) accountHash() uint64 { return s.mgr.table.hash(s.BareJID()) }

// claimed is the account, "" if there is none, whose keys were read for the exchange that
// is under way, and its newest event then. Only the goroutine that handles the session's
// input may call it.
func (s *Session) claimed() (bare string, event int64) {
	if n := s.negotiation(); n != nil && n.sasl != nil {
		x := n.sasl.found()
		return x.who.BareString(), x.event
	}
	return "", 0
}

// Priority is the priority of the resource's presence, -128 to 127, 0 by
// default (RFC 6121 section 4.7.2.3).
func (s *Session) Priority() int { return int(int8(s.state.Load())) }

// Presence is the last broadcast presence without a type, nil while the
// resource is not available.
func (s *Session) Presence() *Presence { return s.presence.Load() }

// Available reports whether this is an available resource.
func (s *Session) Available() bool { return s.has(flagAvailable) }

// Bound reports whether this is a connected resource: one that is in the tables,
// and whose client knows it. RFC 6120 section 7.1: until then it is sent nothing
// of others.
func (s *Session) Bound() bool {
	return s.state.Load()&(flagBound|flagLeft|flagBinding) == flagBound
}

// SetPresence makes the resource available with this presence and priority, or
// unavailable with nil.
func (s *Session) SetPresence(p *Presence, priority int8) {
	if old := s.presence.Swap(p); old != nil {
		s.mgr.presences.release(old)
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

// Next is the next session of the same account, nil at the end. The list is
// unordered and may be walked while it changes.
func (s *Session) Next() *Session {
	n := s.next.Load()
	if n == nil {
		return nil
	}
	return n.from(s.BareJID())
}

// from is the first session of an account in the list that begins with s, which
// accounts of the same hash share.
func (s *Session) from(bare string) *Session {
	for s != nil && s.BareJID() != bare {
		s = s.next.Load()
	}
	return s
}

// negotiation is the negotiation of the stream, nil once the session is bound. Only the
// goroutine that handles the session's input may call it.
func (s *Session) negotiation() *negotiation {
	if x := s.cold.Load(); x != nil {
		return x.negotiation
	}
	return nil
}

// OnDrain has f called once, by the goroutine that handles the session's input,
// after what was given before: when the socket has taken all that it could not take at
// once, or soon if there is nothing of that kind.
func (s *Session) OnDrain(f func(*Turn)) {
	x := s.ensureCold()
	x.mu.Lock()
	x.onDrain = append(x.onDrain, f)
	x.mu.Unlock()
	if !s.conn.Flush() {
		s.conn.Post(s.Drained) // the socket took everything, and says so only after it was full
	}
}

func (s *Session) takeOnDrain() []func(*Turn) {
	x := s.cold.Load()
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	fs := x.onDrain
	x.onDrain = nil
	return fs
}

func (s *Session) ensureCold() *coldState {
	if x := s.cold.Load(); x != nil {
		return x
	}
	s.cold.CompareAndSwap(nil, new(coldState))
	return s.cold.Load()
}
