package parser

// Limits bound what a stream may ask for. They are counted while bytes arrive,
// so that memory is bounded before an element has ended: a cut element costs at
// most MaxStanza bytes and 24 bytes for each token of it. A zero field takes the
// default; a value out of range is moved into it.
type Limits struct {
	MaxStanza     int // bytes of one first-level element or of the stream header; default 256 KiB, 10,000 to 64 MiB (RFC 6120 section 13.12)
	MaxRestricted int // likewise on a stream that is restricted, see Parser.Restrict; default 10,000, at most MaxStanza
	MaxDepth      int // nesting of elements, the first-level element counted; default 64, 2 to 65,535
	MaxAttrs      int // attributes of one element, namespace declarations counted; default 64, 8 to 4,096
	MaxNamespaces int // declarations of prefixes in scope at once, the header's counted; default 64, 4 to 4,096; a header has at most 64
	MaxName       int // bytes of a name with its prefix; default 1,024, 16 to 65,535; a prefix has at most 254
}

func (l *Limits) normalize() {
	set := func(v *int, value, low, high int) {
		if *v == 0 {
			*v = value
		}
		*v = min(max(*v, low), high)
	}
	set(&l.MaxStanza, 256<<10, 10000, 64<<20)
	set(&l.MaxRestricted, 10000, 1000, l.MaxStanza)
	set(&l.MaxDepth, 64, 2, 1<<16-1)
	set(&l.MaxAttrs, 64, 8, 1<<12)
	set(&l.MaxNamespaces, 64, 4, 1<<12)
	set(&l.MaxName, 1024, 16, 1<<16-1)
}
