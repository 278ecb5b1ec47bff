// Package parser splits the bytes of an XMPP stream into stanzas. It is a streaming XML
// tokenizer: its input arrives in pieces, and it can stop and resume at any byte. It
// checks everything that RFC 6120 section 11
// (https://www.rfc-editor.org/rfc/rfc6120#section-11), XML 1.0 (fifth edition) and
// Namespaces in XML require of a receiver, and allocates nothing in the steady state.
//
// A Parser belongs to one stream and owns no buffer while the stream is between two
// stanzas. A Scratch belongs to one goroutine and holds the memory for parsing. The
// result is a Tape for each stanza: its raw bytes and a tape of tokens with offsets into
// them. Element navigates it.
//
// Errors and tokens do not depend on how the input is split into pieces. The parser does
// not check the meaning of a stream, such as its namespaces or the kinds of its stanzas.
package parser

import (
	"sync/atomic"
	"unsafe"
)

// Event is what Next has parsed.
type Event uint8

// The events.
const (
	None        Event = iota // all data is consumed, more is needed
	StreamOpen               // the stream header; the Tape contains its start tag
	Stanza                   // a complete first-level element
	StreamClose              // the end tag of the stream
)

// Parser is the state of one stream. The zero Parser is ready for the first byte of a
// stream. It is owned by the goroutine that handles the stream's input.
type Parser struct {
	// Extra is for the owner of the stream; the parser never uses it. It takes bytes that
	// would be padding otherwise. Unlike everything else, any goroutine may use it.
	Extra atomic.Uint32

	phase   phase
	flags   uint8
	err     uint8    // code of the error that ended the stream; 0: none
	ctx     *context // from the stream header; nil before it
	partial *Tape    // an incomplete element; nil between elements
}

type phase uint8

const (
	atStart     phase = iota // before the first byte
	inProlog                 // before the header
	inStream                 // between the header and the end tag
	emptyHeader              // after the '/' of a header that is an empty-element tag
	afterEnd                 // after the end tag
	afterRoot                // after the element of a document
)

const (
	flagNoSpace    = 1 << iota // white space between elements is refused
	flagRestarted              // this is not the connection's first stream
	flagRestricted             // Limits.MaxRestricted applies
	flagDocuments              // see Documents
	flagLineFeed               // with flagNoSpace: the last byte was an element's, so a line feed may follow
)

// Next consumes data until one event is complete or all data is consumed, and returns the
// number of bytes consumed. An element that is incomplete at the end of data is kept, and
// the next call continues it. If n < len(data), the caller must pass data[n:], unchanged,
// to the next call. The error is an *Error; after an error every call returns it and
// processes nothing.
func (p *Parser) Next(s *Scratch, data []byte) (ev Event, n int, err error) {
	if p.err != 0 {
		return None, 0, errorList[p.err]
	}
	if len(data) == 0 {
		return None, 0, nil
	}
	s.max = s.limits.MaxStanza
	if p.flags&flagRestricted != 0 {
		s.max = s.limits.MaxRestricted
	}
	self := uintptr(unsafe.Pointer(p))
	if s.owner != self || s.remaining != len(data) || s.next != &data[0] {
		s.from, s.to, s.reason = 0, 0, nil
	}
	ev, n, e := p.next(s, data)
	if e != nil {
		p.err = e.code
		p.Free(s)
		s.owner, s.next = 0, nil
		return None, n, e
	}
	if n < len(data) {
		s.owner, s.next, s.remaining = self, &data[n], len(data)-n
		s.from -= n
		s.to -= n
	} else {
		s.owner, s.next = 0, nil
	}
	return ev, n, nil
}

// next is Next without the bookkeeping.
func (p *Parser) next(s *Scratch, data []byte) (Event, int, *Error) {
	if p.partial != nil {
		res, n, e := p.resume(s, data)
		if e != nil || res == resMore {
			return None, n, e
		}
		if ev, e := p.event(s, res); ev != None || e != nil {
			return ev, n, e
		}
		return p.nextElement(s, data, n)
	}
	return p.nextElement(s, data, 0)
}

// nextElement finds an element in data[n:] and parses it in place.
func (p *Parser) nextElement(s *Scratch, data []byte, n int) (Event, int, *Error) {
	for {
		var e *Error
		n, e = p.skipSpace(data, n)
		switch {
		case e != nil || n == len(data):
			return None, n, e
		case p.phase == emptyHeader:
			p.phase = afterEnd
			return StreamClose, n + 1, nil
		}
		s.tape.begin(p.ctx, data[n:], p.phase == atStart)
		res, at, e := p.parse(s, data, n)
		if e != nil || res == resMore {
			return None, at, e
		}
		if ev, e := p.event(s, res); ev != None || e != nil {
			return ev, at, e
		}
		n = at // after the XML declaration
	}
}

// skipSpace skips the white space between elements from data[n] on. Any amount of white
// space is accepted and none of it is kept, because clients send it as a keep-alive (RFC
// 6120 section 4.6.1, https://www.rfc-editor.org/rfc/rfc6120#section-4.6.1).
func (p *Parser) skipSpace(data []byte, n int) (int, *Error) {
	if p.phase == emptyHeader {
		if c := data[n]; c != '>' {
			return n, tagError(c)
		}
		return n, nil
	}
	for n < len(data) && data[n] != '<' {
		c := data[n]
		switch {
		case p.phase == atStart && (c == 0 || c >= 0xFE):
			return n, ErrEncoding // UTF-16 or UTF-32
		case c >= 0x80:
			return n, nil // text, or an invalid byte: run decides
		case class[c]&clsSpace == 0:
			return n, textError(c, p.phase == inStream)
		case p.flags&flagDocuments != 0:
			if p.phase == atStart {
				return n, ErrSpace
			}
		case p.flags&flagNoSpace != 0:
			if c != '\n' || p.flags&flagLineFeed == 0 {
				return n, ErrSpace
			}
			p.flags &^= flagLineFeed
		case p.phase == atStart && p.flags&flagRestarted == 0:
			p.phase = inProlog // an XML declaration is only allowed at the very start
		}
		n++
	}
	if n < len(data) && p.phase >= afterEnd {
		if p.phase == afterRoot {
			return n, ErrSecondRoot
		}
		return n, ErrProlog
	}
	return n, nil
}

// textError returns the error for text where only elements are allowed.
func textError(c byte, inStream bool) *Error {
	switch {
	case c < 0x20:
		return ErrChar
	case inStream:
		return ErrText
	}
	return ErrProlog
}

// event returns the event for a complete element and updates the state of the stream.
func (p *Parser) event(s *Scratch, res result) (Event, *Error) {
	switch res {
	case resDecl:
		p.phase = inProlog
		return None, nil
	case resHeader:
		ctx, e := newContext(s.tape)
		if e != nil {
			return None, e
		}
		p.ctx, p.phase = ctx, inStream
		if s.tape.empty {
			p.phase = emptyHeader
		}
		return StreamOpen, nil
	case resClose:
		p.phase = afterEnd
		return StreamClose, nil
	}
	if p.flags&flagDocuments != 0 {
		p.phase = afterRoot
	}
	if p.flags&flagNoSpace != 0 {
		p.flags |= flagLineFeed
	}
	return Stanza, nil
}

// RefuseSpace makes white space between first-level elements an error, or allows it
// again. RFC 6120 forbids it during the negotiation of STARTTLS and SASL
// (https://www.rfc-editor.org/rfc/rfc6120#section-5.3.3 and
// https://www.rfc-editor.org/rfc/rfc6120#section-6.3.5). It must be called after an element.
//
// COMPAT: go-xmpp and CoyIM end every element with a line feed. One directly after an
// element is accepted.
func (p *Parser) RefuseSpace(refuse bool) {
	p.flags &^= flagNoSpace | flagLineFeed
	if refuse {
		p.flags |= flagNoSpace | flagLineFeed
	}
}

// Restrict applies Limits.MaxRestricted instead of Limits.MaxStanza from the next element
// on, until Unrestrict or Reset. It is meant for streams before authentication, which do not need large
// elements.
func (p *Parser) Restrict() { p.flags |= flagRestricted }

// Unrestrict ends what Restrict began, for a stream that continues after authentication.
func (p *Parser) Unrestrict() { p.flags &^= flagRestricted }

// Reset prepares the parser for a new stream. It clears everything of the old one:
// namespaces, an incomplete element, an error, RefuseSpace and Restrict, but not Extra and
// Documents.
func (p *Parser) Reset() {
	if p.partial != nil {
		p.partial.Release()
	}
	if p.flags&flagDocuments != 0 {
		p.resetDocuments()
		return
	}
	// COMPAT: go-xmpp sends a line feed after its last element, which would come before
	// the XML declaration of the next stream.
	p.reset(flagRestarted, nil)
}

func (p *Parser) reset(flags uint8, ctx *context) {
	p.phase, p.flags, p.err, p.ctx, p.partial = atStart, flags, 0, ctx, nil
}

// Continue gives p the stream of from, which must be between two elements. Extra stays.
func (p *Parser) Continue(from *Parser) {
	p.phase, p.flags, p.err, p.ctx, p.partial = from.phase, from.flags, from.err, from.ctx, nil
	from.ctx = nil
}

// Free releases the memory of an incomplete element when the connection is closed. The
// parser must be Reset before it is used again.
func (p *Parser) Free(s *Scratch) {
	if p.partial != nil {
		s.putTape(p.partial)
		p.partial = nil
	}
}

// Held returns the memory in bytes that the parser owns for an incomplete element and for
// the context of the stream header.
func (p *Parser) Held() int {
	n := 0
	if p.ctx != nil {
		n = p.ctx.size()
	}
	if p.partial != nil {
		n += p.partial.Held()
	}
	return n
}

// Used returns how much memory of the incomplete element is in use, in bytes.
func (p *Parser) Used() int {
	if p.partial == nil {
		return 0
	}
	return p.partial.needs(len(p.partial.own))
}

// needs returns the memory that an element of n bytes needs, without what the Tape's slices
// have more than that.
func (d *Tape) needs(n int) int {
	return int(unsafe.Sizeof(*d)) + n + len(d.text) + len(d.tape)*int(unsafe.Sizeof(Token{})) +
		len(d.open)*int(unsafe.Sizeof(level{})) + len(d.binds)*int(unsafe.Sizeof(binding{})) + len(d.memo)*int(unsafe.Sizeof(memo{}))
}

// Held returns the memory of the Tape in bytes.
func (d *Tape) Held() int {
	return int(unsafe.Sizeof(*d)) + cap(d.own) + cap(d.text) + cap(d.tape)*int(unsafe.Sizeof(Token{})) +
		cap(d.open)*int(unsafe.Sizeof(level{})) + cap(d.binds)*int(unsafe.Sizeof(binding{})) + cap(d.memo)*int(unsafe.Sizeof(memo{}))
}

// Idle reports whether the parser owns no buffer, which is the case between two elements.
func (p *Parser) Idle() bool { return p.partial == nil }
