package parser

import "unicode/utf8"

// smallInput is the size in bytes up to which it is not worth while to fill a window for
// a piece of input.
const smallInput = 8

// skipStops has, for the states in which the machine skips ordinary bytes, the bits of
// classBits that stop it; 0 for all other states.
var skipStops = [atText + 1]uint64{
	inName:  stopName | isHigh,
	inAttr:  stopName | isHigh,
	inValue: stopValue | isHigh,
	inText:  stopText | isHigh,
	inCDATA: stopText | isHigh,
}

// skip appends the first bytes of a small piece to an incomplete element, as long as the
// machine would only skip them, and returns their number. Clients that send byte by byte
// cost the most.
func (d *Tape) skip(s *Scratch, data []byte) int {
	stops := skipStops[d.state]
	if stops == 0 {
		return 0
	}
	room := s.max - len(d.own) - 1
	if d.state == inName || d.state == inAttr {
		room = min(room, s.limits.MaxName-(len(d.own)-int(d.start)))
	}
	own := d.own
	for _, c := range data[:min(len(data), max(room, 0))] {
		if classBits[c]&stops != 0 {
			break
		}
		own = append(own, c)
	}
	n := len(own) - len(d.own)
	d.own = own
	d.pos += uint(n)
	return n
}

// skipRune does the same for the character at d.pos, whose last byte has just arrived, if
// it is U+0080 or above and the machine would only skip it.
func (d *Tape) skipRune() bool {
	if skipStops[d.state] == 0 || d.state == inName || d.state == inAttr {
		return false
	}
	r, n := utf8.DecodeRune(d.own[d.pos:])
	if n != len(d.own)-int(d.pos) || n == 1 || r == 0xFFFE || r == 0xFFFF {
		return false
	}
	d.pos += uint(n)
	return true
}
