package session

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"strconv"
	"strings"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
)

// Namespaces of stream negotiation.
const (
	nsTLS          = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL         = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind         = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSession      = "urn:ietf:params:xml:ns:xmpp-session"
	nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
	nsXML          = "http://www.w3.org/XML/1998/namespace"
)

// maxLang is the longest xml:lang of a stream header that is answered, in
// bytes. Language tags that exist are far shorter (BCP 47 asks for 35).
const maxLang = 64

// negotiation is what a session needs until it is bound, and then no more.
type negotiation struct {
	binding    channelBindings
	sasl       exchange // nil outside an exchange
	mech       *mechanism
	saslTries  int
	bindTries  int
	from       string // bare JID of the last stream header's 'from', normalized
	registered bool
	secured    bool // TLS is on

	// otherBinding: the client has tried a channel binding that is not offered.
	otherBinding bool
}

// Registered reports whether the client has created an account on this stream
// (XEP-0077): one is all that it may. Only the goroutine that handles the
// session's input may call it.
func (s *Session) Registered() bool { return s.neg() != nil && s.neg().registered }

// SetRegistered notes that the client has created an account. Only the
// goroutine that handles the session's input may call it.
func (s *Session) SetRegistered() {
	if s.neg() != nil {
		s.neg().registered = true
	}
}

// Data handles bytes that came from the client. They are lent until it returns;
// it answers how many it has used, fewer than all when the session is busy.
func (s *Session) Data(loop int, p []byte) int {
	t := s.mgr.turns[loop]
	n := 0
	for n < len(p) && !s.has(flagClosing|flagBusy|flagBacklog) {
		ev, used, err := s.parser.Next(t.scratch, p[n:])
		n += used
		if err != nil {
			s.end(t, parserError(err))
			break
		}
		switch ev {
		case parser.StreamOpen:
			s.openStream(t, t.scratch.Doc().Root())
		case parser.Stanza:
			s.element(t, p[n:])
			if s.has(flagTLS) {
				return len(p) // the next byte belongs to the handshake
			}
		case parser.StreamClose:
			s.end(t, nil)
		}
		if s.has(flagDirty) && !s.has(flagBusy|flagClosing) && s.backlog(t) {
			break
		}
	}
	if s.has(flagClosing) {
		return len(p)
	}
	return n
}

// Secured is called when the TLS handshake is done. RFC 6120 section 5.4.3.3:
// both parties discard what they knew from the stream before TLS.
func (s *Session) Secured(loop int, state *tls.ConnectionState) {
	t := s.mgr.turns[loop]
	s.parser.Free(t.scratch)
	s.parser.Reset()
	s.unset(flagOpen | flagTLS)
	s.jid = jid.Kept{}
	if s.neg() != nil {
		// An exchange that began in clear is none that may end here.
		s.neg().sasl, s.neg().mech, s.neg().otherBinding = nil, nil, false
		s.neg().secured = true
		s.neg().binding = s.mgr.bindingsOf(state)
	}
}

// Drained is called when the socket has taken all of a full outbox.
func (s *Session) Drained(loop int) {
	s.whenFree(s.mgr.turns[loop], func(t *Turn) {
		s.unset(flagBacklog)
		for _, f := range s.takeOnDrain() {
			s.whenFree(t, f) // the one before may have given the session to a worker
		}
		if !s.has(flagBusy) {
			s.conn.Resume()
		}
	})
}

// Closed is called once, when the connection is gone.
func (s *Session) Closed(loop int, err error) {
	s.set(flagGone)
	s.whenFree(s.mgr.turns[loop], func(t *Turn) {
		if err != nil {
			s.mgr.cfg.Logger.Debug("connection closed", "jid", s.FullJID(), "err", err)
		}
		s.set(flagClosing)
		s.parser.Free(t.scratch)
		s.mgr.Destroy(t, s)
	})
}

// Close ends the stream, with an error or nil, and cleans up the session. It
// may be called from any goroutine and returns at once.
func (s *Session) Close(e *StreamError) {
	s.onLoop(func(t *Turn) { s.end(t, e) })
}

// end closes our side of the stream. RFC 6120 section 4.4: what is queued is
// flushed, our close answers or precedes the peer's, TLS and TCP follow; the
// connection waits, bounded, for the peer's side. Only the goroutine that
// handles the session's input may call it.
func (s *Session) end(t *Turn, e *StreamError) {
	if !s.set(flagClosing) {
		return
	}
	b := t.Buf()
	if s.NotOpen() {
		// RFC 6120 section 4.9.1.2: "the receiving entity MUST send both the
		// opening <stream:stream> and the closing </stream:stream>".
		b = s.appendHeader(b, s.answerHost(), "", "")
	}
	if e != nil {
		b = e.AppendXML(b)
	}
	b = append(b, "</stream:stream>"...)
	s.SendBytes(t, b)
	t.Keep(b)
	s.mgr.Destroy(t, s)
	s.conn.Close(s.mgr.cfg.Linger)
}

// overflow is called when the outbox takes no more: the client does not read.
func (s *Session) overflow() {
	if !s.set(flagSlow) {
		return
	}
	s.onLoop(func(t *Turn) {
		s.set(flagClosing)
		s.mgr.Destroy(t, s)
		if s.mgr.cfg.DetachSlow {
			s.conn.Close(s.mgr.cfg.Linger)
			return
		}
		s.conn.Close(0)
	})
}

// openStream answers a stream header (RFC 6120 section 4.7).
func (s *Session) openStream(t *Turn, h parser.Element) {
	host, e := s.checkHeader(h)
	if s.mgr.stopping.Load() && e == nil {
		e = ErrSystemShutdown
	}
	lang := string(h.AttrNS(nsXML, "lang"))
	if len(lang) > maxLang {
		lang = ""
	}
	b := s.appendHeader(t.Buf(), host, string(h.Attr("from")), lang)
	s.set(flagOpen)
	if e == nil {
		b = s.appendFeatures(b)
	}
	s.SendBytes(t, b)
	t.Keep(b)
	if e != nil {
		s.end(t, e)
	}
}

// checkHeader judges a stream header and returns the domain that answers it.
func (s *Session) checkHeader(h parser.Element) (host string, e *StreamError) {
	host = s.answerHost()
	if string(h.Local()) != "stream" {
		return host, ErrBadFormat
	}
	if string(h.Space()) != stanza.NSStreams || !contentNamespaceOK(h) {
		return host, ErrInvalidNamespace
	}
	domain, err := jid.Parse(string(h.Attr("to")))
	if err != nil || !s.mgr.Serves(domain.String()) {
		return host, ErrHostUnknown
	}
	if s.has(flagAuthed) && domain.String() != host {
		return host, ErrHostUnknown // the account is of another domain
	}
	host = domain.String()
	if !versionOK(string(h.Attr("version"))) {
		return host, ErrUnsupportedVersion
	}
	if s.has(flagAuthed) {
		return host, s.checkFrom(h)
	}
	s.jid = domain.Keep()
	s.neg().from = ""
	if from, err := jid.Parse(string(h.Attr("from"))); err == nil && from.Local() != "" {
		s.neg().from = from.BareString()
	}
	return host, nil
}

// checkFrom holds the header's 'from' to the account that authenticated: a
// mismatch is <invalid-from/> (RFC 6120 section 4.9.3.9).
func (s *Session) checkFrom(h parser.Element) *StreamError {
	v := h.Attr("from")
	if v == nil {
		return nil
	}
	from, err := jid.Parse(string(v))
	if err == nil && from.Local() == "" {
		return nil // COMPAT: Net::XMPP names the domain, which claims nothing
	}
	if err != nil || from.BareString() != s.BareJID() {
		return ErrInvalidFrom
	}
	return nil
}

// contentNamespaceOK reports whether the header's default namespace is
// jabber:client or, for a stream without prefixes, the stream namespace itself
// (RFC 6120 section 4.8.3).
func contentNamespaceOK(h parser.Element) bool {
	space := string(h.DeclaredDefault())
	return space == stanza.NSClient || space == stanza.NSStreams
}

// versionOK compares numerically, major and minor apart (RFC 6120 section
// 4.7.5): 1.0 and everything later is answered as 1.0.
func versionOK(v string) bool {
	major, minor, found := strings.Cut(v, ".")
	a, err1 := strconv.Atoi(major)
	_, err2 := strconv.Atoi(minor)
	return found && err1 == nil && err2 == nil && a >= 1
}

// answerHost is the domain that our header names while the client's is not
// known to be ours.
func (s *Session) answerHost() string {
	if h := s.Host(); h != "" {
		return h
	}
	return s.mgr.cfg.Domains[0]
}

// appendHeader appends our stream header. RFC 6120 section 4.7: 'from', an id
// that cannot be guessed, version and xml:lang; 'to' only if the client said
// who it is.
func (s *Session) appendHeader(b []byte, host, to, lang string) []byte {
	var id [16]byte
	rand.Read(id[:])
	b = append(b, "<?xml version='1.0'?><stream:stream xmlns='jabber:client'"+
		" xmlns:stream='"+stanza.NSStreams+"' id='"...)
	b = hex.AppendEncode(b, id[:])
	b = append(b, "' from='"...)
	b = parser.AppendEscaped(b, host)
	if to != "" {
		b = append(b, "' to='"...)
		b = parser.AppendEscaped(b, to)
	}
	if lang == "" {
		lang = "en"
	}
	b = append(b, "' version='1.0' xml:lang='"...)
	b = parser.AppendEscaped(b, lang)
	return append(b, "'>"...)
}

// appendFeatures appends the features for the state that the stream is in.
func (s *Session) appendFeatures(b []byte) []byte {
	b = append(b, "<stream:features>"...)
	if s.has(flagAuthed) {
		b = append(b, "<bind xmlns='"+nsBind+"'/>"...)
		// RFC 6121 section 1.4: the session of RFC 3921 is a no-op.
		b = append(b, "<session xmlns='"+nsSession+"'><optional/></session>"...)
		b = s.mgr.cfg.Router.AppendFeatures(b, true)
		return append(b, "</stream:features>"...)
	}
	if s.mgr.cfg.TLS != nil && !s.conn.Secure() {
		b = append(b, "<starttls xmlns='"+nsTLS+"'>"...)
		if !s.mgr.cfg.AllowPlaintext {
			// RFC 6120 section 5.3.1: while TLS is required it is the only
			// feature that is offered.
			return append(b, "<required/></starttls></stream:features>"...)
		}
		b = append(b, "</starttls>"...)
	}
	b = s.appendMechanisms(b)
	b = s.mgr.cfg.Router.AppendFeatures(b, false)
	return append(b, "</stream:features>"...)
}

// element handles one first-level element; behind is what follows it in what
// the connection delivered.
func (s *Session) element(t *Turn, behind []byte) {
	d := t.scratch.Doc()
	root := d.Root()
	st := &t.stanza
	err := stanza.Read(d, st)
	reply, bad := err.(*stanza.ErrorReply) // errors.As would allocate
	switch {
	case err == stanza.ErrUnsupported:
		s.negotiate(t, root, behind)
	case !s.has(flagAuthed):
		s.beforeAuth(t, st, err == nil)
	case bad:
		s.reply(t, st, reply)
	case !s.has(flagBound):
		s.beforeBinding(t, st)
	default:
		s.route(t, st)
	}
	t.stanza = stanza.Stanza{}
}

// route hands a stanza to the router, on a worker where it has to wait.
func (s *Session) route(t *Turn, st *stanza.Stanza) {
	if st.Kind == stanza.IQ && st.Type == stanza.Set && s.boundSet(t, st) {
		return
	}
	r := s.mgr.cfg.Router
	if r.Stanza(t, s, st) {
		return
	}
	pool := s.poolFor(st)
	d := t.scratch.Take()
	s.block(pool, func(t *Turn) {
		defer d.Release()
		var st stanza.Stanza
		_ = stanza.Read(d, &st) // it was read before
		r.Stanza(t, s, &st)
	})
}

// boundSet answers what belongs to binding and comes from a client that is
// bound: the session of RFC 3921, and another attempt to bind, which RFC 6120
// section 7.6.2.2 has <not-allowed/> for.
func (s *Session) boundSet(t *Turn, st *stanza.Stanza) bool {
	payload := st.Payload()
	switch string(payload.Space()) {
	case nsBind:
		if s.addressed(st) && payload.Is(nsBind, "bind") {
			s.reply(t, st, stanza.NotAllowed.WithText("A resource is bound already."))
			return true
		}
	case nsSession:
		if s.addressed(st) && payload.Is(nsSession, "session") {
			s.result(t, st)
			return true
		}
	}
	return false
}

// addressed reports whether a stanza is for the server or for the client's own
// account.
func (s *Session) addressed(st *stanza.Stanza) bool {
	return !st.HasTo || st.To.String() == s.Host() || st.To.String() == s.BareJID()
}

// poolFor is the pool of workers that a stanza is for.
func (s *Session) poolFor(st *stanza.Stanza) *workers {
	if s.mgr.cfg.Router.Keys(s, st) {
		return s.mgr.keys
	}
	return s.mgr.io
}

// beforeAuth handles a stanza of a client that is not authenticated: in-band
// registration is the only thing that may be asked for.
func (s *Session) beforeAuth(t *Turn, st *stanza.Stanza, valid bool) {
	if !valid || st.Kind != stanza.IQ || !st.Type.IsRequest() || !s.mayAuthenticate() {
		// RFC 6120 section 4.9.3.12.
		s.end(t, ErrNotAuthorized)
		return
	}
	s.handOver(t, st)
}

// handOver lets the router handle an iq of a client without a resource.
func (s *Session) handOver(t *Turn, st *stanza.Stanza) {
	pool := s.poolFor(st)
	d := t.scratch.Take()
	s.block(pool, func(t *Turn) {
		defer d.Release()
		var st stanza.Stanza
		_ = stanza.Read(d, &st) // it was read before
		if !s.mgr.cfg.Router.Unbound(t, s, &st) {
			s.end(t, ErrNotAuthorized)
		}
	})
}

// beforeBinding handles a stanza of a client that has no resource yet. RFC 6120
// section 7.1: a stanza "to an entity other than the server itself or the
// client's account" is not processed and ends the stream.
func (s *Session) beforeBinding(t *Turn, st *stanza.Stanza) {
	if st.Kind != stanza.IQ || !s.addressed(st) || !st.Type.IsRequest() {
		s.end(t, ErrNotAuthorized)
		return
	}
	switch payload := st.Payload(); {
	case st.Type == stanza.Set && payload.Is(nsBind, "bind"):
		s.bindRequest(t, st)
	case st.Type == stanza.Set && payload.Is(nsSession, "session"):
		s.result(t, st)
	default:
		s.handOver(t, st)
	}
}

// result answers an iq with an empty result.
func (s *Session) result(t *Turn, st *stanza.Stanza) {
	b := stanza.AppendResult(t.Buf(), st, s.FullJID())
	s.SendBytes(t, b)
	t.Keep(b)
}

// negotiate handles a first-level element that is no stanza.
func (s *Session) negotiate(t *Turn, el parser.Element, behind []byte) {
	space, local := string(el.Space()), string(el.Local())
	switch {
	case space == nsTLS && local == "starttls" && s.mgr.cfg.TLS != nil && !s.conn.Secure() && !s.has(flagAuthed):
		s.startTLS(t, behind)
	case space == nsTLS:
		// RFC 6120 section 5.4.2.2: the command is malformed, or "the receiving
		// entity did not offer the STARTTLS feature in its stream features".
		s.failTLS(t)
	case space == nsSASL && !s.has(flagAuthed) && s.mayAuthenticate():
		s.saslElement(t, el)
	case space == nsSASL && !s.has(flagAuthed):
		// RFC 6120 section 6.5.5: the mechanism needs TLS first.
		s.saslFail(t, saslEncryptionRequired)
	case !s.has(flagAuthed) && space != stanza.NSClient:
		s.end(t, ErrNotAuthorized)
	default:
		s.end(t, ErrUnsupportedStanza)
	}
}

// mayAuthenticate reports whether the stream is safe enough for a login.
func (s *Session) mayAuthenticate() bool {
	return s.conn.Secure() || s.mgr.cfg.AllowPlaintext
}

// startTLS answers <starttls/>. RFC 6120 section 5.4.2.3: TLS begins right
// behind <proceed/>; bytes that the client sent in clear behind <starttls/>
// are never treated as input, which would let a man in the middle inject them.
func (s *Session) startTLS(t *Turn, behind []byte) {
	// COMPAT: go-xmpp ends every element with a line feed. White space is no
	// input; it is dropped, not parsed.
	if len(bytes.TrimSpace(behind)) > 0 {
		s.failTLS(t)
		return
	}
	s.SendBytes(t, []byte("<proceed xmlns='"+nsTLS+"'/>"))
	if err := s.conn.StartTLS(s.mgr.cfg.TLS); err != nil {
		s.failTLS(t)
		return
	}
	s.set(flagTLS)
}

// failTLS ends a stream whose TLS negotiation failed (RFC 6120 section 5.4.2.2:
// the failure is followed by the closing tag).
func (s *Session) failTLS(t *Turn) {
	s.SendBytes(t, []byte("<failure xmlns='"+nsTLS+"'/>"))
	s.end(t, nil)
}
