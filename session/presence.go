package session

import (
	"github.com/puzpuzpuz/xsync/v3"

	"roost/parser"
)

// Presence is a resource's last broadcast presence, shared by all sessions that
// sent the same bytes: of a million phones most say one of a few things.
type Presence struct {
	xml  string // "<presence…>…</presence>" without from, to and id
	refs int    // guarded by the presences' table
}

// tagLen is the length of "<presence".
const tagLen = len("<presence")

// AppendXML appends the stanza with the given addresses, and with an id unless
// it is empty.
func (p *Presence) AppendXML(dst []byte, from, to string, id []byte) []byte {
	dst = append(dst, p.xml[:tagLen]...)
	dst = append(dst, " from='"...)
	dst = parser.AppendEscaped(dst, from)
	dst = append(dst, "' to='"...)
	dst = parser.AppendEscaped(dst, to)
	if len(id) > 0 {
		dst = append(dst, "' id='"...)
		dst = parser.AppendEscaped(dst, id)
	}
	dst = append(dst, '\'')
	return append(dst, p.xml[tagLen:]...)
}

// XML is the stanza without addresses.
func (p *Presence) XML() string { return p.xml }

// presences holds every Presence in use, by its bytes.
type presences struct {
	m *xsync.MapOf[string, *Presence]
}

func newPresences() presences {
	return presences{m: xsync.NewMapOf[string, *Presence]()}
}

// share returns the Presence of these bytes, counting one more holder. xml
// begins with "<presence" and has no from, to and id; it is copied if it is new.
func (ps presences) share(xml []byte) *Presence {
	p, _ := ps.m.Compute(string(xml), func(p *Presence, loaded bool) (*Presence, bool) {
		if !loaded {
			p = &Presence{xml: string(xml)}
		}
		p.refs++
		return p, false
	})
	return p
}

func (ps presences) release(p *Presence) {
	ps.m.Compute(p.xml, func(have *Presence, loaded bool) (*Presence, bool) {
		if have != p {
			return have, !loaded
		}
		p.refs--
		return p, p.refs == 0
	})
}
