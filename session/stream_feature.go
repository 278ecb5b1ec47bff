package session

import (
	"roost/parser"
	"roost/stanza"
)

// Feature is one feature of a stream (RFC 6120 section 4.3): what is offered, and what
// handles what a client sends for it. All but Space and one of the others may be left
// out. The functions are called by the goroutine that handles the session's input, must
// not wait, and keep nothing of what they are lent.
type Feature struct {
	// When reports whether there is the feature on the stream as it is now. nil: for
	// clients that are authenticated. The state of a stream is Session.Type, Bound and
	// MayLogIn.
	When func(s *Session) bool

	// XML is the element that is offered, if it is always the same.
	XML string

	// Offer appends the element that is offered, or nothing.
	Offer func(s *Session, dst []byte) []byte

	// Required reports whether the client must negotiate the feature before anything
	// else: those that come later are not offered meanwhile.
	Required func(s *Session) bool

	// Space is the namespace of what clients send for the feature.
	Space string

	// Element handles a first-level element of the namespace that is no stanza; rest
	// is what was read after it. False: the element has no meaning on this stream, as
	// if there were no such feature, and ends it.
	Element func(t *Turn, s *Session, el parser.Element, rest []byte) bool

	// Set handles an iq of type set with a payload of the namespace, of a client that
	// is authenticated. False: it is handled as any other iq.
	Set func(t *Turn, s *Session, st *stanza.Stanza) bool
}

func (f *Feature) available(s *Session) bool {
	if f.When == nil {
		return s.has(flagAuthed)
	}
	return f.When(s)
}

// newFeatures lists the features of RFC 6120 in the order in which they are offered;
// AddFeatures adds others.
func newFeatures() []Feature {
	return []Feature{startTLSFeature, saslFeature, bindFeature, sessionFeature}
}

// AddFeatures adds features, which are offered after those there are. It is to be
// called before the first New.
func (m *Manager) AddFeatures(fs ...Feature) { m.features = append(m.features, fs...) }

// appendFeatures appends the features for the state that the stream is in.
func (s *Session) appendFeatures(b []byte) []byte {
	for i := range s.mgr.features {
		f := &s.mgr.features[i]
		if !f.available(s) {
			continue
		}
		b = append(b, f.XML...)
		if f.Offer != nil {
			b = f.Offer(s, b)
		}
		if f.Required != nil && f.Required(s) {
			break
		}
	}
	return b
}

// negotiate handles a first-level element that is no stanza.
func (s *Session) negotiate(t *Turn, el parser.Element, rest []byte) {
	space := el.Space()
	for i := range s.mgr.features {
		f := &s.mgr.features[i]
		if f.Element != nil && f.Space == string(space) && f.available(s) && f.Element(t, s, el, rest) {
			return
		}
	}
	if !s.has(flagAuthed) && string(space) != stanza.NSClient {
		s.end(t, ErrNotAuthorized)
		return
	}
	s.end(t, ErrUnsupportedStanza)
}

// featureSet has an iq of type set handled by the feature that it belongs to, and
// reports whether there is one.
func (s *Session) featureSet(t *Turn, st *stanza.Stanza) bool {
	space := st.Payload().Space()
	for i := range s.mgr.features {
		f := &s.mgr.features[i]
		if f.Set != nil && f.Space == string(space) && f.available(s) && f.Set(t, s, st) {
			return true
		}
	}
	return false
}

// MayLogIn reports whether the client is not authenticated, and the stream is safe
// enough for that.
func (s *Session) MayLogIn() bool { return !s.has(flagAuthed) && s.mayAuthenticate() }

// mayAuthenticate reports whether the stream is safe enough for a login.
func (s *Session) mayAuthenticate() bool {
	return s.conn.Secure() || s.mgr.cfg.AllowPlaintext
}
