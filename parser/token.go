package parser

// Kind is the kind of a Token.
type Kind uint8

// The kinds of tokens.
const (
	Start Kind = iota + 1 // a start tag, followed by its Attr and NS tokens and its content
	Attr                  // an attribute of the preceding start tag
	NS                    // a namespace declaration of the preceding start tag
	Text                  // character data between two tags or sections
	CDATA                 // the content of a CDATA section
)

// Token is one entry of a Tape, in document order. Offsets are into Tape.Raw. There are
// no tokens for end tags: Link gives the nesting.
type Token struct {
	Kind      Kind
	PrefixLen uint8  // Start, Attr, NS: length of the prefix with its colon; 0 without a prefix
	NameLen   uint16 // Start, Attr, NS: length of the qualified name
	ns        uint32 // Start, Attr: the namespace; NS: see Tape.unescapedURI; plus flagEscaped
	Pos       uint32 // Start, Attr, NS: start of the name; Text, CDATA: start of the content
	Val       uint32 // Start: end of the start tag; Attr, NS: start of the value
	End       uint32 // Start: end of the element; Attr, NS, Text, CDATA: end of the value or content
	Link      uint32 // Start: index of the token after the element's last one; NS: internal
}

// Values of Token.ns: the declaration to which a name's prefix or the default namespace
// refers. URIs are not copied while parsing, but read from the declaration when they are
// needed.
const (
	nsNone       = 0   // no namespace
	nsXML        = 1   // the prefix 'xml', which is always declared
	nsClient     = 2   // jabber:client, where an element is written to
	nsDefault    = 3   // the header's default namespace
	nsHeader     = 4   // + i: prefix i of the header
	nsToken      = 128 // + i: the NS token at index i
	maxPrefixes  = 64  // a header's prefixes: nsHeader + maxPrefixes < nsToken
	flagEscaped  = 1 << 31
	uriXML       = "http://www.w3.org/XML/1998/namespace"
	uriXMLNS     = "http://www.w3.org/2000/xmlns/"
	uriClient    = "jabber:client"
	maxPrefixLen = 255 // with the colon
)

// Escaped reports whether the raw bytes of a value or text differ from its meaning,
// because of references or white space that is normalized.
func (t *Token) Escaped() bool { return t.ns&flagEscaped != 0 }
