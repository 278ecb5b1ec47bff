// Package parser turns the bytes of an XMPP stream into stanzas. It is a
// streaming XML tokenizer that is fed piece by piece, stops at any byte and goes
// on there, checks all that RFC 6120 section 11, XML 1.0 (fifth edition) and
// Namespaces in XML ask of a receiver, and allocates nothing in the steady
// state.
//
// A Parser belongs to one stream and owns nothing while the stream is between
// two stanzas. A Scratch belongs to one goroutine and has the memory that
// parsing takes. What comes out is a Tape for each stanza: its raw bytes and a
// tape of tokens with offsets into them, to be walked as Element.
//
// Verdict and tokens do not depend on how the input is cut. The parser does not
// judge what a stream means: which namespaces it must have, which stanzas there
// are.
package parser

import "unsafe"

// Event is what Next has found.
type Event uint8

// The events.
const (
	None        Event = iota // all data is used, more is needed
	StreamOpen               // the stream header; the Tape has its start tag
	Stanza                   // a first-level element, whole
	StreamClose              // the end tag of the stream
)

// Parser is the state of one stream. The zero Parser is ready for the first
// byte of a stream. All of it is owned by the goroutine that handles the
// stream's input.
type Parser struct {
	ctx     *context // what the header has left; nil before
	partial *Tape    // the element that the last piece has cut; nil between elements
	phase   phase
	flags   uint8
	err     uint8 // code of the error that has ended the stream; 0: none
}

type phase uint8

const (
	atStart     phase = iota // before the first byte
	inProlog                 // before the header
	inStream                 // between the header and the end tag
	emptyHeader              // behind the '/' of a header that is an empty-element tag
	afterEnd                 // behind the end tag
)

const (
	flagNoSpace    = 1 << iota // white space between elements is refused
	flagRestarted              // this is not the connection's first stream
	flagRestricted             // Limits.MaxRestricted holds
)

// Next consumes data until one event is complete or data is used up; n is how
// much it has consumed. An element that data cuts is kept, and goes on with the
// next call at the byte where this one ended. If n < len(data), the lastBlock is
// given to the next call, unchanged. The error is an *Error; after it nothing
// more is processed and every call returns it.
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

// next is Next without the bookkeeping around it.
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

// nextElement looks for an element at data[n:] and parses it where it is.
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
		n = at // behind the XML declaration
	}
}

// skipSpace passes what stands between elements from data[n] on. White space is
// accepted for ever, and nothing of it is kept: RFC 6120 section 4.6.1 has
// clients send it to show that they live.
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
			return n, nil // text, if it is a character: see run
		case class[c]&clsSpace == 0:
			return n, textError(c, p.phase == inStream)
		case p.flags&flagNoSpace != 0:
			return n, ErrSpace
		case p.phase == atStart && p.flags&flagRestarted == 0:
			p.phase = inProlog // an XML declaration comes first or not at all
		}
		n++
	}
	if n < len(data) && p.phase == afterEnd {
		return n, ErrProlog
	}
	return n, nil
}

// textError is the error for text where only elements may be.
func textError(c byte, inStream bool) *Error {
	switch {
	case c < 0x20:
		return ErrChar
	case inStream:
		return ErrText
	}
	return ErrProlog
}

// event draws from a whole element what it means for the stream.
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
	return Stanza, nil
}

// RefuseSpace makes white space between first-level elements an error, or
// allows it again: RFC 6120 sections 5.3.3 and 6.3.5 forbid it while STARTTLS
// and SASL are negotiated.
func (p *Parser) RefuseSpace(refuse bool) {
	p.flags &^= flagNoSpace
	if refuse {
		p.flags |= flagNoSpace
	}
}

// Restrict has Limits.MaxRestricted hold in the place of Limits.MaxStanza, from the
// next element on, until Reset: before authentication nobody needs large ones.
func (p *Parser) Restrict() { p.flags |= flagRestricted }

// Reset makes the parser ready for a new stream: nothing of the old one is
// left, neither namespaces nor a cut element, an error, RefuseSpace or Restrict.
func (p *Parser) Reset() {
	if p.partial != nil {
		p.partial.Release()
	}
	// COMPAT: go-xmpp sends a line feed behind its last element, which would
	// make the XML declaration of the next stream one in the wrong place.
	*p = Parser{flags: flagRestarted}
}

// Free gives back the memory of a cut element: the connection is gone. The
// parser must be Reset before it is used again.
func (p *Parser) Free(s *Scratch) {
	if p.partial != nil {
		s.putTape(p.partial)
		p.partial = nil
	}
}

// Held is the memory that the parser owns for a cut element and for what the
// stream header has left, in bytes.
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

// Held is the document's memory, in bytes.
func (d *Tape) Held() int {
	return int(unsafe.Sizeof(*d)) + cap(d.own) + cap(d.text) + cap(d.tape)*int(unsafe.Sizeof(Token{})) +
		cap(d.open)*int(unsafe.Sizeof(level{})) + cap(d.binds)*int(unsafe.Sizeof(binding{}))
}

// Idle reports whether the parser owns no buffer, because the stream is between
// two elements.
func (p *Parser) Idle() bool { return p.partial == nil }
