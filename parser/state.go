package parser

// result is why run has returned.
type result uint8

const (
	resMore   result = iota // the bytes are used up
	resDecl                 // the XML declaration is whole
	resHeader               // the stream header is whole, but for the '>' of "/>"
	resStanza               // a first-level element is whole
	resClose                // the end tag of the stream is whole
	resError                // Tape.err says why
)

// state is a place between two bytes where the machine can stop and go on.
type state uint8

const (
	atOpen     state = iota // behind '<'
	inName                  // in the name of a start tag
	inTag                   // in a start tag, behind a name or a value
	inSpace                 // in a start tag, behind white space
	inSlash                 // behind the '/' of an empty-element tag
	inAttr                  // in the name of an attribute
	inEqual                 // behind the name of an attribute
	inQuote                 // behind its '='
	inValue                 // in its value
	inValueRef              // in a reference in its value
	inContent               // behind a tag or a section
	inText                  // in text
	inTextRef               // in a reference in text
	inBang                  // behind "<!"
	inCDATA                 // in a CDATA section
	inClose                 // in an end tag
	inDecl                  // in the XML declaration
	atText                  // before a character that is no markup
)

// registers are what the machine remembers from one piece of input to the
// next, besides the tape and the stacks.
type registers struct {
	pos      uint   // the next byte
	start    uint   // where the name, text, section or end tag under way began
	nameLen  uint   // bytes of the attribute's name
	colon    uint   // bytes of the prefix of the name under way with its colon
	val      uint   // where the value under way began
	cur      uint   // index of the Start token of the tag under way
	bloom    uint64 // hashes of the attribute names of the tag
	ns       uint32 // the default namespace that is in scope
	escaped  uint32 // flagEscaped: the value or text under way has references or white space to normalize
	attrs    int32  // attributes of the tag so far
	state    state
	quote    byte  // of the value under way
	nonASCII bool  // the name under way has bytes from 0x80 on
	tag      uint8 // bits tagX: what the tag's attributes ask for
	ref      reference
}

// level is an open element.
type level struct {
	token uint32 // its Start
	binds uint32 // how many prefixes were bound before it
	ns    uint32 // the default namespace before it
}
