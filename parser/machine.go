package parser

// machine is where the parse of an element stands: a position, a state, and
// what the state has to remember. With it a parse goes on at the byte where the
// last piece ended; nothing is looked at twice.
type machine struct {
	pos   int    // the next byte
	mark  int    // where the token under way began
	high  uint64 // not zero: the run under way has bytes from 0x80 on
	code  uint32 // value of the character reference under way
	tag   uint32 // Start token of the tag under way
	attrs int    // attributes and declarations of the tag under way
	state state
	back  state // where a reference goes on
	quote byte
	step  uint8 // how much of a fixed word has been read
	// flags of the token under way
	escaped bool
	// of the whole element
	inherits     bool   // a prefix of the stream header is used
	otherDefault bool   // the header's default namespace is used and is not jabber:client
	decl         bool   // an XML declaration may come
	defaultNS    uint16 // default namespace that the tag under way declares
	hasDefault   bool   // it declares one
	prefixed     uint8  // attributes with a prefix of the tag under way, at most 2 counted
}

type state uint8

// States. Each is a place between two bytes.
const (
	inStart    state = iota // before the first byte of the stream
	inTop                   // before the '<' of a first-level element, or the header
	inDecl                  // in the XML declaration
	afterDecl               // behind it
	inOpen                  // behind '<'
	inBang                  // behind "<!", in "[CDATA["
	inCDATA                 // in a CDATA section
	inName                  // in the name of a start tag
	inTag                   // in a start tag, behind a name or a value
	inSpace                 // in a start tag, behind white space
	inAttrName              // in the name of an attribute
	inEq                    // behind the name of an attribute
	inQuote                 // behind '='
	inValue                 // in a value
	inSlash                 // behind the '/' of an empty-element tag
	inText                  // in the content of an element
	inRef                   // behind '&'
	inNamedRef              // in "amp", "lt", …
	inNumRef                // behind "&#"
	inDecRef                // in a decimal reference
	inHexRef                // in a hexadecimal reference
	inEndName               // behind "</"
	inEndSpace              // in an end tag, behind the name
)

// result is what parse came to.
type result uint8

const (
	more   result = iota // the bytes are used up
	header               // the stream header is whole
	stanza               // a first-level element is whole
	closed               // the end tag of the stream is whole
)

// parse goes on as far as the bytes reach. It is one flat switch over the
// states; each state's function moves pos as far as it can and leaves the next
// state, or the same one when the bytes are used up.
func (d *Doc) parse() (result, *Error) {
	b := d.buf
	if len(b) > d.limits.MaxStanza {
		b = b[:d.limits.MaxStanza]
	}
	for d.pos < len(b) {
		var e *Error
		switch d.state {
		case inText:
			e = d.inText(b)
		case inOpen:
			e = d.inOpen(b)
		case inName:
			e = d.inName(b)
		case inTag, inSpace:
			var r result
			if r, e = d.inTag(b); r != more {
				return r, e
			}
		case inAttrName:
			e = d.inAttrName(b)
		case inEq, inQuote:
			e = d.inEq(b)
		case inValue:
			e = d.inValue(b)
		case inSlash:
			var r result
			if r, e = d.inSlash(b); r != more {
				return r, e
			}
		case inEndName, inEndSpace:
			var r result
			if r, e = d.inEnd(b); r != more {
				return r, e
			}
		case inRef, inNamedRef, inNumRef, inDecRef, inHexRef:
			e = d.inReference(b)
		case inBang, inCDATA:
			e = d.inSection(b)
		default:
			e = d.inProlog(b)
		}
		if e != nil {
			return more, e
		}
	}
	if len(b) == d.limits.MaxStanza {
		if d.ctx == nil {
			return more, ErrHeaderTooLarge
		}
		return more, ErrTooLarge
	}
	return more, nil
}

// inProlog handles what comes before the '<' of an element.
func (d *Doc) inProlog(b []byte) *Error {
	c := b[d.pos]
	switch d.state {
	case inStart:
		return d.atStart(c)
	case inDecl:
		return d.inDeclaration(b)
	case inTop, afterDecl:
		switch {
		case c == '<':
			d.pos++
			d.mark = d.pos
			d.state = inOpen
		case d.state == afterDecl && class[c]&spaceChar != 0:
			d.pos++
		case c >= 0x80 || c < 0x20:
			return ErrUTF8
		default:
			return ErrText
		}
	}
	return nil
}

// inOpen decides what a '<' begins.
func (d *Doc) inOpen(b []byte) *Error {
	c := b[d.pos]
	switch {
	case class[c]&nameStart != 0:
		return d.startTag()
	case c == '/':
		return d.startEnd()
	case c == '!' && len(d.stack) > 0:
		d.pos++
		d.step = 0
		d.state = inBang
		return nil
	case c == '?' && d.decl && d.ctx == nil && len(d.stack) == 0:
		d.pos++
		d.mark = d.pos
		d.state = inDecl
		return nil
	case c == '!', c == '?':
		return ErrRestricted
	}
	return ErrSyntax
}
