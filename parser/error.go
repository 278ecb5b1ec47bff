package parser

// Error is a reason to end a stream. All errors are predeclared values, so that refusing
// a stream allocates nothing and errors can be compared with ==.
type Error struct {
	Condition string // the stream error condition (RFC 6120 section 4.9.3)
	Text      string // a fixed description for people
	code      uint8  // index in errorList, which a Parser stores
}

// Error describes the error.
func (e *Error) Error() string { return "parser: " + e.Condition + ": " + e.Text }

// errorList holds every Error at the index of its code; code 0 means no error.
var errorList = []*Error{nil}

func declare(condition, text string) *Error {
	e := &Error{Condition: condition, Text: text, code: uint8(len(errorList))}
	errorList = append(errorList, e)
	return e
}

// RFC 6120 section 11.3 (https://www.rfc-editor.org/rfc/rfc6120#section-11.3): "An XMPP
// entity MUST NOT accept data that is not XML-well-formed", nor data that is not
// namespace-well-formed; the stream error is not-well-formed (section 4.9.3.13: "XML that
// violates the well-formedness rules of [XML] or [XML-NAMES]").
var (
	ErrSyntax      = declare("not-well-formed", "the markup is not XML")
	ErrProlog      = declare("not-well-formed", "there is text outside the stream element")
	ErrChar        = declare("not-well-formed", "a character is not allowed in XML")
	ErrName        = declare("not-well-formed", "a name is not allowed in XML with namespaces")
	ErrReference   = declare("not-well-formed", "a reference does not refer to an allowed character")
	ErrLessThan    = declare("not-well-formed", "an attribute value contains '<'")
	ErrSectionEnd  = declare("not-well-formed", "text contains ']]>'")
	ErrMismatch    = declare("not-well-formed", "an end tag does not match its start tag")
	ErrDuplicate   = declare("not-well-formed", "an attribute occurs twice")
	ErrUnbound     = declare("not-well-formed", "a namespace prefix is not declared")
	ErrReserved    = declare("not-well-formed", "a reserved prefix or namespace is declared")
	ErrUndeclare   = declare("not-well-formed", "a namespace prefix is undeclared")
	ErrDeclaration = declare("not-well-formed", "the XML declaration is malformed")
	ErrSecondRoot  = declare("not-well-formed", "a message has more than one element")
	ErrNoRoot      = declare("not-well-formed", "a message ends before its element is complete")
)

// RFC 6120 section 11.1 (https://www.rfc-editor.org/rfc/rfc6120#section-11.1): comments,
// processing instructions, DTD subsets and references to entities other than the
// predefined ones are not allowed.
var (
	ErrMarkup = declare("restricted-xml", "comments, processing instructions and DTDs are not allowed")
	ErrEntity = declare("restricted-xml", "only the predefined entities are allowed")
)

// RFC 6120 section 11.6 (https://www.rfc-editor.org/rfc/rfc6120#section-11.6): UTF-8 is
// the only encoding. Section 4.9.3.22 includes streams that are "improperly encoded", for
// example because they violate the rules of UTF-8.
var (
	ErrEncoding = declare("unsupported-encoding", "a stream must be encoded in UTF-8")
	ErrUTF8     = declare("unsupported-encoding", "the bytes are not valid UTF-8")
)

// RFC 6120 section 4.9.3.1 (https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.1):
// well-formed XML that is not a valid XMPP stream.
var (
	ErrText  = declare("bad-format", "there is text between the elements of the stream")
	ErrSpace = declare("bad-format", "white space is not allowed between these elements")
)

// RFC 6120 section 4.9.3.14 (https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.14),
// for the limits of section 13.12.
var (
	ErrTooLarge      = declare("policy-violation", "an element of the stream is too large")
	ErrTooDeep       = declare("policy-violation", "elements are nested too deeply")
	ErrAttributes    = declare("policy-violation", "an element has too many attributes")
	ErrNamespaces    = declare("policy-violation", "there are too many namespace declarations")
	ErrNameTooLong   = declare("policy-violation", "a name is too long")
	ErrHeaderContext = declare("policy-violation", "the stream header declares too much")
)
