package parser

import "unicode/utf8"

// smallInput is the size up to which it does not pay to make a window of a piece,
// in bytes.
const smallInput = 8

// skipStops has, for the states in which the machine passes over bytes one like the
// other, the bits of classBits that end this; 0 for all other states.
var skipStops = [atText + 1]uint64{
	inName:  stopName | isHigh,
	inAttr:  stopName | isHigh,
	inValue: stopValue | isHigh,
	inText:  stopText | isHigh,
	inCDATA: stopText | isHigh,
}

// skip appends to a carried element the first bytes of a piece that dribbles
// in, as long as the machine would only pass over them, and returns how many it
// were. Clients that send byte by byte are the ones who cost most.
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

// skipRune does the same for the character at d.pos, whose last byte has
// just come, if it is one from U+0080 on and nothing but passed over.
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
