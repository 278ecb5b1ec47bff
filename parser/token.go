package parser

// Kind is the kind of a Token.
type Kind uint8

// The kinds of tokens.
const (
	Start Kind = iota + 1 // a start tag; its Attr and NS tokens follow
	Attr                  // an attribute of the start tag before
	NS                    // a namespace declaration of the start tag before
	Text                  // character data
	End                   // an end tag, or the end of an empty-element tag
)

// Token is one entry of a document's tape. Offsets are into Doc.Raw.
type Token struct {
	Kind      Kind
	flags     uint8
	ns        uint16 // Start, Attr: namespace; NS: the namespace declared
	Name      uint32 // Start, Attr, NS: offset of the qualified name
	NameLen   uint16
	PrefixLen uint16 // length of the prefix with its colon; 0 without a prefix
	Start     uint32 // Start, End: of the tag; Attr, NS: of the value; Text: of the text
	End       uint32 // likewise: the offset behind it
	Link      uint32 // Start: index of its End; End: index of its Start
}

// Flags of Token.
const (
	flagEscaped = 1 << iota // Attr, NS, Text: references, or white space to be normalized
	flagCDATA               // Text: a CDATA section; the offsets are those of its content
	flagEmpty               // Start: an empty-element tag
)

// Escaped reports whether the raw bytes differ from the text that they stand for.
func (t *Token) Escaped() bool { return t.flags&flagEscaped != 0 }

// CDATA reports whether a Text token is a CDATA section.
func (t *Token) CDATA() bool { return t.flags&flagCDATA != 0 }
