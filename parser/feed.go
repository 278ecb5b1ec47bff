package parser

import "unicode/utf8"

// ensure makes the window cover data[n:], if it does not cover data[n] yet, as
// far as it reaches and the bytes are characters. It reports whether it covers
// data[n] now. If not, s.reason says what is wrong with that byte, or it is nil
// and the character is cut by the end of data.
func (s *Scratch) ensure(data []byte, n int) bool {
	if n < s.to {
		return true
	}
	if s.reason != nil && n == s.to {
		return false
	}
	b := data[n:min(len(data), n+windowSize)]
	b = b[:len(b)-incomplete(b)]
	if len(b) == 0 {
		s.from, s.to, s.reason = n, n, nil
		return false
	}
	good, e := s.win.fill(b)
	s.work += uint64(len(b))
	s.from, s.to, s.reason = n, n+good, e
	return good > 0
}

// parse parses the element whose '<' is data[n], where it lies. If data ends
// before it does, the element is carried: copied into memory of its own, which
// belongs to p until it is whole. It returns how much of data is used.
func (p *Parser) parse(s *Scratch, data []byte, n int) (result, int, *Error) {
	d, limit := s.tape, s.max
	for at := n; s.ensure(data, at); at = s.to {
		end := s.to - n
		if end > limit {
			end = boundary(data[n:], limit)
		}
		res := d.run(s, uint(end), uint(n-s.from))
		switch {
		case res == resError:
			return res, n + int(d.pos), d.err
		case res != resMore:
			d.src = d.src[:d.pos]
			return res, n + int(d.pos), nil
		case s.to-n >= limit:
			return resError, n + int(d.pos), ErrTooLarge
		}
	}
	if e := s.restError(data, s.to, limit-(s.to-n)); e != nil {
		return resError, s.to, e
	}
	p.carry(s, data[n:])
	return resMore, len(data), nil
}

// carry makes the element under way, of which b has come, one that p carries. On
// a restricted stream it gets memory of its own size: that of the Scratch is as
// large as the largest element that it has had.
func (p *Parser) carry(s *Scratch, b []byte) {
	d := s.tape
	if p.flags&flagRestricted == 0 {
		d.own = append(d.own[:0], b...)
		p.partial, s.tape = d, s.getTape()
	} else {
		p.partial = d.compact(b)
	}
	p.partial.src = p.partial.own
}

// boundary is the last place between two characters at or before n.
func boundary(b []byte, n int) int {
	for b[n]&0xC0 == 0x80 {
		n--
	}
	return n
}

// restError is called when an element has not ended at data[at], where the window
// ends, and may have room bytes more. It returns what is wrong, nil if the
// bytes are used up or cut in the middle of a character.
//
// An element is too large at its last allowed byte, whatever follows. If that
// is inside of a character which turns out to be none, the limit counts: it is
// what a client hears who sends byte by byte.
func (s *Scratch) restError(data []byte, at, room int) *Error {
	rest := data[at:]
	full := len(rest) >= room
	if full {
		rest = rest[:room]
	}
	if s.reason != nil && (!full || utf8.FullRune(rest)) {
		return s.reason
	}
	if full {
		return ErrTooLarge
	}
	return nil
}

// copyStep is how much of a piece is appended to a carried element at once, in
// bytes, before it is known where the element ends.
const copyStep = 1 << 10

// resume goes on with the element that p carries.
func (p *Parser) resume(s *Scratch, data []byte) (result, int, *Error) {
	d, limit, at := p.partial, s.max, 0
	for int(d.pos) < len(d.own) { // a character was cut
		if at == len(data) {
			return resMore, at, nil
		}
		d.own = append(d.own, data[at])
		at++
		if e := d.character(s); e != nil {
			return resError, at, e
		}
	}
	if len(data) <= smallInput {
		at += d.skip(s, data[at:])
	}
	for at < len(data) && s.ensure(data, at) {
		had := len(d.own)
		room := limit - had
		d.own = append(d.own, data[at:min(s.to, at+copyStep, at+room)]...)
		d.src = d.own
		end := len(d.own)
		if end == limit && at+room < s.to && data[at+room]&0xC0 == 0x80 {
			for end--; d.own[end] < 0xC0; end-- { // a character goes on behind the limit
			}
		}
		s.work += uint64(len(d.own) - had)
		res := d.run(s, uint(end), uint(at-s.from-had))
		switch {
		case res == resError:
			return res, at, d.err
		case res != resMore:
			at += int(d.pos) - had
			p.finishPartial(s)
			return res, at, nil
		case len(d.own) == limit:
			return resError, at, ErrTooLarge
		}
		at += len(d.own) - had
	}
	if at < len(data) {
		if e := s.restError(data, at, limit-len(d.own)); e != nil {
			return resError, at, e
		}
		d.own = append(d.own, data[at:]...)
	}
	d.src = d.own
	return resMore, len(data), nil
}

// character goes on with a carried element whose last byte has come alone,
// after a cut character: it may be whole now.
func (d *Tape) character(s *Scratch) *Error {
	d.src = d.own
	s.from, s.to, s.reason = 0, 0, nil
	if b := d.own[d.pos:]; utf8.FullRune(b) && !d.skipRune() {
		s.work += uint64(len(b))
		if good, e := s.win.fill(b); good < len(b) {
			return e
		}
		if d.run(s, uint(len(d.own)), -d.pos) == resError {
			return d.err
		}
	}
	if len(d.own) == s.max {
		return ErrTooLarge
	}
	return nil
}

// finishPartial makes a carried element, which is whole, the Scratch's document.
func (p *Parser) finishPartial(s *Scratch) {
	d := p.partial
	d.src = d.own[:d.pos]
	s.putTape(s.tape)
	p.partial, s.tape = nil, d
}
