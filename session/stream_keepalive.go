package session

// maxKeepAlive is how many bytes at once may be a keep-alive: usually one; several if
// they accumulated while nobody read.
const maxKeepAlive = 64

// KeepAlive reports whether p, which came from the client, is no more than what clients
// send so that their connection is not taken for dead: white space (RFC 6120 section
// 4.6.1). It does not look at the state of the stream: white space within a stanza is
// taken for a keep-alive, too, and may be read a moment later.
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
