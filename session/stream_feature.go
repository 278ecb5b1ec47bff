package session

import (
	"roost/parser"
	"roost/stanza"
)

// Feature is a stream feature ([RFC 6120 section 4.3]): what is advertised, and what
// handles the client's elements for it. Only Space is always required, together with XML or
// Offer, or a handler. The goroutine that handles the session's input calls the functions.
// They must not block and must not keep their arguments.
//
// [RFC 6120 section 4.3]: https://www.rfc-editor.org/rfc/rfc6120#section-4.3
type Feature struct {
	// When reports whether the stream has the feature in its present state; see
	// Session.Type, Bound and MayLogIn. nil: after authentication.
	When func(s *Session) bool

	// XML is the advertised element, if it is always the same.
	XML string

	// Offer appends the advertised element, or nothing.
	Offer func(s *Session, dst []byte) []byte

	// Required reports whether the client must negotiate the feature before anything else.
	// If so, later features are not advertised yet.
	Required func(s *Session) bool

	// Space is the namespace of the elements that clients send for the feature.
	Space string

	// Element handles a first-level element of the namespace that is not a stanza. rest is
	// what was read after it. It returns false if the element has no meaning on this
	// stream; the stream then ends as if there were no such feature.
	Element func(t *Turn, s *Session, el parser.Element, rest []byte) bool

	// Set handles an iq of type set with a payload of the namespace, from an
	// authenticated client. It returns false if the iq must be handled like any other.
	Set func(t *Turn, s *Session, st *stanza.Stanza) bool

	// Inline is set if a client may also request the feature together with its
	// authentication.
	Inline *Inline

	// Enable is set if a client may also request the feature together with the binding of
	// its resource ([XEP-0386]). It handles an element of Space in <bind/>: the resource is
	// bound, and others cannot send to it yet. It runs on a worker that may read from the
	// store. What it appends to dst is sent in <bound/>; what it sends comes after
	// <success/>.
	//
	// [XEP-0386]: https://xmpp.org/extensions/xep-0386.html
	Enable func(t *Turn, s *Session, request parser.Element, dst []byte) []byte

	// Resumed is called after the client has resumed the session ([XEP-0198]). What it sends
	// comes after what the client has missed, and before the replies to what it sends next.
	//
	// [XEP-0198]: https://xmpp.org/extensions/xep-0198.html#resumption
	Resumed func(t *Turn, s *Session)
}

// Inline is what a client may request in <authenticate/> ([XEP-0388]), as an element of the
// feature's Space.
//
// [XEP-0388]: https://xmpp.org/extensions/xep-0388.html
type Inline struct {
	// Offer appends the element that is advertised in <inline/>, or nothing.
	Offer func(s *Session, dst []byte) []byte

	// Needs returns the kind of worker that Handle needs, at most Write. nil: Done.
	Needs func(s *Session, request parser.Element) Work

	// Handle handles the request after the client has authenticated and before it binds a
	// resource. What it appends to dst is sent in <success/>.
	Handle func(t *Turn, s *Session, request parser.Element, dst []byte) []byte

	// Resume, if set, is called instead of Handle for the first element named resume, before
	// the other requests are handled, on the session's loop. It makes the client's connection
	// that of an earlier session of the same account, which may be on another loop, so it
	// returns before that has happened. If it succeeds, the earlier session gets what success
	// appends, <success/> for its full JID with the result of the resumption, and after it what
	// its client has missed: it exists for others, so the three must be one step. Nothing else
	// that the client has requested is handled then, nor does the client get features: the old
	// stream continues ([XEP-0198, Inline Stream Resumption]).
	//
	// If the session cannot be resumed, failed must be called with the reason, an element, by
	// the goroutine that handles this session's input, which has its connection back. It
	// continues the login, and with it a request to bind a resource. It does not keep result.
	//
	// [XEP-0198, Inline Stream Resumption]: https://xmpp.org/extensions/xep-0198.html#inline-resume
	Resume func(t *Turn, s *Session, request parser.Element, success AppendSuccess, failed func(t *Turn, result []byte))
}

// resumes reports whether a request is one to resume a session.
func (x *Inline) resumes(request parser.Element) bool {
	return x.Resume != nil && string(request.Local()) == "resume"
}

// AppendSuccess appends <success/> of SASL2 for a client with this address. result is an
// element that is added to what the client's other requests have led to.
type AppendSuccess func(dst []byte, full string, result []byte) []byte

func (f *Feature) available(s *Session) bool {
	if f.When == nil {
		return s.has(flagAuthed)
	}
	return f.When(s)
}

// newFeatures returns the features of RFC 6120 in the order in which they are advertised.
func newFeatures() []Feature {
	return []Feature{startTLSFeature, saslFeature, sasl2Feature, bindFeature, sessionFeature}
}

// AddFeatures appends features. They are advertised after the existing ones. It must be
// called before the first New.
func (m *Manager) AddFeatures(fs ...Feature) { m.features = append(m.features, fs...) }

// appendFeatures appends the features for the stream's present state.
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

// negotiate handles a first-level element that is not a stanza.
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

// featureSet passes an iq of type set to the feature of its namespace, and reports whether
// one handled it.
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

// MayLogIn reports whether the client has not authenticated yet and the stream is secure
// enough to do so.
func (s *Session) MayLogIn() bool { return !s.has(flagAuthed) && s.mayAuthenticate() }

// mayAuthenticate reports whether the stream is secure enough for a login.
func (s *Session) mayAuthenticate() bool {
	return s.Conn().Secure() || s.mgr.config().AllowPlaintext
}
