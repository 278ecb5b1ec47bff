package parser

import (
	"encoding/binary"
)

// result is why run has returned.
type result uint8

const (
	resMore   result = iota // the bytes are used up
	resDecl                 // the XML declaration is whole
	resHeader               // the stream header is whole, but for the '>' of "/>"
	resStanza               // a first-level element is whole
	resClose                // the end tag of the stream is whole
	resError                // Doc.err says why
)

// state is a place between two bytes where the machine can stop and go on.
type state uint8

const (
	atOpen     state = iota // behind '<'
	inName                  // in the name of a start tag
	inTag                   // in a start tag, behind a name or a value
	inSpace                 // in a start tag, behind white space
	inSlash                 // behind the '/' of an empty-element tag
	inAttr                  // in the name of an attribute
	inEqual                 // behind the name of an attribute
	inQuote                 // behind its '='
	inValue                 // in its value
	inValueRef              // in a reference in its value
	inContent               // behind a tag or a section
	inText                  // in text
	inTextRef               // in a reference in text
	inBang                  // behind "<!"
	inCDATA                 // in a CDATA section
	atClose                 // behind "</"
	inClose                 // in an end tag
	inDecl                  // in the XML declaration
	inStray                 // before a character that is no markup
)

// registers are what the machine remembers from one piece of input to the
// next, besides the tape and the stacks.
type registers struct {
	pos     uint   // the next byte
	mark    uint   // where the name, text, section or end tag under way began
	nameLen uint   // bytes of the attribute's name
	colon   uint   // bytes of the prefix of the name under way with its colon
	val     uint   // where the value under way began
	cur     uint   // index of the Start token of the tag under way
	bloom   uint64 // hashes of the attribute names of the tag
	ns      uint32 // the default namespace that is in scope
	escaped uint32 // flagEscaped: the value or text under way has references or white space to normalize
	attrs   int32  // attributes of the tag so far
	state   state
	quote   byte  // of the value under way
	high    bool  // the name under way has bytes from 0x80 on
	tag     uint8 // bits tagX: what the tag's attributes ask for
	ref     reference
}

// level is an open element.
type level struct {
	token uint32 // its Start
	binds uint32 // how many prefixes were bound before it
	ns    uint32 // the default namespace before it
}

// grow makes room on a tape that is full.
func grow(tape []Token) []Token {
	return append(make([]Token, 0, max(64, 2*cap(tape))), tape...)
}

// load is eight bytes at once.
func load(b []byte, i uint) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// run is the tokenizer. It goes on at d.pos in d.src, as far as end, and sets
// both again. Bit p+sh of the window belongs to byte p.
//
// It is one function with labels because that is the fastest form that can stop
// at any byte: between two labels it is straight code whose jumps each predict
// their own history, and every place where the bytes may run out stores its
// state and leaves. The switch is passed once per call. Whatever is rare is in
// another function.
func (d *Doc) run(s *Scratch, end, sh uint) result {
	var (
		c    byte
		t    *Token
		q    uint
		n    uint
		x    uint64
		name []byte
		err  *Error
		done bool
	)
	r := &d.registers
	p, mark := r.pos, r.mark
	src, tape, open, w := d.src, d.tape, d.open, &s.win
	maxName := uint(s.limits.MaxName)
	switch r.state {
	case atOpen:
		goto open
	case inName:
		goto name
	case inTag:
		goto tag
	case inSpace:
		goto space
	case inSlash:
		goto slash
	case inAttr:
		goto attr
	case inEqual:
		goto equal
	case inQuote:
		goto quote
	case inValue:
		goto value
	case inValueRef:
		goto valueRef
	case inContent:
		goto content
	case inText:
		goto text
	case inTextRef:
		goto textRef
	case inBang:
		goto bang
	case inCDATA:
		goto cdata
	case atClose:
		goto closeTag
	case inClose:
		goto closeSlow
	case inDecl:
		goto decl
	default:
		if p >= end {
			goto more
		}
		err = stray(src[p], d.ctx != nil)
		goto fail
	}

open: // behind '<'
	if p >= end {
		r.state = atOpen
		goto more
	}
	c = src[p]
	if class[c]&clsStart == 0 {
		goto noName
	}
	mark, r.colon, r.high = p, 0, false
name:
	if p = w.nextName(p+sh) - sh; p >= end {
		p = end
		r.state = inName
		goto moreName
	}
	c = src[p]
	if class[c]&clsNameEnd == 0 {
		goto nameOdd
	}
	if p-mark > maxName {
		goto tooLong
	}
	if r.colon != 0 || r.high {
		if err = d.checkName(mark, p, r.colon, r.high); err != nil {
			goto fail
		}
	}
	n = uint(len(tape))
	r.cur = n
	if n == uint(cap(tape)) {
		tape = grow(tape)
	}
	tape = tape[:n+1]
	t = &tape[n]
	t.Kind, t.PrefixLen, t.NameLen = Start, uint8(r.colon), uint16(p-mark)
	t.Pos = uint32(mark)
	r.attrs, r.bloom, r.tag = 0, 0, 0
	if r.colon != 0 {
		r.tag = tagPrefix
	}
	goto inside

nameOdd: // a colon, a byte from 0x80 on, or what ends no name
	if p-mark > maxName {
		goto tooLong
	}
	if c < 0x80 {
		if c != ':' || r.colon != 0 {
			err = badName(c)
			goto fail
		}
		r.colon = p - mark + 1
		if r.colon > maxPrefixLen {
			goto tooLong
		}
		p++
		goto name
	}
	r.high = true
	for p < end && src[p] >= 0x80 {
		p++
	}
	goto name

tag: // behind a name or a value
	if p >= end {
		r.state = inTag
		goto more
	}
	c = src[p]
inside:
	if c == '>' {
		goto tagEnd
	}
	if class[c]&clsSpace == 0 {
		if c == '/' {
			p++
			goto slash
		}
		err = badMarkup(c)
		goto fail
	}
	p++
space:
	if p >= end {
		r.state = inSpace
		goto more
	}
	c = src[p]
	if class[c]&clsStart == 0 {
		goto inside
	}
	mark, r.colon, r.high = p, 0, false
attr:
	if p = w.nextName(p+sh) - sh; p >= end {
		p = end
		r.state = inAttr
		goto moreName
	}
	c = src[p]
	if c != '=' && class[c]&clsSpace == 0 {
		goto attrOdd
	}
	if p-mark > maxName {
		goto tooLong
	}
	if r.colon != 0 || r.high {
		if err = d.checkName(mark, p, r.colon, r.high); err != nil {
			goto fail
		}
	}
	r.nameLen = p - mark
	goto equalSign

attrOdd:
	if p-mark > maxName {
		goto tooLong
	}
	if c < 0x80 {
		if c != ':' || r.colon != 0 {
			err = badName(c)
			goto fail
		}
		r.colon = p - mark + 1
		if r.colon > maxPrefixLen {
			goto tooLong
		}
		p++
		goto attr
	}
	r.high = true
	for p < end && src[p] >= 0x80 {
		p++
	}
	goto attr

equal:
	if p >= end {
		r.state = inEqual
		goto more
	}
	c = src[p]
equalSign:
	if c != '=' {
		if class[c]&clsSpace == 0 {
			err = badMarkup(c)
			goto fail
		}
		p++
		goto equal
	}
	p++
quote:
	if p >= end {
		r.state = inQuote
		goto more
	}
	c = src[p]
	if c != '\'' && c != '"' {
		if class[c]&clsSpace == 0 {
			err = badMarkup(c)
			goto fail
		}
		p++
		goto quote
	}
	p++
	r.quote, r.val, r.escaped = c, p, 0
value:
	if p = w.nextValue(p+sh) - sh; p >= end {
		p = end
		r.state = inValue
		goto more
	}
	c = src[p]
	if c != r.quote {
		goto valueOdd
	}
	if int(r.attrs) >= s.limits.MaxAttrs {
		err = ErrAttributes
		goto fail
	}
	r.attrs++
	n = uint(len(tape))
	if n == uint(cap(tape)) {
		tape = grow(tape)
	}
	tape = tape[:n+1]
	t = &tape[n]
	t.Kind, t.PrefixLen, t.NameLen = Attr, uint8(r.colon), uint16(r.nameLen)
	t.ns, t.Pos, t.Val, t.End, t.Link = r.escaped, uint32(mark), uint32(r.val), uint32(p), 0
	x = 1 << ((uint(src[mark])*5 ^ uint(src[mark+r.nameLen-1])*3 ^ r.nameLen) & 63)
	if r.bloom&x != 0 {
		if d.duplicate(tape, r.cur) {
			err = ErrDuplicate
			goto fail
		}
	}
	r.bloom |= x
	if r.colon != 0 || src[mark] == 'x' {
		r.tag |= d.special(t)
	}
	p++
	goto tag

valueOdd:
	switch {
	case c == '&':
		r.escaped = flagEscaped
		p++
		r.ref = reference{}
		goto valueRef
	case c == '"' || c == '\'':
		p++
		goto value
	case class[c]&clsSpace != 0:
		r.escaped = flagEscaped
		p++
		goto value
	case c == '<':
		err = ErrLessThan
	default:
		err = ErrChar
	}
	goto fail

valueRef:
	if p, done, err = r.ref.run(src, p, end, maxName); err != nil {
		goto fail
	}
	if !done {
		r.state = inValueRef
		goto more
	}
	goto value

tagEnd: // at '>'
	p++
	t = &tape[r.cur]
	t.Val = uint32(p)
	n = uint(len(d.binds))
	q = uint(r.ns)
	if r.tag == 0 {
		t.ns = r.ns
	} else {
		d.tape = tape
		if r.ns, err = d.resolve(s, r.cur, r.tag, r.ns); err != nil {
			goto fail
		}
	}
	if d.ctx == nil {
		goto header
	}
	if len(open) >= s.limits.MaxDepth {
		err = ErrTooDeep
		goto fail
	}
	open = append(open, level{token: uint32(r.cur), binds: uint32(n), ns: uint32(q)})

content:
	if p >= end {
		r.state = inContent
		goto more
	}
	if src[p] == '<' {
		p++
		goto open
	}
	mark, r.escaped = p, 0
text:
	if p = w.nextText(p+sh) - sh; p >= end {
		p = end
		r.state = inText
		goto more
	}
	c = src[p]
	if c != '<' {
		goto textOdd
	}
	n = uint(len(tape))
	if n == uint(cap(tape)) {
		tape = grow(tape)
	}
	tape = tape[:n+1]
	t = &tape[n]
	t.Kind, t.PrefixLen, t.NameLen = Text, 0, 0
	t.ns, t.Pos, t.Val, t.End, t.Link = r.escaped, uint32(mark), 0, uint32(p), 0
	p++
	goto open

textOdd:
	if c == '&' {
		r.escaped = flagEscaped
		p++
		r.ref = reference{}
		goto textRef
	}
	if c == '>' {
		if !(p-mark >= 2 && src[p-1] == ']' && src[p-2] == ']') {
			p++
			goto text
		}
		err = ErrSectionEnd
		goto fail
	}
	err = ErrChar
	goto fail

textRef:
	if p, done, err = r.ref.run(src, p, end, maxName); err != nil {
		goto fail
	}
	if !done {
		r.state = inTextRef
		goto more
	}
	goto text

slash: // behind '/'
	if d.ctx == nil {
		t = &tape[r.cur]
		t.Val = uint32(p)
		d.empty = true
		d.tape = tape
		if r.tag != 0 {
			if r.ns, err = d.resolve(s, r.cur, r.tag, r.ns); err != nil {
				goto fail
			}
		}
		goto header
	}
	if p >= end {
		r.state = inSlash
		goto more
	}
	if c = src[p]; c != '>' {
		err = badMarkup(c)
		goto fail
	}
	p++
	t = &tape[r.cur]
	t.Val = uint32(p)
	t.End = uint32(p)
	t.Link = uint32(len(tape))
	if r.tag == 0 {
		t.ns = r.ns
	} else {
		n = uint(len(d.binds))
		d.tape = tape
		if _, err = d.resolve(s, r.cur, r.tag, r.ns); err != nil {
			goto fail
		}
		d.binds = d.binds[:n]
	}
	if len(open) >= s.limits.MaxDepth {
		err = ErrTooDeep
		goto fail
	}
	if len(open) == 0 {
		goto stanza
	}
	goto content

noName: // behind '<', and no name begins
	if c == '/' {
		p++
		goto closeTag
	}
	if c == '!' {
		p++
		goto bangMark
	}
	if c == '?' {
		if d.declOK && len(open) == 0 && p == 1 {
			p++
			goto decl
		}
		err = ErrMarkup
		goto fail
	}
	if c == 0 && d.declOK && p == 1 {
		err = ErrEncoding // "<\0": UTF-16 or UTF-32
		goto fail
	}
	err = badMarkup(c)
	goto fail

closeTag: // behind "</"
	if len(open) != 0 && p < end {
		t = &tape[open[len(open)-1].token]
		n = uint(t.NameLen)
		q = uint(t.Pos)
		if p+n < end && src[p+n] == '>' {
			if n <= 8 && p+8 <= uint(len(src)) {
				if (load(src, p)^load(src, q))<<(64-8*n) == 0 {
					p += n + 1
					goto closed
				}
			} else if string(src[p:p+n]) == string(src[q:q+n]) {
				p += n + 1
				goto closed
			}
		}
	}
	mark = p
closeSlow:
	if len(open) != 0 {
		t = &tape[open[len(open)-1].token]
		name = src[t.Pos : t.Pos+uint32(t.NameLen)]
	} else if d.ctx != nil {
		name = d.ctx.name
	} else {
		err = ErrSyntax
		goto fail
	}
	n = uint(len(name))
	for ; p-mark < n; p++ {
		if p >= end {
			r.state = inClose
			goto more
		}
		if src[p] != name[p-mark] {
			err = ErrMismatch
			goto fail
		}
	}
	for {
		if p >= end {
			r.state = inClose
			goto more
		}
		if c = src[p]; c == '>' {
			break
		}
		if class[c]&clsSpace == 0 {
			err = ErrMismatch
			goto fail
		}
		p++
	}
	p++
	if len(open) == 0 {
		d.finish(p, mark, tape, open)
		return resClose
	}
	t = &tape[open[len(open)-1].token]
closed: // behind an end tag; t is its Start
	t.End = uint32(p)
	t.Link = uint32(len(tape))
	n = uint(len(open) - 1)
	r.ns = open[n].ns
	if uint(len(d.binds)) > uint(open[n].binds) {
		d.binds = d.binds[:open[n].binds]
	}
	open = open[:n]
	if n != 0 {
		goto content
	}
stanza:
	d.finish(p, mark, tape, open)
	return resStanza

header:
	t = &tape[r.cur]
	if r.tag == 0 {
		t.ns = r.ns
	}
	t.End = uint32(p)
	t.Link = uint32(len(tape))
	d.finish(p, mark, tape, open)
	return resHeader

bangMark:
	mark = p
bang: // behind "<!"
	for ; p-mark < uint(len(sectionStart)); p++ {
		if p >= end {
			r.state = inBang
			goto more
		}
		if src[p] != sectionStart[p-mark] {
			err = ErrMarkup
			if p != mark {
				err = badMarkup(src[p])
			}
			goto fail
		}
	}
	if len(open) == 0 {
		err = ErrProlog
		if d.ctx != nil {
			err = ErrText
		}
		goto fail
	}
	mark = p
cdata:
	if p = w.nextText(p+sh) - sh; p >= end {
		p = end
		r.state = inCDATA
		goto more
	}
	c = src[p]
	if c != '>' {
		if c != '<' && c != '&' {
			err = ErrChar
			goto fail
		}
		p++
		goto cdata
	}
	p++
	if p-mark < 3 || src[p-2] != ']' || src[p-3] != ']' {
		goto cdata
	}
	tape = append(tape, Token{Kind: CDATA, Pos: uint32(mark), End: uint32(p - 3)})
	goto content

decl:
	if p, done, err = d.declaration(p, end); err != nil {
		goto fail
	}
	if !done {
		r.state = inDecl
		goto more
	}
	d.finish(p, mark, tape, open)
	return resDecl

tooLong:
	err = ErrNameTooLong
	goto fail
moreName:
	if p-mark > maxName {
		goto tooLong
	}
more:
	d.finish(p, mark, tape, open)
	return resMore
fail:
	d.err = err
	d.finish(p, mark, tape, open)
	return resError
}

// sectionStart is what follows "<!" where a CDATA section begins.
const sectionStart = "[CDATA["

// finish stores what run keeps in locals.
func (d *Doc) finish(p, mark uint, tape []Token, open []level) {
	d.pos, d.mark, d.tape, d.open = p, mark, tape, open
}

// badMarkup is the error for a byte that may not be where it is in a tag.
func badMarkup(c byte) *Error {
	if c < 0x20 && class[c]&clsSpace == 0 {
		return ErrChar
	}
	return ErrSyntax
}

// badName is the error for a byte that ends a name and may not.
func badName(c byte) *Error {
	if c == ':' {
		return ErrName
	}
	return badMarkup(c)
}
