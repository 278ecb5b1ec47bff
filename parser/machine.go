package parser

import "encoding/binary"

// grow returns a copy of a full tape with more capacity.
func grow(tape []Token) []Token {
	return append(make([]Token, 0, max(64, 2*cap(tape))), tape...)
}

// load reads eight bytes at once.
func load(b []byte, i uint) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// run is the tokenizer. It continues at d.pos in d.src, up to end, and updates d.pos. Bit
// p+shift of the window belongs to byte p.
//
// It is one function with labels because that is the fastest form that can stop at any
// byte. Between two labels the code is straight, and the processor predicts each jump
// from its own history. Every place where the bytes may run out stores its state and
// returns; the switch at the start is executed once per call. Rare cases are in other
// functions.
func (d *Tape) run(s *Scratch, end, shift uint) result {
	var (
		c    byte
		t    *Token
		q, n uint
		x    uint64
		err  *Error
		done bool
	)
	s.work++
	r := &d.registers
	p, start := r.pos, r.start
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
	case inClose:
		goto closeSlow
	case inDecl:
		goto decl
	default:
		if p >= end {
			goto more
		}
		err = textError(src[p], d.ctx != nil)
		goto fail
	}

open: // after '<'
	if p >= end {
		r.state = atOpen
		goto more
	}
	c = src[p]
	if class[c]&clsStart == 0 {
		goto noName
	}
	start, r.colon, r.nonASCII = p, 0, false
name:
	if p = w.nextName(p+shift) - shift; p >= end {
		p = end
		r.state = inName
		goto moreName
	}
	c = src[p]
	if class[c]&clsNameEnd == 0 {
		goto nameSlow
	}
	if p-start > maxName {
		goto tooLong
	}
	if r.colon != 0 || r.nonASCII {
		if err = d.checkName(start, p, r.colon, r.nonASCII); err != nil {
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
	t.Kind, t.PrefixLen, t.NameLen = Start, uint8(r.colon), uint16(p-start)
	t.Pos = uint32(start)
	r.attrs, r.bloom, r.tag = 0, 0, 0
	if r.colon != 0 {
		r.tag = tagPrefix
	}
	goto inside

nameSlow: // a colon, a byte from 0x80 on, or a byte that must not end a name
	if p, err = d.nameSlow(s, p, start, end); err != nil {
		goto fail
	}
	goto name

tag: // after a name or a value
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
		err = tagError(c)
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
	start, r.colon, r.nonASCII = p, 0, false
attr:
	if p = w.nextName(p+shift) - shift; p >= end {
		p = end
		r.state = inAttr
		goto moreName
	}
	c = src[p]
	if c != '=' && class[c]&clsSpace == 0 {
		goto attrSlow
	}
	if p-start > maxName {
		goto tooLong
	}
	if r.colon != 0 || r.nonASCII {
		if err = d.checkName(start, p, r.colon, r.nonASCII); err != nil {
			goto fail
		}
	}
	r.nameLen = p - start
	goto equalSign

attrSlow:
	if p, err = d.nameSlow(s, p, start, end); err != nil {
		goto fail
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
			err = tagError(c)
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
			err = tagError(c)
			goto fail
		}
		p++
		goto quote
	}
	p++
	r.quote, r.val, r.escaped = c, p, 0
value:
	if p = w.nextValue(p+shift) - shift; p >= end {
		p = end
		r.state = inValue
		goto more
	}
	c = src[p]
	if c != r.quote {
		goto valueSlow
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
	t.ns, t.Pos, t.Val, t.End, t.Link = r.escaped, uint32(start), uint32(r.val), uint32(p), 0
	x = 1 << ((uint(src[start])*5 ^ uint(src[start+r.nameLen-1])*3 ^ r.nameLen) & 63)
	if r.bloom&x != 0 {
		if d.duplicate(tape, r.cur) {
			err = ErrDuplicate
			goto fail
		}
	}
	r.bloom |= x
	if r.colon != 0 || src[start] == 'x' {
		r.tag |= d.classifyAttr(t)
	}
	p++
	goto tag

valueSlow:
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
	start, r.escaped = p, 0
text:
	if p = w.nextText(p+shift) - shift; p >= end {
		p = end
		r.state = inText
		goto more
	}
	c = src[p]
	if c != '<' {
		goto textSlow
	}
	n = uint(len(tape))
	if n == uint(cap(tape)) {
		tape = grow(tape)
	}
	tape = tape[:n+1]
	t = &tape[n]
	t.Kind, t.PrefixLen, t.NameLen = Text, 0, 0
	t.ns, t.Pos, t.Val, t.End, t.Link = r.escaped, uint32(start), 0, uint32(p), 0
	p++
	goto open

textSlow:
	if c == '&' {
		r.escaped = flagEscaped
		p++
		r.ref = reference{}
		goto textRef
	}
	if c == '>' {
		if !(p-start >= 2 && src[p-1] == ']' && src[p-2] == ']') {
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

slash: // after '/'
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
		err = tagError(c)
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

noName: // after '<', and no name begins
	if c == '/' {
		p++
		goto closeTag
	}
	if c == '!' {
		p++
		goto bangMark
	}
	if c == '?' && d.declOK && p == 1 {
		p++
		goto decl
	}
	err = d.markupError(c, len(tape) == 0)
	goto fail

closeTag: // after "</"
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
	start = p
closeSlow:
	d.tape, d.open = tape, open
	if p, done, err = d.endTag(p, start, end); err != nil {
		goto fail
	}
	if !done {
		r.state = inClose
		goto more
	}
	if len(open) == 0 {
		d.finish(p, start, tape, open)
		return resClose
	}
	t = &tape[open[len(open)-1].token]
closed: // after an end tag; t is its Start
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
	d.finish(p, start, tape, open)
	return resStanza

header:
	t = &tape[r.cur]
	if r.tag == 0 {
		t.ns = r.ns
	}
	t.End = uint32(p)
	t.Link = uint32(len(tape))
	d.finish(p, start, tape, open)
	return resHeader

bangMark:
	start = p
bang: // after "<!"
	d.open = open
	if p, done, err = d.sectionBegins(p, start, end); err != nil {
		goto fail
	}
	if !done {
		r.state = inBang
		goto more
	}
	start = p
cdata:
	if p, done, err = d.sectionEnds(w, p, start, end, shift); err != nil {
		goto fail
	}
	if !done {
		r.state = inCDATA
		goto more
	}
	tape = append(tape, Token{Kind: CDATA, Pos: uint32(start), End: uint32(p) - uint32(len(sectionEnd))})
	goto content

decl:
	if p, done, err = d.declaration(p, end); err != nil {
		goto fail
	}
	if !done {
		r.state = inDecl
		goto more
	}
	d.finish(p, start, tape, open)
	return resDecl

tooLong:
	err = ErrNameTooLong
	goto fail
moreName:
	if p-start > maxName {
		goto tooLong
	}
more:
	d.finish(p, start, tape, open)
	return resMore
fail:
	d.err = err
	d.finish(p, start, tape, open)
	return resError
}

// finish stores the local variables of run.
func (d *Tape) finish(p, start uint, tape []Token, open []level) {
	d.pos, d.start, d.tape, d.open = p, start, tape, open
}
