package session

import (
	"encoding/base64"
	"slices"

	"roost/parser"
	"roost/stanza"
)

// loginRequest is what a client requests together with its authentication ([XEP-0388]).
//
// [XEP-0388]: https://xmpp.org/extensions/xep-0388.html
type loginRequest struct {
	agent string       // the id of the client installation, "" if unknown
	doc   *parser.Tape // <authenticate/>, nil if it contains only the authentication

	fast    *fastRequest // nil: nothing about tokens
	used    *token       // the token that the client has authenticated by, nil if by none
	promote bool         // it is the newer one of the client's tokens
	keys    string       // see keysID; set when the client has authenticated
	change  *tokenChange // nil: none; set when the client has authenticated
}

// held returns the memory of the request in bytes.
func (l *loginRequest) held() int {
	if l == nil || l.doc == nil {
		return 0
	}
	return l.doc.Held()
}

// readLogin reads <authenticate/>, which the turn has just parsed. It copies the element
// only if something in it may be requested. It returns false if the element is malformed.
func (s *Session) readLogin(t *Turn, el parser.Element) (*loginRequest, bool) {
	l := new(loginRequest)
	var ok bool
	if l.fast, ok = readFAST(el); !ok {
		return nil, false
	}
	if id := el.Child(nsSASL2, "user-agent").Attr("id"); isUUID(id) {
		l.agent = string(id)
	}
	for c := el.First(); c.OK(); c = c.Next() {
		if c.Is(nsBind2, "bind") || s.inline(c) != nil {
			l.doc = t.scratch.TakeCompact()
			break
		}
	}
	return l, true
}

// isUUID reports whether an id has the form of a UUID: "The contents of the 'id' attribute
// MUST be a UUID v4" ([XEP-0388, Initiation]). Other ids are ignored.
//
// [XEP-0388, Initiation]: https://xmpp.org/extensions/xep-0388.html#initiation
func isUUID(id []byte) bool {
	if len(id) != 36 {
		return false
	}
	for i, c := range id {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// inline returns what handles a request of <authenticate/>, nil if nothing does.
func (s *Session) inline(request parser.Element) *Inline {
	space := request.Space()
	for i := range s.mgr.features {
		if f := &s.mgr.features[i]; f.Inline != nil && f.Space == string(space) {
			return f.Inline
		}
	}
	return nil
}

// appendInline appends what may be requested in <authenticate/>.
func (s *Session) appendInline(b []byte) []byte {
	b = s.appendBind2(b)
	b = s.appendFAST(b)
	for i := range s.mgr.features {
		if x := s.mgr.features[i].Inline; x != nil {
			b = x.Offer(s, b)
		}
	}
	return b
}

// loginNeeds returns the kind of worker that doLogin needs.
func (s *Session) loginNeeds(l *loginRequest) Work {
	need := Done
	if l != nil && l.change != nil {
		need = Write
	}
	if l == nil || l.doc == nil {
		return need
	}
	for c := l.doc.Root().First(); c.OK(); c = c.Next() {
		if c.Is(nsBind2, "bind") {
			need = max(need, s.bindNeeds())
		} else if x := s.inline(c); x != nil && x.Needs != nil {
			need = max(need, x.Needs(s, c))
		}
	}
	return need
}

// doLogin does what the client has requested in <authenticate/>, and sends <success/>. It
// returns false if this is all: the stream ends, because the account was removed or the
// client's token was used by another login, or the client has resumed an earlier session.
// Binding comes last: if the client has requested to resume a stream, "that MUST be
// processed first" ([XEP-0386, Performing the bind]). data is the mechanism's last message.
//
// [XEP-0386, Performing the bind]: https://xmpp.org/extensions/xep-0386.html#bind-request
func (s *Session) doLogin(t *Turn, l *loginRequest, data []byte) bool {
	var results []byte
	ok := true
	if l != nil && l.change != nil {
		if results, ok = s.changeTokens(l.change, nil); !ok {
			return false
		}
	}
	if l != nil && l.doc != nil {
		var resumed bool
		if results, resumed = s.resumeInline(t, l, data, results); resumed {
			return false
		}
		if results, ok = s.handleInline(t, l, results); !ok {
			return false
		}
	}
	b := appendSuccess(t.GetBuf(), data, s.JID().String(), results)
	s.SendBytes(t, b)
	t.PutBuf(b)
	return true
}

// resumeInline handles the first request to resume a session, and reports whether it was
// resumed. If not, it appends the result.
func (s *Session) resumeInline(t *Turn, l *loginRequest, data, results []byte) ([]byte, bool) {
	for c := l.doc.Root().First(); c.OK(); c = c.Next() {
		if x := s.inline(c); x != nil && x.Resume != nil {
			before := results
			return x.Resume(t, s, c, results, func(dst []byte, full string, result []byte) []byte {
				return appendSuccess(dst, data, full, append(slices.Clip(before), result...))
			})
		}
	}
	return results, false
}

// handleInline handles all requests but those to resume a session, and appends the results.
// It returns false if the stream ends.
func (s *Session) handleInline(t *Turn, l *loginRequest, results []byte) ([]byte, bool) {
	var bind parser.Element
	for c := l.doc.Root().First(); c.OK(); c = c.Next() {
		if c.Is(nsBind2, "bind") {
			bind = c
		} else if x := s.inline(c); x != nil && x.Resume == nil {
			results = x.Handle(t, s, c, results)
		}
	}
	if !bind.OK() {
		return results, true
	}
	results, reply := s.bind2(t, l, bind, results)
	return results, reply != stanza.NotAuthorized
}

// appendSuccess appends <success/> for a client with this address. data is the mechanism's
// last message, and results are the elements that the client's requests have led to.
func appendSuccess(b, data []byte, address string, results []byte) []byte {
	b = append(b, "<success xmlns='"+nsSASL2+"'>"...)
	if len(data) > 0 {
		b = append(b, "<additional-data>"...)
		b = base64.StdEncoding.AppendEncode(b, data)
		b = append(b, "</additional-data>"...)
	}
	b = append(b, "<authorization-identifier>"...)
	b = parser.AppendEscaped(b, address)
	b = append(b, "</authorization-identifier>"...)
	b = append(b, results...)
	return append(b, "</success>"...)
}
