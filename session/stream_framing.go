package session

import (
	"encoding/hex"

	"roost/parser"
	"roost/stanza"
)

// Framing is what delimits a stream and those of its parts that depend on the
// transport. On TCP a stream is one XML document: its header declares the namespaces,
// and stands open until the stream is closed (RFC 6120 section 4.2). Over WebSocket the
// header, the close and each first-level element are messages, documents of their own
// (RFC 7395 section 3). The fields are XML and must not change while a session uses them.
type Framing struct {
	Open     string // the start of the stream header, up to its attributes; it declares the namespaces
	OpenEnd  string // the end of the stream header, after its attributes
	Close    string // the end of the stream
	Features string // the start tag of <stream:features/>, whose end tag has the prefix "stream"
	Error    string // the start tag of <stream:error/>, likewise
}

// TCPFraming is the framing of a connection that is not Framed (RFC 6120).
var TCPFraming = &Framing{
	Open:     "<?xml version='1.0'?><stream:stream xmlns='" + stanza.NSClient + "' xmlns:stream='" + stanza.NSStreams + "'",
	OpenEnd:  ">",
	Close:    "</stream:stream>",
	Features: "<stream:features>",
	Error:    "<stream:error>",
}

// Framed is a Conn with a framing of its own.
type Framed interface {
	Conn
	Framing() *Framing // always the same
}

// framing is asked of the connection each time: a field would cost every session 8
// bytes, for what is written a few times in its life.
func (s *Session) framing() *Framing {
	if c, ok := s.conn.(Framed); ok {
		return c.Framing()
	}
	return TCPFraming
}

// header is what a stream header of ours says, whatever the framing (RFC 6120 section
// 4.7, RFC 7395 section 3.4).
type header struct {
	id   [16]byte // random: "the identifier for a stream MUST NOT be predictable"
	from string   // the domain that answers
	to   string   // the client's bare JID, if it has said one
	lang string   // "": en
}

func (f *Framing) appendOpen(b []byte, h *header) []byte {
	b = append(b, f.Open...)
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
	return append(b, f.OpenEnd...)
}

// appendError appends the <stream:error/> element (RFC 6120 section 4.9.2).
func (f *Framing) appendError(b []byte, e *StreamError) []byte {
	b = append(b, f.Error...)
	b = append(b, '<')
	b = append(b, e.Condition...)
	b = append(b, " xmlns='"+nsStreamErrors+"'/>"...)
	if e.Text != "" {
		b = append(b, "<text xmlns='"+nsStreamErrors+"' xml:lang='en'>"...)
		b = parser.AppendEscaped(b, e.Text)
		b = append(b, "</text>"...)
	}
	return append(b, "</stream:error>"...)
}

// sendOpen sends our stream header.
func (s *Session) sendOpen(t *Turn, host, to, lang string) {
	h := header{id: newStreamID(), from: host, to: to, lang: lang}
	b := s.framing().appendOpen(t.GetBuf(), &h)
	s.SendBytes(t, b)
	t.PutBuf(b)
}

// sendFeatures sends the features for the state that the stream is in.
func (s *Session) sendFeatures(t *Turn) {
	b := append(t.GetBuf(), s.framing().Features...)
	b = s.appendFeatures(b)
	b = append(b, "</stream:features>"...)
	s.SendBytes(t, b)
	t.PutBuf(b)
}

// sendClose sends a stream error, unless e is nil, and the end of the stream.
func (s *Session) sendClose(t *Turn, e *StreamError) {
	f := s.framing()
	if e != nil {
		b := f.appendError(t.GetBuf(), e)
		s.SendBytes(t, b)
		t.PutBuf(b)
	}
	b := append(t.GetBuf(), f.Close...)
	s.SendBytes(t, b)
	t.PutBuf(b)
}
