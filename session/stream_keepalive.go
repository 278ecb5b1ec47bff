package session

// maxKeepAlive is the maximum number of bytes at once that count as keep-alives: usually
// one; several if they accumulated while nothing was read.
const maxKeepAlive = 64

// KeepAlive reports whether p, input from the client, is only a white space keep-alive
// ([RFC 6120 section 4.6.1]). It does not check the state of the stream: white space within
// a stanza counts, too, and may be read a moment later.
//
// [RFC 6120 section 4.6.1]: https://www.rfc-editor.org/rfc/rfc6120#section-4.6.1
func (s *Session) KeepAlive(p []byte) bool {
	if len(p) > maxKeepAlive {
		return false
	}
	for _, b := range p {
		if b != ' ' && b != '\n' && b != '\r' && b != '\t' {
			return false
		}
	}
	return true
}
