//go:build !portable

package parser

// vector reports whether windows are filled by the AVX2 kernel.
var vector = hasVector

// hasVector reports whether the processor has AVX2 and the system saves its registers
// (Intel's manual, volume 1, sections 14.3 and 14.7).
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

// xgetbv returns the low half of XCR0: the registers that the system saves.
func xgetbv() uint32

// classify classifies the given number of blocks of 64 bytes from b on, then the block at
// pad, and stores their bits from the start of w on. It returns the number of valid
// blocks: the first invalid one contains, or follows, a byte that is not UTF-8 or a
// character that XML does not allow. Its bits are stored too.
//
//go:noescape
func classify(b, pad *byte, blocks int, w *window, t *kernelTables) int

// fillVector is fill with the kernel.
func (w *window) fillVector(b []byte) (int, *Error) {
	n := len(b) / 64
	var good int
	if len(b)&63 == 0 && b[len(b)-1] < 0xC0 && incomplete(b) == 0 {
		// There are no bytes for a partial last block, and no lead byte at the end that
		// only the next block would show to be incomplete: the last complete block is
		// passed as pad, which halves the work for pieces of 64 bytes.
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
	// Find the exact position. A character that continues into the invalid block, or
	// should, begins at most three bytes before it.
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

// kernelTables are the constants of the kernel. Each is a vector of 32 bytes with two
// equal halves, because a shuffle works within each half.
type kernelTables struct {
	nibble              [32]byte // 0x0F
	nameLow, nameHigh   [32]byte // a name byte: the entries for its low and its high half have a common bit
	stopLow, stopHigh   [32]byte // a stop of text or value: the common bits tell which
	textBits, valueBits [32]byte // the bits for stops of text, and of values
	first, firstLow     [32]byte // UTF-8: possible errors of a byte, by its high and its low half …
	second              [32]byte // … and by the high half of the next byte
	third, fourth       [32]byte // 0x60, 0x70: a lead byte of 3 or 4 bytes minus 0x80
	last                [32]byte // the largest bytes allowed at the end of a block
	high                [32]byte // 0x80
	lead, middle, one   [32]byte // 0xEF, 0xBF, 1: for U+FFFE and U+FFFF
}

var tables = newTables()

// Errors of two consecutive bytes, after Keiser and Lemire, "Validating UTF-8 in less
// than one instruction per byte" (2021). Each table lists the errors that its half of a
// byte does not rule out; those that remain in all three tables are errors. Two
// continuation bytes are an error only if no lead byte of three or four bytes precedes
// them, which the kernel checks separately.
const (
	tooShort    = 1 << iota // a lead byte without a continuation byte after it
	tooLong                 // a continuation byte after ASCII
	overlong3               // E0 80 to E0 9F
	tooHigh                 // F4 90 and above
	surrogate               // ED A0 to ED BF
	overlong2               // C0, C1
	tooHighOr4              // F5 80 to FF 8F, and F0 80 to F0 8F
	twoContinue             // a continuation byte after a continuation byte
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
