package parser

// Error is a reason to end a stream. All errors are predeclared values: to
// refuse a stream allocates nothing, and errors compare with ==.
type Error struct {
	Condition string // the stream error that answers it (RFC 6120 section 4.9.3)
	Text      string // what is wrong, for a human being; a fixed sentence
	code      uint8  // its place in errorList, which a Parser remembers
}

// Error describes the error.
func (e *Error) Error() string { return "parser: " + e.Condition + ": " + e.Text }

// errorList has every Error at its code; code 0 is no error.
var errorList = []*Error{nil}

func declare(condition, text string) *Error {
	e := &Error{Condition: condition, Text: text, code: uint8(len(errorList))}
	errorList = append(errorList, e)
	return e
}

// RFC 6120 section 11.3: "An XMPP entity MUST NOT accept data that is not
// XML-well-formed", nor data that is not namespace-well-formed; the stream
// error is not-well-formed (section 4.9.3.13: "XML that violates the
// well-formedness rules of [XML] or [XML-NAMES]").
var (
	ErrSyntax      = declare("not-well-formed", "the markup is not XML")
	ErrProlog      = declare("not-well-formed", "there is text outside of the stream element")
	ErrChar        = declare("not-well-formed", "a character is not allowed in XML")
	ErrName        = declare("not-well-formed", "a name is not allowed in XML with namespaces")
	ErrReference   = declare("not-well-formed", "a reference is not one to an allowed character")
	ErrLessThan    = declare("not-well-formed", "an attribute value has a '<'")
	ErrSectionEnd  = declare("not-well-formed", "text has a ']]>'")
	ErrMismatch    = declare("not-well-formed", "an end tag does not match its start tag")
	ErrDuplicate   = declare("not-well-formed", "an attribute occurs twice")
	ErrUnbound     = declare("not-well-formed", "a namespace prefix is not declared")
	ErrReserved    = declare("not-well-formed", "a reserved prefix or namespace is declared")
	ErrUndeclare   = declare("not-well-formed", "a namespace prefix is declared as nothing")
	ErrDeclaration = declare("not-well-formed", "the XML declaration is not one")
)

// RFC 6120 section 11.1: comments, processing instructions, DTD subsets and
// references to entities other than the predefined ones are not allowed.
var (
	ErrMarkup = declare("restricted-xml", "comments, processing instructions and DTDs are not allowed")
	ErrEntity = declare("restricted-xml", "only the predefined entities are allowed")
)

// RFC 6120 section 11.6: UTF-8 is the only encoding; section 4.9.3.22 includes
// streams "improperly encoded", as by breaking the rules of UTF-8.
var (
	ErrEncoding = declare("unsupported-encoding", "the encoding of a stream is UTF-8")
	ErrUTF8     = declare("unsupported-encoding", "the bytes are not UTF-8")
)

// RFC 6120 section 4.9.3.1: what is well-formed XML and still no XMPP stream.
var (
	ErrText  = declare("bad-format", "there is text between the elements of the stream")
	ErrSpace = declare("bad-format", "white space is not allowed between these elements")
)

// RFC 6120 section 4.9.3.14, for the limits of section 13.12.
var (
	ErrTooLarge      = declare("policy-violation", "an element of the stream is too large")
	ErrTooDeep       = declare("policy-violation", "elements are nested too deeply")
	ErrAttributes    = declare("policy-violation", "an element has too many attributes")
	ErrNamespaces    = declare("policy-violation", "there are too many namespace declarations")
	ErrNameTooLong   = declare("policy-violation", "a name is too long")
	ErrHeaderContext = declare("policy-violation", "the stream header declares too much")
)
