package session

import (
	"roost/parser"
	"roost/store"
)

// loginRequest is what a client requests together with its authentication ([XEP-0388]).
//
// [XEP-0388]: https://xmpp.org/extensions/xep-0388.html
type loginRequest struct {
	agent string       // the id of the client installation, "" if unknown
	doc   *parser.Tape // <authenticate/>, nil if it contains only the authentication

	upgrades store.HashSet // the keys that the client can add

	fast    *fastRequest // nil: nothing about tokens
	used    *token       // the token that the client has authenticated by, nil if by none
	promote bool         // it is the newer one of the client's tokens
	seen    uint64       // see tokenCounts.remember
	keys    string       // see keysID; set when the client has authenticated
	change  *tokenChange // nil: none; set when the client has authenticated

	data    []byte // the mechanism's last message, which is sent in <success/>
	results []byte // elements of <success/>, which the requests have led to
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
	l.upgrades = readUpgrades(el)
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
