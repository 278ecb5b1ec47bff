// Package stanza provides borrowed views of the three XMPP stanzas, message, presence and iq
// (RFC 6120 section 8, https://www.rfc-editor.org/rfc/rfc6120#section-8), and writes
// stanzas, replies and stanza errors. It holds no state and does no I/O: all output is
// appended to a slice that the caller owns.
package stanza

import (
	"errors"
	"strconv"
	"strings"

	"roost/jid"
	"roost/parser"
)

// Namespaces that several packages need.
const (
	NSClient  = "jabber:client"
	NSStreams = "http://etherx.jabber.org/streams"
	NSStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	NSDelay   = "urn:xmpp:delay"
)

// Kind is one of the three kinds of stanza.
type Kind uint8

// The kinds of stanzas (RFC 6120 section 8.2).
const (
	Message Kind = iota + 1
	Presence
	IQ
)

var kindNames = [...]string{"", "message", "presence", "iq"}

// String returns the element's name: "message", "presence" or "iq".
func (k Kind) String() string { return kindNames[k] }

// Type is the value of a stanza's 'type' attribute. One list has the values of all three
// kinds; which of them can occur depends on the kind.
type Type uint8

// The types of message (RFC 6121 section 5.2.2,
// https://www.rfc-editor.org/rfc/rfc6121#section-5.2.2), presence (RFC 6121 section 4.7.1,
// https://www.rfc-editor.org/rfc/rfc6121#section-4.7.1) and iq (RFC 6120 section 8.2.3,
// https://www.rfc-editor.org/rfc/rfc6120#section-8.2.3).
const (
	Normal       Type = iota // message: 'normal', absent or unknown
	Chat                     // message
	Headline                 // message
	Groupchat                // message
	Error                    // all kinds
	Available                // presence: no type attribute
	Unavailable              // presence
	Subscribe                // presence
	Subscribed               // presence
	Unsubscribe              // presence
	Unsubscribed             // presence
	Probe                    // presence
	Get                      // iq
	Set                      // iq
	Result                   // iq
	UnknownType              // presence and iq: any other value; an iq without a type
)

var typeNames = [...]string{"normal", "chat", "headline", "groupchat", "error",
	"", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe",
	"get", "set", "result", ""}

// String returns the attribute's value, "" if the attribute is omitted.
func (t Type) String() string { return typeNames[t] }

// IsSubscription reports whether presence of this type manages a subscription (RFC 6121
// section 3, https://www.rfc-editor.org/rfc/rfc6121#section-3).
func (t Type) IsSubscription() bool { return t >= Subscribe && t <= Unsubscribed }

// IsRequest reports whether an iq of this type requires a reply.
func (t Type) IsRequest() bool { return t == Get || t == Set }

// ErrUnsupported means that a first-level element is not a stanza. It corresponds to the
// stream error <unsupported-stanza-type/> (RFC 6120 section 4.9.3.24,
// https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.24).
var ErrUnsupported = errors.New("stanza: not a message, presence or iq")

// Stanza is a view of one stanza that a client sent. All of it is borrowed from the
// parser's tape, and valid as long as the tape is.
type Stanza struct {
	Kind  Kind
	Type  Type
	HasTo bool
	To    jid.JID // zero when absent; aliases the tape: Clone to keep
	ID    []byte  // unescaped; nil when absent
	Root  parser.Element
	Tape  *parser.Tape

	omitted []parser.Element // see Omit
}

// Read makes st a view of the stanza in d. It returns ErrUnsupported if the element is not
// a stanza, and an *ErrorReply if the stanza requires an error reply; st then has all that
// AppendError needs.
func Read(d *parser.Tape, st *Stanza) error {
	root := d.Root()
	*st = Stanza{Tape: d, Root: root}
	if string(root.Space()) != NSClient {
		return ErrUnsupported
	}
	switch string(root.Local()) {
	case "message":
		st.Kind = Message
	case "presence":
		st.Kind = Presence
	case "iq":
		st.Kind = IQ
	default:
		return ErrUnsupported
	}
	st.ID = root.Attr("id")
	st.Type = parseType(st.Kind, root.Attr("type"))
	if err := st.readTo(); err != nil {
		return err
	}
	if st.Kind == IQ {
		return st.checkIQ()
	}
	return nil
}

func (st *Stanza) readTo() error {
	to := st.Root.Attr("to")
	if to == nil {
		return nil
	}
	st.HasTo = true
	j, err := jid.ParseBytes(to)
	if err != nil {
		return JIDMalformed
	}
	st.To = j
	return nil
}

// checkIQ applies the rules of RFC 6120 section 8.2.3
// (https://www.rfc-editor.org/rfc/rfc6120#section-8.2.3): "The 'id' attribute is REQUIRED",
// "The 'type' attribute is REQUIRED", and "An IQ stanza of type 'get' or 'set' MUST contain
// exactly one child element".
func (st *Stanza) checkIQ() error {
	if st.ID == nil || st.Type == UnknownType {
		return BadRequest
	}
	if st.Type.IsRequest() {
		child := st.Root.First()
		if !child.OK() || child.Next().OK() {
			return BadRequest
		}
	}
	return nil
}

func parseType(k Kind, v []byte) Type {
	switch k {
	case Message:
		switch string(v) {
		case "chat":
			return Chat
		case "headline":
			return Headline
		case "groupchat":
			return Groupchat
		case "error":
			return Error
		}
		// RFC 6121 section 5.2.2 (https://www.rfc-editor.org/rfc/rfc6121#section-5.2.2):
		// "If an application receives a message with no 'type' attribute or the application
		// does not understand the value of the 'type' attribute provided, it MUST consider
		// the message to be of type "normal"".
		return Normal
	case Presence:
		if v == nil {
			return Available
		}
		for t := Unavailable; t <= Probe; t++ {
			if string(v) == typeNames[t] {
				return t
			}
		}
	case IQ:
		for t := Get; t <= Result; t++ {
			if string(v) == typeNames[t] {
				return t
			}
		}
	}
	if string(v) == "error" {
		return Error
	}
	return UnknownType
}

// Omit makes AppendForward leave out a child element. Children must be omitted in their
// order.
func (st *Stanza) Omit(child parser.Element) { st.omitted = append(st.omitted, child) }

// Omits reports whether Omit was called.
func (st *Stanza) Omits() bool { return len(st.omitted) > 0 }

// Payload returns the first child element: the only child of an iq request.
func (st *Stanza) Payload() parser.Element { return st.Root.First() }

// Lang returns the stanza's own xml:lang, nil if it has none.
func (st *Stanza) Lang() []byte {
	return st.Root.AttrNS("http://www.w3.org/XML/1998/namespace", "lang")
}

// Priority returns the priority of presence; ok is false if it is not a valid priority. RFC
// 6121 section 4.7.2.3 (https://www.rfc-editor.org/rfc/rfc6121#section-4.7.2.3): "The value
// MUST be an integer between -128 and +127. If no priority is provided, the processing
// server or client MUST consider the priority to be zero".
func (st *Stanza) Priority() (priority int8, ok bool) {
	el := st.Root.Child(NSClient, "priority")
	if !el.OK() {
		return 0, true
	}
	var buf [16]byte
	n, err := strconv.ParseInt(strings.TrimSpace(string(el.AppendText(buf[:0]))), 10, 8)
	return int8(n), err == nil
}
