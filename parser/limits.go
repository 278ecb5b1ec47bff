package parser

// Limits limits the resources of one stream. They are checked while bytes arrive, so that
// memory is limited before an element is complete: an incomplete element costs at most
// MaxStanza bytes plus 24 bytes for each of its tokens. A zero field means the default; a
// value out of range is moved to the nearest allowed one.
type Limits struct {
	MaxStanza     int `reload:"yes"` // bytes of one first-level element or of the stream header; default 256 KiB, 10,000 to 64 MiB (RFC 6120 section 13.12)
	MaxRestricted int `reload:"yes"` // the same for a restricted stream, see Parser.Restrict; default 10,000, at most MaxStanza
	MaxDepth      int `reload:"yes"` // nesting of elements, including the first-level element; default 64, 2 to 65,535
	MaxAttrs      int `reload:"yes"` // attributes of one element, including namespace declarations; default 64, 8 to 4,096
	MaxNamespaces int `reload:"yes"` // declarations of prefixes in scope at once, including the header's; default 64, 4 to 4,096; a header has at most 64
	MaxName       int `reload:"yes"` // bytes of a name with its prefix; default 1,024, 16 to 65,535; a prefix has at most 254
}

// WithDefaults returns l with the default in each field that is zero, and with what is
// out of range moved into it.
func (l Limits) WithDefaults() Limits {
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
	return l
}
