package session

import (
	"crypto/rand"
	"strconv"
	"strings"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
)

// maxLang is the longest xml:lang of a stream header that is answered, in
// bytes. Language tags that exist are far shorter (BCP 47 asks for 35).
const maxLang = 64

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
	// RFC 6120 section 4.7: 'to' only if the client sent a 'from', and then "the bare
	// JID specified in the 'from' attribute", never its raw text, which may be as large
	// as a stanza and six times as large once it is escaped.
	s.sendOpen(t, host, clientOf(h).String(), lang)
	s.set(flagOpen)
	if e != nil {
		s.end(t, e)
		return
	}
	s.sendFeatures(t)
}

// clientOf returns the bare JID that the 'from' attribute of a header specifies,
// the zero JID where it specifies none.
func clientOf(h parser.Element) jid.JID {
	from, err := jid.Parse(string(h.Attr("from")))
	if err != nil {
		return jid.JID{}
	}
	return from.Bare()
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
	s.jid = domain.Compact()
	s.negotiation().from = ""
	if from := clientOf(h); from.Local() != "" {
		s.negotiation().from = from.String()
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

// newStreamID makes the id of a stream header.
func newStreamID() (id [16]byte) {
	rand.Read(id[:])
	return id
}
