package parser

// result says why run has returned.
type result uint8

const (
	resMore   result = iota // all bytes are consumed
	resDecl                 // the XML declaration is complete
	resHeader               // the stream header is complete, except for the '>' of "/>"
	resStanza               // a first-level element is complete
	resClose                // the end tag of the stream is complete
	resError                // Tape.err is the error
)

// state is a position in the grammar at which the machine can stop and resume.
type state uint8

const (
	atOpen     state = iota // after '<'
	inName                  // in the name of a start tag
	inTag                   // in a start tag, after a name or a value
	inSpace                 // in a start tag, after white space
	inSlash                 // after the '/' of an empty-element tag
	inAttr                  // in the name of an attribute
	inEqual                 // after the name of an attribute
	inQuote                 // after its '='
	inValue                 // in its value
	inValueRef              // in a reference in its value
	inContent               // after a tag or a section
	inText                  // in text
	inTextRef               // in a reference in text
	inBang                  // after "<!"
	inCDATA                 // in a CDATA section
	inClose                 // in an end tag
	inDecl                  // in the XML declaration
	atText                  // before text where none is allowed
)

// registers are the state that the machine keeps from one piece of input to the next, in
// addition to the tape and the stacks.
type registers struct {
	pos      uint   // the next byte
	start    uint   // start of the current name, text, section or end tag
	nameLen  uint   // length of the attribute's name
	colon    uint   // length of the current name's prefix with its colon
	val      uint   // start of the current value
	cur      uint   // index of the Start token of the current tag
	bloom    uint64 // Bloom filter of the attribute names of the tag
	ns       uint32 // the default namespace in scope
	escaped  uint32 // flagEscaped: the current value or text has references or white space to normalize
	attrs    int32  // number of attributes of the tag so far
	state    state
	quote    byte  // quote of the current value
	nonASCII bool  // the current name has bytes from 0x80 on
	tag      uint8 // bits tagX: work for the end of the tag
	ref      reference
}

// level is an open element.
type level struct {
	token uint32 // index of its Start token
	binds uint32 // number of prefixes bound before it
	ns    uint32 // the default namespace before it
}
