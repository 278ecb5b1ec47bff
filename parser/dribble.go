package parser

// dribble is the size up to which it does not pay to make a window of a piece,
// in bytes.
const dribble = 8

// passes has, for the states in which the machine passes over bytes one like the
// other, the bits of classBits that end this; 0 for all other states.
var passes = [inStray + 1]uint64{
	inName:  stopName | isHigh,
	inAttr:  stopName | isHigh,
	inValue: stopValue | isHigh,
	inText:  stopText | isHigh,
	inCDATA: stopText | isHigh,
}

// passOver appends to a carried element the first bytes of a piece that dribbles
// in, as long as the machine would only pass over them, and returns how many it
// were. Clients that send byte by byte are the ones who cost most.
func (d *Doc) passOver(s *Scratch, data []byte) int {
	stops := passes[d.state]
	if stops == 0 {
		return 0
	}
	room := s.limits.MaxStanza - len(d.own) - 1
	if d.state == inName || d.state == inAttr {
		room = min(room, s.limits.MaxName-(len(d.own)-int(d.mark)))
	}
	n := 0
	for n < min(len(data), room) && classBits[data[n]]&stops == 0 {
		n++
	}
	d.own = append(d.own, data[:n]...)
	d.pos += uint(n)
	return n
}
