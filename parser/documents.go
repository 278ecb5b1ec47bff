package parser

// documentContext is the context of streams of documents: an element inherits nothing.
var documentContext = &context{}

// Documents makes the stream a sequence of XML documents, each with one first-level element,
// as over WebSocket (RFC 7395 section 3.3, https://www.rfc-editor.org/rfc/rfc7395#section-3.3),
// instead of one document. There is no stream header: every element is a Stanza, with only
// the namespaces that it declares itself. The caller calls EndDocument at the end of each
// document. Documents must be called before the first byte, and remains in force after
// Reset.
func (p *Parser) Documents() {
	p.flags |= flagDocuments
	p.ctx = documentContext
}

// InDocuments reports whether Documents was called.
func (p *Parser) InDocuments() bool { return p.flags&flagDocuments != 0 }

// EndDocument ends a document after its last byte was consumed. It returns an *Error if the
// document has no element, or an incomplete one, or if half a character follows it. The next
// document may begin with an XML declaration, but not with white space: "The first character
// of each frame MUST be a '<' character" (RFC 7395 section 3.3.3,
// https://www.rfc-editor.org/rfc/rfc7395#section-3.3.3).
func (p *Parser) EndDocument(s *Scratch) error {
	switch {
	case p.err != 0:
		return errorList[p.err]
	case p.phase != afterRoot:
		p.err = ErrNoRoot.code
		p.Free(s)
		return ErrNoRoot
	case !p.Idle(): // all else after the element is an error at its first byte
		p.err = ErrUTF8.code
		p.Free(s)
		return ErrUTF8
	}
	p.phase = atStart
	return nil
}

// resetDocuments is Reset on a stream of documents. The present document has not ended if
// its last bytes have not arrived.
func (p *Parser) resetDocuments() {
	ended := p.phase == afterRoot
	p.reset(flagRestarted|flagDocuments, documentContext)
	if ended {
		p.phase = afterRoot
	}
}
