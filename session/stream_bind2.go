package session

import (
	"encoding/base64"
	"strings"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
)

const nsBind2 = "urn:xmpp:bind:0"

// maxTag is the maximum length of a client's tag in its resource, in bytes.
const maxTag = 64

// appendBind2 appends the feature of [XEP-0386] and what may be requested with it.
//
// [XEP-0386]: https://xmpp.org/extensions/xep-0386.html
func (s *Session) appendBind2(b []byte) []byte {
	b = append(b, "<bind xmlns='"+nsBind2+"'>"...)
	begin := len(b)
	for i := range s.mgr.features {
		if f := &s.mgr.features[i]; f.Enable != nil {
			if len(b) == begin {
				b = append(b, "<inline>"...)
			}
			b = append(b, "<feature var='"...)
			b = append(b, f.Space...)
			b = append(b, "'/>"...)
		}
	}
	if len(b) > begin {
		b = append(b, "</inline>"...)
	}
	return append(b, "</bind>"...)
}

// bind2 binds a resource, enables what is requested in <bind/>, appends <bound/> to the
// results of the login, and then calls done, as bind does. If no resource can be bound it
// appends nothing: the client has authenticated and may try again as in RFC 6120, which has
// conditions for it.
func (s *Session) bind2(t *Turn, l *loginRequest, request parser.Element, done func(*Turn, *stanza.ErrorReply)) {
	id := s.mgr.clientID(s.BareJID(), l.agent)
	tag := string(request.Child(nsBind2, "tag").AppendText(nil))
	// The resource is this client's only, so the policy for conflicts does not apply: the
	// other session is one that the client has lost.
	s.bind(t, clientResource(tag, id), KickOld, func(t *Turn, reply *stanza.ErrorReply) {
		if reply == nil {
			if l.agent != "" {
				s.endEarlier(t, id)
			}
			l.results = s.appendBound(t, request, l.results)
		}
		done(t, reply)
	})
}

// appendBound enables what is requested in <bind/>, and appends <bound/>.
func (s *Session) appendBound(t *Turn, request parser.Element, dst []byte) []byte {
	dst = append(dst, "<bound xmlns='"+nsBind2+"'>"...)
	for c := request.First(); c.OK(); c = c.Next() {
		space := c.Space()
		for i := range s.mgr.features {
			if f := &s.mgr.features[i]; f.Enable != nil && f.Space == string(space) {
				dst = f.Enable(t, s, c, dst)
			}
		}
	}
	return append(dst, "</bound>"...)
}

// clientID returns the part of a resource that identifies a client. It is always the same
// for a client with an id, which it does not reveal: "The SASL2 <user-agent> id itself MUST
// NOT be exposed by the server" ([XEP-0386, Resource identifier generation]).
//
// [XEP-0386, Resource identifier generation]: https://xmpp.org/extensions/xep-0386.html#identifiers
func (m *Manager) clientID(bare, agent string) string {
	if agent == "" {
		return newResource()
	}
	sum := m.resourceHash.sum(bare, "\x00", strings.ToLower(agent))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// clientResource returns the resource of a client: "The RECOMMENDED format is to include
// the client tag as a prefix of the server-generated identifier, separated by a single '/'
// character" ([XEP-0386, Resource identifier generation]). A tag that is too long or not
// allowed is left out.
//
// [XEP-0386, Resource identifier generation]: https://xmpp.org/extensions/xep-0386.html#identifiers
func clientResource(tag, id string) string {
	if tag == "" || len(tag) > maxTag {
		return id
	}
	resource, err := jid.NormalizeResource(tag + "/" + id)
	if err != nil {
		return id
	}
	return resource
}

// endEarlier ends the other sessions of the client that has this id: "the server SHOULD
// terminate any earlier sessions from the same client" ([XEP-0386, Performing the bind]).
//
// [XEP-0386, Performing the bind]: https://xmpp.org/extensions/xep-0386.html#bind-request
func (s *Session) endEarlier(t *Turn, id string) {
	for x := s.mgr.First(s.BareJID()); x != nil; x = x.Next() {
		if x != s && ofClient(x.Resource(), id) {
			x.Close(ErrConflict)
		}
	}
	s.mgr.config().Router.EndElsewhere(t, s, func(resource string) bool { return ofClient(resource, id) })
}
