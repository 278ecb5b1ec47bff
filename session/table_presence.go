package session

import (
	"sync/atomic"
	"unsafe"

	"github.com/puzpuzpuz/xsync/v3"

	"roost/internal/panics"
	"roost/parser"
)

// Presence is a resource's last broadcast presence. All sessions that sent the same bytes
// share it: a million phones mostly send one of a few.
type Presence struct {
	xml  string       // "<presence…>…</presence>" without from, to and id
	refs atomic.Int64 // number of holders; rises from 0 to 1 only within Compute of the map
}

// tagLen is the length of "<presence".
const tagLen = len("<presence")

// AppendXML appends the stanza with the given addresses, and with an id unless it is empty.
func (p *Presence) AppendXML(dst []byte, from, to string, id []byte) []byte {
	return AppendPresence(dst, p.xml, from, to, id)
}

// XML returns the stanza without addresses and id.
func (p *Presence) XML() string { return p.xml }

// AppendPresence appends a presence stanza that has no from, to and id, with the given
// addresses, and with an id unless it is empty.
func AppendPresence[T string | []byte](dst []byte, xml T, from, to string, id []byte) []byte {
	dst = append(dst, xml[:tagLen]...)
	dst = append(dst, " from='"...)
	dst = parser.AppendEscaped(dst, from)
	dst = append(dst, "' to='"...)
	dst = parser.AppendEscaped(dst, to)
	if len(id) > 0 {
		dst = append(dst, "' id='"...)
		dst = parser.AppendEscaped(dst, id)
	}
	dst = append(dst, '\'')
	return append(dst, xml[tagLen:]...)
}

// presences has every Presence in use, by its bytes.
type presences struct {
	m *xsync.MapOf[string, *Presence]
}

func newPresences() presences {
	return presences{m: xsync.NewMapOf[string, *Presence]()}
}

// share returns the Presence for these bytes and adds a holder. xml begins with "<presence"
// and has no from, to and id. It is copied if it is new.
func (ps presences) share(xml []byte) *Presence {
	if p, ok := ps.m.Load(unsafe.String(unsafe.SliceData(xml), len(xml))); ok && p.hold() {
		return p
	}
	text := string(xml)
	p, _ := ps.m.Compute(text, func(p *Presence, loaded bool) (*Presence, bool) {
		defer panics.Stop() // otherwise the map would stay locked
		if !loaded {
			p = &Presence{xml: text}
		}
		p.refs.Add(1)
		return p, false
	})
	return p
}

// hold adds a holder, unless there are none left.
func (p *Presence) hold() bool {
	for {
		n := p.refs.Load()
		if n == 0 {
			return false // it is being removed from the map
		}
		if p.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (ps presences) release(p *Presence) {
	if p.refs.Add(-1) > 0 {
		return
	}
	ps.m.Compute(p.xml, func(have *Presence, loaded bool) (*Presence, bool) {
		defer panics.Stop()
		if have != p {
			return have, !loaded
		}
		return p, p.refs.Load() == 0 // it may have been shared again in the meantime
	})
}
