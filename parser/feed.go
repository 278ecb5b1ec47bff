package parser

import "unicode/utf8"

// ensure makes the window cover data from n on, if it does not cover data[n] yet, up to
// its size and as far as the bytes are valid characters. It reports whether it covers
// data[n] now. If not, s.reason is the error of that byte, or it is nil because the
// character is incomplete at the end of data.
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

// parse parses the element whose '<' is data[n], in place. If the element is incomplete
// at the end of data, it is copied into memory that p owns until it is complete. parse
// returns how much of data is consumed.
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

// carry makes the current element, whose received bytes are b, the partial element of p.
// The Scratch's memory is as large as the largest element that it has parsed. So if it is much
// more than the element needs, the element is copied into a smaller Tape, and on a restricted
// stream into memory of exactly its size.
func (p *Parser) carry(s *Scratch, b []byte) {
	d := s.tape
	most := maxSpare + 2*d.needs(len(b))
	switch {
	case p.flags&flagRestricted != 0:
		p.partial = d.compact(b)
	case d.Held() <= most:
		d.own = append(d.own[:0], b...)
		p.partial, s.tape = d, s.getTape()
	default:
		p.partial = s.getSmall(most)
		d.copyTo(p.partial, b)
	}
	p.partial.src = p.partial.own
}

// maxSpare is how much more memory than twice its size an incomplete element may keep, in
// bytes.
const maxSpare = 64 << 10

// boundary returns the last position between two characters at or before n.
func boundary(b []byte, n int) int {
	for b[n]&0xC0 == 0x80 {
		n--
	}
	return n
}

// restError is called when an element has not ended at data[at], where the window ends,
// and may have room more bytes. It returns the error, or nil if no bytes remain or the
// last character is incomplete.
//
// An element is too large at its last allowed byte, whatever follows. If that byte is
// inside an invalid character, the limit takes precedence, because a client that sends
// byte by byte gets that error.
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

// copyStep is how many bytes of a piece are appended to an incomplete element at once,
// before it is known where the element ends.
const copyStep = 1 << 10

// resume continues the partial element of p.
func (p *Parser) resume(s *Scratch, data []byte) (result, int, *Error) {
	d, limit, at := p.partial, s.max, 0
	for int(d.pos) < len(d.own) { // the last character was incomplete
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
			for end--; d.own[end] < 0xC0; end-- { // a character continues beyond the limit
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

// character continues an incomplete element after one more byte of an incomplete
// character, which may be complete now.
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

// finishPartial makes the partial element, now complete, the Scratch's Tape.
func (p *Parser) finishPartial(s *Scratch) {
	d := p.partial
	d.src = d.own[:d.pos]
	s.putTape(s.tape)
	p.partial, s.tape = nil, d
}
