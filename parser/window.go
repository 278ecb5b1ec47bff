package parser

import "math/bits"

// windowSize is the number of bytes classified at once. The bitmaps of a window take 1.5
// KiB, so that they and the bytes fit in the first-level cache.
const windowSize = 4096

// window has, for up to windowSize bytes, one bit per byte in each of three maps: the
// positions at which the machine has to stop in text, in an attribute value and in a
// name. The machine then finds the end of a run of ordinary bytes with one shift and one
// count of zeros, however long the run is.
//
// The maps are filled by portable code or by a vector kernel, with the same result.
type window struct {
	text  [windowSize/64 + 1]uint64 // '<', '>', '&', and what XML does not allow
	value [windowSize/64 + 1]uint64 // '<', '&', both quotes, and all bytes below 0x20
	name  [windowSize/64 + 1]uint64 // all bytes except ASCII letters, digits, '-', '.' and '_'

	// Blocks of 64 bytes that have bytes from 0x80 on; used if the kernel does not check
	// UTF-8.
	nonASCII [windowSize/64 + 1]bool
}

// allStops is a word of a map with a stop at each byte, used after the end.
const allStops = ^uint64(0)

// Bits of classBits.
const (
	stopText  = 1 << 0
	stopValue = 1 << 16
	stopName  = 1 << 32
	isHigh    = 1 << 48 // from 0x80 on
)

// classBits holds a byte's bit for each map, 16 bits apart: 16 bytes are classified by
// shifting and combining their table entries.
var classBits = func() (t [256]uint64) {
	for c := range t {
		if class[c]&clsName == 0 || c >= 0x80 {
			t[c] |= stopName
		}
		switch {
		case c >= 0x80:
			t[c] |= isHigh
		case c == '<', c == '&':
			t[c] |= stopText | stopValue
		case c == '>':
			t[c] |= stopText
		case c == '"', c == '\'':
			t[c] |= stopValue
		case c == '\t', c == '\n', c == '\r':
			t[c] |= stopValue
		case c < 0x20:
			t[c] |= stopText | stopValue
		}
	}
	return t
}()

// fill classifies b, at most windowSize bytes that begin and end between two characters.
// It returns how many of them are valid. That is less than len(b) if the next byte is not
// UTF-8 or starts a character that XML does not allow; then e is the error. After the
// last valid byte there is a stop in each map.
func (w *window) fill(b []byte) (good int, e *Error) {
	switch {
	case len(b) < 16:
		good, e = w.fillShort(b)
	case vector:
		good, e = w.fillVector(b)
	default:
		good, e = w.fillPortable(b)
	}
	if e != nil {
		stop := uint64(1) << (good & 63)
		w.text[good>>6] |= stop
		w.value[good>>6] |= stop
		w.name[good>>6] |= stop
	}
	return good, e
}

// fillShort is fill for small inputs.
func (w *window) fillShort(b []byte) (int, *Error) {
	var m uint64
	for i, c := range b {
		m |= classBits[c] << (i & 15)
	}
	end := ^uint64(0) << (len(b) & 15)
	w.text[0] = m&0xFFFF | end
	w.value[0] = m>>16&0xFFFF | end
	w.name[0] = m>>32&0xFFFF | end
	if m>>48 != 0 {
		return validPrefix(b)
	}
	return len(b), nil
}

// fillPortable is fill in plain Go.
func (w *window) fillPortable(b []byte) (int, *Error) {
	for i := range len(b) / 64 {
		w.nonASCII[i] = w.block(i, (*[64]byte)(b[i*64:]))
	}
	return w.validate(b)
}

// validate completes a window whose complete blocks are classified: it classifies the
// remaining bytes, and checks UTF-8 in blocks with bytes from 0x80 on.
func (w *window) validate(b []byte) (int, *Error) {
	n := len(b) / 64
	w.nonASCII[n] = w.lastBlock(n, b[n*64:])
	from := -1 // start of the current sequence of blocks with bytes from 0x80 on
	for i, nonASCII := range w.nonASCII[:n+1] {
		if nonASCII == (from >= 0) {
			continue
		}
		if nonASCII {
			from = i * 64
			continue
		}
		if ok, e := validPrefix(b[from : i*64]); e != nil {
			return from + ok, e
		}
		from = -1
	}
	if from >= 0 {
		ok, e := validPrefix(b[from:])
		return from + ok, e
	}
	return len(b), nil
}

// lastBlock classifies the bytes after the last complete block, followed by stops, and
// reports whether it has bytes from 0x80 on.
func (w *window) lastBlock(i int, b []byte) (nonASCII bool) {
	if len(b) == 0 {
		w.text[i], w.value[i], w.name[i] = allStops, allStops, allStops
		return false
	}
	var pad [64]byte // zeros, which are stops in all maps
	copy(pad[:], b)
	return w.block(i, &pad)
}

// block classifies block i, and reports whether it has bytes from 0x80 on.
func (w *window) block(i int, b *[64]byte) (nonASCII bool) {
	var t, v, n, h uint64
	for k := 0; k < 64; k += 16 {
		q := (*[16]byte)(b[k:])
		m := classBits[q[0]] | classBits[q[1]]<<1 | classBits[q[2]]<<2 | classBits[q[3]]<<3 |
			classBits[q[4]]<<4 | classBits[q[5]]<<5 | classBits[q[6]]<<6 | classBits[q[7]]<<7 |
			classBits[q[8]]<<8 | classBits[q[9]]<<9 | classBits[q[10]]<<10 | classBits[q[11]]<<11 |
			classBits[q[12]]<<12 | classBits[q[13]]<<13 | classBits[q[14]]<<14 | classBits[q[15]]<<15
		t |= m & 0xFFFF << k
		v |= m >> 16 & 0xFFFF << k
		n |= m >> 32 & 0xFFFF << k
		h |= m >> 48
	}
	w.text[i], w.value[i], w.name[i] = t, v, n
	return h != 0
}

// The three searches return the first stop at or after bit q. There always is one, see
// fill.

func (w *window) nextText(q uint) uint {
	if m := w.text[q>>6] >> (q & 63); m != 0 {
		return q + uint(bits.TrailingZeros64(m))
	}
	return nextSlow(&w.text, q)
}

func (w *window) nextValue(q uint) uint {
	if m := w.value[q>>6] >> (q & 63); m != 0 {
		return q + uint(bits.TrailingZeros64(m))
	}
	return nextSlow(&w.value, q)
}

func (w *window) nextName(q uint) uint {
	if m := w.name[q>>6] >> (q & 63); m != 0 {
		return q + uint(bits.TrailingZeros64(m))
	}
	return nextSlow(&w.name, q)
}

func nextSlow(words *[windowSize/64 + 1]uint64, q uint) uint {
	for i := q>>6 + 1; ; i++ {
		if m := words[i]; m != 0 {
			return i<<6 + uint(bits.TrailingZeros64(m))
		}
	}
}

// HasVector reports whether this machine can use a vector kernel.
func HasVector() bool { return hasVector }

// UseVector enables or disables the vector kernel, which is enabled by default where
// there is one, and returns the previous setting. It is for measurements and tests, and
// must not be called while anything is parsed.
func UseVector(on bool) bool {
	was := vector
	vector = on && hasVector
	return was
}
