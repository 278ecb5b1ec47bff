package parser

// Kind is the kind of a Token.
type Kind uint8

// The kinds of tokens.
const (
	Start Kind = iota + 1 // a start tag; its Attr and NS tokens follow, then its content
	Attr                  // an attribute of the start tag before
	NS                    // a namespace declaration of the start tag before
	Text                  // character data between two tags or sections
	CDATA                 // the content of a CDATA section
)

// Token is one entry of a document's tape, in document order. Offsets are into
// Tape.Raw. There are no tokens for end tags: Link has the nesting.
type Token struct {
	Kind      Kind
	PrefixLen uint8  // Start, Attr, NS: bytes of the prefix with its colon; 0 without a prefix
	NameLen   uint16 // Start, Attr, NS: bytes of the qualified name
	ns        uint32 // Start, Attr: the namespace; NS: see Tape.unescaped; flagEscaped besides
	Pos       uint32 // Start, Attr, NS: where the name begins; Text, CDATA: where the content begins
	Val       uint32 // Start: behind the start tag; Attr, NS: where the value begins
	End       uint32 // Start: behind the element; Attr, NS, Text, CDATA: behind the value or content
	Link      uint32 // Start: index of the token behind the element's last one; NS: for the parser
}

// What Token.ns says: which declaration a name's prefix, or the default,
// refers to. Nothing is looked up or copied while parsing; the URI is read
// from the declaration when somebody asks for it.
const (
	nsNone       = 0   // no namespace
	nsXML        = 1   // the prefix 'xml', which is declared for ever
	nsClient     = 2   // jabber:client, where an element goes to
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

// Escaped reports whether the raw bytes of a value or text differ from what
// they stand for: there are references, or white space that is normalized.
func (t *Token) Escaped() bool { return t.ns&flagEscaped != 0 }
