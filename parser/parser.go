// Package parser turns the bytes of an XMPP stream into stanzas: a push-fed
// streaming XML tokenizer that can stop at any byte and go on later, checks all
// that RFC 6120 section 11, XML 1.0 (fifth edition) and Namespaces in XML ask
// for, and allocates nothing in the steady state.
//
// A Parser belongs to one stream and holds almost nothing while the stream is
// between two stanzas. A Scratch belongs to one goroutine and has the memory
// that parsing needs. What a stanza consists of is a Doc: its raw bytes and a
// tape of tokens with offsets into them.
//
// The parser does not judge what a stream means: which namespaces a header must
// have, or which stanzas there are.
package parser

// Limits bound what one stream may ask for. They are counted while bytes
// arrive, so that memory is bounded before a stanza has ended. Zero values take
// the default.
type Limits struct {
	MaxStanza     int // bytes of one first-level element, or of the header; default 256 KiB, at least 10,000
	MaxDepth      int // nesting of elements within a stanza; default 64
	MaxAttrs      int // attributes and namespace declarations of one element; default 64
	MaxNamespaces int // namespace declarations in scope; default 128
	MaxName       int // bytes of a qualified name; default 256
}

func (l *Limits) setDefaults() {
	set := func(v *int, def, low, high int) {
		if *v == 0 {
			*v = def
		}
		*v = min(max(*v, low), high)
	}
	set(&l.MaxStanza, 256<<10, 10000, 1<<30)
	set(&l.MaxDepth, 64, 2, 1<<15)
	set(&l.MaxAttrs, 64, 8, 1<<12)
	set(&l.MaxNamespaces, 128, 8, 1<<12)
	set(&l.MaxName, 256, 16, 1<<15)
}

// Event is what Next found.
type Event uint8

// The events.
const (
	None        Event = iota // all data was used, more is needed
	StreamOpen               // the stream header; the Doc has its start tag
	Stanza                   // a first-level element, whole
	StreamClose              // the end tag of the stream
)

// Parser is the state of one stream. The zero Parser is ready for the first
// byte. It is not safe for concurrent use.
type Parser struct {
	ctx   *context // nil before the header
	doc   *Doc     // the element that the last piece cut; nil between elements
	phase uint8
	flags uint8
	err   uint8 // index of the error that ended the stream; 0: none
}

// Phases of a stream.
const (
	phaseStart  = iota // before the first byte
	phaseHeader        // before the header
	phaseOpen          // between or within first-level elements
	phaseEmpty         // the header was an empty-element tag: the stream ends at once
	phaseClosed        // behind the end tag
)

const (
	flagNoSpace   = 1 << iota
	flagRestarted // not the first stream on its connection
)

// Scratch is the memory with which one goroutine parses, for any number of
// streams.
type Scratch struct {
	limits Limits
	doc    *Doc
}

// NewScratch returns memory for one goroutine. Limits out of range are moved
// into it.
func NewScratch(l Limits) *Scratch {
	l.setDefaults()
	return &Scratch{limits: l, doc: newDoc()}
}

// Doc is what the last StreamOpen or Stanza left. It is lent until the next
// call of Next with the same Scratch, and no longer than the data that was
// given to that.
func (s *Scratch) Doc() *Doc { return s.doc }

// Take is Doc with its own copy of the bytes. It belongs to the caller until
// Release.
func (s *Scratch) Take() *Doc {
	d := s.doc
	d.keep()
	s.doc = newDoc()
	return d
}

// Next consumes data until one event is complete or data is used up; n is how
// much it consumed. An element that data cuts is kept, and goes on with the
// next call at the byte where this one ended. The error is an *Error; after it
// nothing more is processed and every call returns it.
func (p *Parser) Next(s *Scratch, data []byte) (ev Event, n int, err error) {
	if p.err != 0 {
		return None, 0, errorList[p.err]
	}
	ev, n, e := p.next(s, data)
	if e != nil {
		p.err = e.index
		p.Free(s)
		return None, n, e
	}
	return ev, n, nil
}

func (p *Parser) next(s *Scratch, data []byte) (Event, int, *Error) {
	if p.doc != nil {
		return p.resume(s, data)
	}
	if p.phase == phaseEmpty {
		p.phase = phaseClosed
		return StreamClose, 0, nil
	}
	i, e := p.skip(data)
	if e != nil || i == len(data) {
		return None, i, e
	}
	d := s.doc
	d.begin(p.ctx, &s.limits, data[i:], p.phase == phaseStart)
	result, e := d.parse()
	if e != nil {
		return None, i, e
	}
	if result == more {
		d.keep()
		p.doc, s.doc = d, newDoc()
		return None, len(data), nil
	}
	d.buf = d.buf[:d.pos]
	return p.finish(d, result), i + d.pos, nil
}

// skip passes over white space between elements: accepted for ever, and
// nothing of it is kept.
func (p *Parser) skip(data []byte) (int, *Error) {
	i := 0
	for i < len(data) && class[data[i]]&spaceChar != 0 {
		i++
	}
	if i > 0 {
		if p.flags&flagNoSpace != 0 {
			return i, ErrSpace
		}
		if p.phase == phaseStart && p.flags&flagRestarted == 0 {
			p.phase = phaseHeader // no XML declaration behind white space
		}
	}
	if i < len(data) && p.phase == phaseClosed {
		return i, ErrAfterEnd
	}
	return i, nil
}

// resume goes on with an element that was cut.
func (p *Parser) resume(s *Scratch, data []byte) (Event, int, *Error) {
	d := p.doc
	before := len(d.own)
	piece := data[:min(len(data), d.limits.MaxStanza-before)]
	d.own = append(d.own, piece...)
	d.buf = d.own
	result, e := d.parse()
	switch {
	case e != nil:
		return None, 0, e
	case result == more:
		return None, len(data), nil
	}
	d.own = d.own[:d.pos]
	d.buf = d.own
	p.doc = nil
	s.doc.Release()
	s.doc = d
	return p.finish(d, result), d.pos - before, nil
}

// finish draws the stream's next phase from a whole element.
func (p *Parser) finish(d *Doc, r result) Event {
	switch r {
	case header:
		p.ctx = contextOf(d)
		p.phase = phaseOpen
		if d.tokens[0].flags&flagEmpty != 0 {
			p.phase = phaseEmpty
		}
		return StreamOpen
	case closed:
		p.phase = phaseClosed
		return StreamClose
	}
	return Stanza
}

// RefuseSpace makes white space between elements an error, or not any more: it
// is not allowed while STARTTLS and SASL are negotiated (RFC 6120 sections
// 5.3.3 and 6.3.5).
func (p *Parser) RefuseSpace(refuse bool) {
	p.flags &^= flagNoSpace
	if refuse {
		p.flags |= flagNoSpace
	}
}

// Reset makes the parser ready for a new stream on the same connection: nothing
// of the old one is left, namespaces included. It must not be called while an
// element is cut; Free comes before it then.
func (p *Parser) Reset() {
	// COMPAT: go-xmpp sends a line feed behind its last element, which would
	// make the XML declaration of the next stream one in the wrong place.
	*p = Parser{doc: p.doc, flags: flagRestarted}
}

// Free gives back what the parser holds of a cut element. The parser must be
// Reset before it is used again.
func (p *Parser) Free(*Scratch) {
	if p.doc != nil {
		p.doc.Release()
		p.doc = nil
	}
}

// Idle reports whether the parser owns no buffer: the stream is between two
// elements.
func (p *Parser) Idle() bool { return p.doc == nil }
