package session

import (
	"encoding/hex"

	"roost/parser"
	"roost/stanza"
)

// framing is what delimits a stream, and its parts that depend on the transport. On TCP a
// stream is one XML document: its header declares the namespaces and is not closed until
// the stream is ([RFC 6120 section 4.2]). Over WebSocket, the header, the close and each
// first-level element are messages, each a document of its own ([RFC 7395 section 3.3]).
//
// [RFC 6120 section 4.2]: https://www.rfc-editor.org/rfc/rfc6120#section-4.2
// [RFC 7395 section 3.3]: https://www.rfc-editor.org/rfc/rfc7395#section-3.3
type framing struct {
	header, headerSpace string // local name and namespace of the client's stream header
	inherits            bool   // the header declares the default namespace of the stanzas

	// XML that the server sends.
	open     string // the start of the stream header, up to its attributes; it declares the namespaces
	openEnd  string // the end of the stream header, after its attributes
	close    string // the end of the stream
	features string // the start tag of <stream:features/>, whose end tag has the prefix "stream"
	err      string // the start tag of <stream:error/>; the same applies to its end tag
}

// streamFraming is that of RFC 6120.
var streamFraming = &framing{
	header: "stream", headerSpace: stanza.NSStreams, inherits: true,
	open:     "<?xml version='1.0'?><stream:stream xmlns='" + stanza.NSClient + "' xmlns:stream='" + stanza.NSStreams + "'",
	openEnd:  ">",
	close:    "</stream:stream>",
	features: "<stream:features>",
	err:      "<stream:error>",
}

// nsFraming is the namespace of what replaces the stream's tags on WebSocket.
const nsFraming = "urn:ietf:params:xml:ns:xmpp-framing"

// messageFraming is that of RFC 7395.
var messageFraming = &framing{
	header: "open", headerSpace: nsFraming,
	open:     "<open xmlns='" + nsFraming + "'",
	openEnd:  "/>",
	close:    "<close xmlns='" + nsFraming + "'/>",
	features: "<stream:features xmlns:stream='" + stanza.NSStreams + "'>",
	err:      "<stream:error xmlns:stream='" + stanza.NSStreams + "'>",
}

// framing returns the connection's framing. It is not stored, because a field would cost
// every session 8 bytes and the framing is used only a few times.
func (s *Session) framing() *framing {
	if s.Conn().Messages() {
		return messageFraming
	}
	return streamFraming
}

// header is the content of our stream header, independent of the framing ([RFC 6120 section
// 4.7], [RFC 7395 section 3.4]).
//
// [RFC 6120 section 4.7]: https://www.rfc-editor.org/rfc/rfc6120#section-4.7
// [RFC 7395 section 3.4]: https://www.rfc-editor.org/rfc/rfc7395#section-3.4
type header struct {
	id   [16]byte // random: "MUST be both unpredictable and non-repeating" (https://www.rfc-editor.org/rfc/rfc6120#section-4.7.3)
	from string   // the domain of this server
	to   string   // the client's bare JID, if its header has one
	lang string   // "" is written as "en"
}

func (f *framing) appendOpen(b []byte, h *header) []byte {
	b = append(b, f.open...)
	b = append(b, " id='"...)
	b = hex.AppendEncode(b, h.id[:])
	b = append(b, "' from='"...)
	b = parser.AppendEscaped(b, h.from)
	if h.to != "" {
		b = append(b, "' to='"...)
		b = parser.AppendEscaped(b, h.to)
	}
	lang := h.lang
	if lang == "" {
		lang = "en"
	}
	b = append(b, "' version='1.0' xml:lang='"...)
	b = parser.AppendEscaped(b, lang)
	b = append(b, '\'')
	return append(b, f.openEnd...)
}

// appendError appends the <stream:error/> element (RFC 6120 section 4.9.2).
func (f *framing) appendError(b []byte, e *StreamError) []byte {
	b = append(b, f.err...)
	b = append(b, '<')
	b = append(b, e.Condition...)
	if e.Host == "" {
		b = append(b, " xmlns='"+nsStreamErrors+"'/>"...)
	} else {
		b = append(b, " xmlns='"+nsStreamErrors+"'>"...)
		b = parser.AppendEscaped(b, e.Host)
		b = append(b, "</"...)
		b = append(b, e.Condition...)
		b = append(b, '>')
	}
	if e.Text != "" {
		b = append(b, "<text xmlns='"+nsStreamErrors+"' xml:lang='en'>"...)
		b = parser.AppendEscaped(b, e.Text)
		b = append(b, "</text>"...)
	}
	b = append(b, e.App...)
	return append(b, "</stream:error>"...)
}

// Codes of WebSocket's close frames ([RFC 6455 section 7.4.1]), each with the RFC's meaning.
//
// [RFC 6455 section 7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
const (
	closeNormal   = 1000 // "the purpose for which the connection was established has been fulfilled"
	closeAway     = 1001 // "a server going down"
	closeEncoding = 1007 // data "not consistent with the type of the message (e.g., non-UTF-8 [RFC3629] data within a text message)"
	closePolicy   = 1008 // "a message that violates its policy", if no other code is more suitable
	closeTooLarge = 1009 // "a message that is too big for it to process"
	closeInternal = 1011 // "an unexpected condition that prevented it from fulfilling the request"
)

// closeCode returns the code of the close frame that follows the error over WebSocket. What
// only XMPP knows is a normal end there: the error itself tells the client.
func (e *StreamError) closeCode() uint16 {
	switch {
	case e.tooLarge:
		return closeTooLarge
	case e.Condition == ErrSystemShutdown.Condition:
		return closeAway
	case e.Condition == parser.ErrUTF8.Condition:
		return closeEncoding
	case e.Condition == ErrPolicyViolation.Condition:
		return closePolicy
	case e.Condition == ErrInternal.Condition:
		return closeInternal
	}
	return closeNormal
}

// sendOpen sends our stream header.
func (s *Session) sendOpen(t *Turn, host, to, lang string) {
	h := header{id: newStreamID(), from: host, to: to, lang: lang}
	b := s.framing().appendOpen(t.GetBuf(), &h)
	s.SendBytes(t, b)
	t.PutBuf(b)
}

// sendFeatures sends the features for the stream's present state.
func (s *Session) sendFeatures(t *Turn) {
	b := append(t.GetBuf(), s.framing().features...)
	b = s.appendFeatures(b)
	b = append(b, "</stream:features>"...)
	s.SendBytes(t, b)
	t.PutBuf(b)
}

// sendClose sends a stream error, unless e is nil, and then the end of the stream.
func (s *Session) sendClose(t *Turn, e *StreamError) {
	f := s.framing()
	if e != nil {
		b := f.appendError(t.GetBuf(), e)
		s.SendBytes(t, b)
		t.PutBuf(b)
	}
	b := append(t.GetBuf(), f.close...)
	s.SendBytes(t, b)
	t.PutBuf(b)
}
