package session

import (
	"crypto/rand"
	"strconv"
	"strings"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
)

// maxLang is the longest xml:lang of a stream header that ours repeats, in bytes. Real
// language tags are far shorter ([BCP 47] asks for at least 35).
//
// [BCP 47]: https://www.rfc-editor.org/rfc/rfc5646#section-4.4.1
const maxLang = 64

// openStream responds to a stream header ([RFC 6120 section 4.7]).
//
// [RFC 6120 section 4.7]: https://www.rfc-editor.org/rfc/rfc6120#section-4.7
func (s *Session) openStream(t *Turn, h parser.Element) {
	host, e := s.checkHeader(h)
	if s.mgr.stopping.Load() && e == nil {
		e = ErrSystemShutdown
	}
	lang := string(h.AttrNS(nsXML, "lang"))
	if len(lang) > maxLang {
		lang = ""
	}
	// [RFC 6120 section 4.7.2]: 'to' only if the client sent 'from', and then "the bare JID
	// specified in the 'from' attribute". Never its raw text, which may be as large as a
	// stanza, and six times as large when escaped.
	//
	// [RFC 6120 section 4.7.2]: https://www.rfc-editor.org/rfc/rfc6120#section-4.7.2
	s.sendOpen(t, host, clientOf(h).String(), lang)
	s.set(flagOpen)
	if e != nil {
		s.end(t, e)
		return
	}
	s.sendFeatures(t)
}

// clientOf returns the bare JID in the header's 'from' attribute, the zero JID if there is
// no valid one.
func clientOf(h parser.Element) jid.JID {
	from, err := jid.Parse(string(h.Attr("from")))
	if err != nil {
		return jid.JID{}
	}
	return from.Bare()
}

// checkHeader checks a stream header and returns the domain for our own header.
func (s *Session) checkHeader(h parser.Element) (host string, e *StreamError) {
	host = s.responseHost()
	f := s.framing()
	if string(h.Local()) != f.header {
		return host, ErrBadFormat
	}
	if string(h.Space()) != f.headerSpace || f.inherits && !contentNamespaceOK(h) {
		return host, ErrInvalidNamespace
	}
	domain, err := jid.Parse(string(h.Attr("to")))
	if err != nil || !s.mgr.Serves(domain.String()) {
		return host, ErrHostUnknown
	}
	if s.has(flagAuthed) && domain.String() != host {
		return host, ErrHostUnknown // the account belongs to another domain
	}
	host = domain.String()
	if !versionOK(string(h.Attr("version"))) {
		return host, ErrUnsupportedVersion
	}
	if s.has(flagAuthed) {
		return host, s.checkFrom(h)
	}
	s.jid = domain.Compact()
	s.negotiation().missing = s.mgr.missing.of(host)
	s.negotiation().from = ""
	if from := clientOf(h); from.Local() != "" {
		s.negotiation().from = from.String()
	}
	return host, nil
}

// checkFrom compares the header's 'from' with the authenticated account. A mismatch is
// <invalid-from/> ([RFC 6120 section 4.9.3.9]).
//
// [RFC 6120 section 4.9.3.9]: https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.9
func (s *Session) checkFrom(h parser.Element) *StreamError {
	v := h.Attr("from")
	if v == nil {
		return nil
	}
	from, err := jid.Parse(string(v))
	if err == nil && from.Local() == "" {
		return nil // COMPAT: Net::XMPP sends the domain, which claims no account
	}
	if err != nil || from.BareString() != s.BareJID() {
		return ErrInvalidFrom
	}
	return nil
}

// contentNamespaceOK reports whether the header's default namespace is jabber:client or,
// for a stream without prefixes, the stream namespace itself ([RFC 6120 section 4.8.3]).
//
// [RFC 6120 section 4.8.3]: https://www.rfc-editor.org/rfc/rfc6120#section-4.8.3
func contentNamespaceOK(h parser.Element) bool {
	space := string(h.DeclaredDefault())
	return space == stanza.NSClient || space == stanza.NSStreams
}

// versionOK reports whether the version is 1.0 or later; we respond to all of these with
// 1.0. Major and minor are compared as separate numbers ([RFC 6120 section 4.7.5]).
//
// [RFC 6120 section 4.7.5]: https://www.rfc-editor.org/rfc/rfc6120#section-4.7.5
func versionOK(v string) bool {
	major, minor, found := strings.Cut(v, ".")
	a, err1 := strconv.Atoi(major)
	_, err2 := strconv.Atoi(minor)
	return found && err1 == nil && err2 == nil && a >= 1
}

// responseHost returns the domain for our header: the client's, once it is known to be one
// of ours, otherwise the first one served.
func (s *Session) responseHost() string {
	if h := s.Host(); h != "" {
		return h
	}
	return s.mgr.config().Domains[0]
}

// newStreamID returns a random id for a stream header.
func newStreamID() (id [16]byte) {
	rand.Read(id[:])
	return id
}
