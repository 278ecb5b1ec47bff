//go:build !portable

package parser

// vector reports whether windows are filled by the NEON kernel, which every arm64
// processor can run.
var vector, hasVector = true, true

// classify classifies the given number of blocks of 64 bytes from b on, stores their bits
// from the start of w on, and stores in high, for each block, whether it has bytes from
// 0x80 on.
//
//go:noescape
func classify(b *byte, blocks int, w *window, t *kernelTables, high *bool)

// kernelTables are the constants of the kernel, one vector of 16 bytes each.
type kernelTables struct {
	nibble              [16]byte // 0x0F
	nameLow, nameHigh   [16]byte // a name byte: the entries for its low and its high half have a common bit
	stopLow, stopHigh   [16]byte // a stop of text or value: the common bits tell which
	textBits, valueBits [16]byte // the bits for stops of text, and of values
	weights             [16]byte // 1, 2, 4 … 128, twice: see the kernel
}

var tables = func() (t kernelTables) {
	for i := range 16 {
		t.nibble[i], t.weights[i] = 0x0F, 1<<(i&7)
	}
	first := func(v *[16]byte, from [32]byte) { copy(v[:], from[:16]) }
	low, high := byHalves(func(c byte) bool { return class[c]&clsName != 0 })
	first(&t.nameLow, low)
	first(&t.nameHigh, high)
	low, high, text, value := stopTables()
	first(&t.stopLow, low)
	first(&t.stopHigh, high)
	first(&t.textBits, text)
	first(&t.valueBits, value)
	return t
}()

// fillVector is fill with the kernel; UTF-8 is checked as in fillPortable.
func (w *window) fillVector(b []byte) (int, *Error) {
	if n := len(b) / 64; n > 0 {
		classify(&b[0], n, w, &tables, &w.nonASCII[0])
	}
	return w.validate(b)
}
