//go:build !portable

package parser

// vector says that windows are filled by the AVX2 kernel.
var vector = hasVector

// hasVector reports whether the processor has AVX2 and the system keeps its
// registers (Intel's manual, volume 1, sections 14.3 and 14.7).
var hasVector = func() bool {
	const osxsave, avx, avx2 = 1 << 27, 1 << 28, 1 << 5
	if most, _, _, _ := cpuid(0, 0); most < 7 {
		return false
	}
	if _, _, c, _ := cpuid(1, 0); c&osxsave == 0 || c&avx == 0 {
		return false
	}
	if xgetbv()&6 != 6 {
		return false
	}
	_, b, _, _ := cpuid(7, 0)
	return b&avx2 != 0
}()

func cpuid(leaf, sub uint32) (a, b, c, d uint32)

// xgetbv returns the low half of XCR0: what the system saves.
func xgetbv() uint32

// classify classifies blocks blocks of 64 bytes from b on and then the one at
// pad, and stores their bits from the start of w on. It returns how many blocks
// are good: the first that is not has, or follows, a byte that is not UTF-8 or
// a character that XML does not allow. Its bits are stored too.
//
//go:noescape
func classify(b, pad *byte, blocks int, w *window, t *kernelTables) int

// fillVector is fill with the kernel.
func (w *window) fillVector(b []byte) (int, *Error) {
	n := len(b) / 64
	var good int
	if len(b)&63 == 0 && b[len(b)-1] < 0xC0 && incomplete(b) == 0 {
		// Nothing is left for a last block, and no lead byte that only the next
		// block would tell to be alone: the last whole one takes its place, which
		// saves pieces of 64 bytes half of the work.
		n--
		good = classify(&b[0], &b[n*64], n, w, &tables)
		w.text[n+1], w.value[n+1], w.name[n+1] = allStops, allStops, allStops
	} else {
		var pad [64]byte // zeros, which are stops in all maps
		copy(pad[:], b[n*64:])
		good = classify(&b[0], &pad[0], n, w, &tables)
	}
	if good > n {
		return len(b), nil
	}
	// Where exactly? A character that goes on into the bad block, or should,
	// begins at most three bytes before it.
	from := min(good*64, len(b))
	for i := from - 1; i >= max(from-3, 0) && b[i] >= 0x80; i-- {
		if b[i] >= 0xC0 {
			from = i
			break
		}
	}
	ok, e := validPrefix(b[from:])
	return from + ok, e
}

// kernelTables are the constants of the kernel, each one vector of 32 bytes
// whose halves are the same, because a shuffle stays within a half.
type kernelTables struct {
	nibble              [32]byte // 0x0F
	nameLow, nameHigh   [32]byte // a byte of a name: what the tables have for its low and its high half has a bit in common
	stopLow, stopHigh   [32]byte // a stop of text or value: the common bits say which
	textBits, valueBits [32]byte // the bits that are stops of text, and of values
	first, firstLow     [32]byte // UTF-8: what a byte may be wrong with, by its high and its low half …
	second              [32]byte // … and by the high half of the byte behind it
	third, fourth       [32]byte // 0x60, 0x70: what a lead byte of 3 or 4 bytes has above 0x80
	last                [32]byte // the largest bytes that may end a block
	high                [32]byte // 0x80
	lead, middle, one   [32]byte // 0xEF, 0xBF, 1: of U+FFFE and U+FFFF
}

var tables = newTables()

// What can be wrong with two bytes in a row, after Keiser and Lemire,
// "Validating UTF-8 in less than one instruction per byte" (2021). Each table
// lists what its half of a byte does not rule out; what is left in all three is
// an error. Two continuations are one only if no lead byte of three or four
// bytes is before them, which the kernel looks at separately.
const (
	tooShort    = 1 << iota // a lead byte, and no continuation behind it
	tooLong                 // a continuation behind ASCII
	overlong3               // E0 80 to E0 9F
	tooHigh                 // F4 90 and above
	surrogate               // ED A0 to ED BF
	overlong2               // C0, C1
	tooHighOr4              // F5 80 to FF 8F, and F0 80 to F0 8F
	twoContinue             // a continuation behind a continuation
)

func newTables() (t kernelTables) {
	fill := func(v *[32]byte, of func(i int) byte) {
		for i := range v {
			v[i] = of(i & 15)
		}
	}
	all := func(v *[32]byte, c byte) { fill(v, func(int) byte { return c }) }
	all(&t.nibble, 0x0F)
	all(&t.high, 0x80)
	all(&t.third, 0xE0-0x80)
	all(&t.fourth, 0xF0-0x80)
	all(&t.lead, 0xEF)
	all(&t.middle, 0xBF)
	all(&t.one, 1)
	all(&t.last, 0xFF)
	t.last[29], t.last[30], t.last[31] = 0xEF, 0xDF, 0xBF

	// Rows of ASCII that have the same columns share a bit.
	t.nameLow, t.nameHigh = byHalves(func(c byte) bool { return class[c]&clsName != 0 })
	t.stopLow, t.stopHigh, t.textBits, t.valueBits = stopTables()

	fill(&t.first, func(i int) byte {
		return [16]byte{8: twoContinue, 9: twoContinue, 10: twoContinue, 11: twoContinue,
			12: tooShort | overlong2, 13: tooShort, 14: tooShort | overlong3 | surrogate, 15: tooShort | tooHigh | tooHighOr4}[i] | cond(i < 8, tooLong)
	})
	fill(&t.firstLow, func(i int) byte {
		return tooShort | tooLong | twoContinue | cond(i == 0, overlong2|overlong3|tooHighOr4) | cond(i == 1, overlong2) |
			cond(i >= 4, tooHigh) | cond(i >= 5, tooHighOr4) | cond(i == 13, surrogate)
	})
	fill(&t.second, func(i int) byte {
		if i < 8 || i > 11 {
			return tooShort
		}
		return tooLong | twoContinue | overlong2 | cond(i == 8, tooHighOr4) | cond(i < 10, overlong3) | cond(i > 8, tooHigh) | cond(i >= 10, surrogate)
	})
	return t
}
