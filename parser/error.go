package parser

// Error is a reason to end a stream. All errors are predeclared: a refused
// stream allocates nothing.
type Error struct {
	Condition string // the stream error that answers it (RFC 6120 section 4.9.3)
	Text      string // what was wrong, for a human being; fixed text
	index     uint8  // in errorList
}

// Error describes the error.
func (e *Error) Error() string { return "parser: " + e.Condition + ": " + e.Text }

var errorList = []*Error{nil} // index 0 is no error

func declare(condition, text string) *Error {
	e := &Error{Condition: condition, Text: text, index: uint8(len(errorList))}
	errorList = append(errorList, e)
	return e
}

// What the parser refuses, by the condition that answers it.
var (
	ErrText     = declare("bad-format", "there is text between the elements of the stream")
	ErrSpace    = declare("bad-format", "white space is not allowed here")
	ErrAfterEnd = declare("bad-format", "there is something behind the end of the stream")

	ErrRestricted = declare("restricted-xml", "comments, processing instructions, DTDs and entities are not allowed")
	ErrEncoding   = declare("unsupported-encoding", "the encoding of a stream is UTF-8")
	ErrUTF8       = declare("unsupported-encoding", "the bytes are not UTF-8")

	ErrSyntax      = declare("not-well-formed", "the markup is not XML")
	ErrChar        = declare("not-well-formed", "a character is not allowed in XML")
	ErrName        = declare("not-well-formed", "a name is not one of XML with namespaces")
	ErrReference   = declare("not-well-formed", "a character reference is not one")
	ErrMismatch    = declare("not-well-formed", "an end tag does not match its start tag")
	ErrDuplicate   = declare("not-well-formed", "an attribute occurs twice")
	ErrUnbound     = declare("not-well-formed", "a namespace prefix is not declared")
	ErrReserved    = declare("not-well-formed", "a reserved namespace or prefix is declared")
	ErrDeclaration = declare("not-well-formed", "the XML declaration is not one")

	ErrTooLarge       = declare("policy-violation", "a stanza is too large")
	ErrTooDeep        = declare("policy-violation", "elements are nested too deeply")
	ErrTooManyAttrs   = declare("policy-violation", "an element has too many attributes")
	ErrTooManyPrefix  = declare("policy-violation", "there are too many namespace declarations")
	ErrNameTooLong    = declare("policy-violation", "a name is too long")
	ErrHeaderTooLarge = declare("policy-violation", "the stream header is too large")
)
