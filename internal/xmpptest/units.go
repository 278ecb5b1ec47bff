package xmpptest

import (
	"sync"
	"testing"

	"roost/parser"
)

// units checks that each write of a session is one unit: a first-level element, the stream
// header or the end of the stream. It allocates nothing unless that is wrong, so that tests
// can measure allocations.
type units struct {
	t       testing.TB
	mu      sync.Mutex
	parser  parser.Parser
	scratch *parser.Scratch
}

func newUnits(t testing.TB) *units {
	u := &units{t: t, scratch: parser.NewScratch(parser.Limits{MaxStanza: 64 << 20, MaxDepth: 1 << 10})}
	u.open()
	return u
}

// open opens the stream of the units.
func (u *units) open() {
	u.parser.Reset()
	if ev, n, err := u.parser.Next(u.scratch, []byte(wrap)); ev != parser.StreamOpen || n != len(wrap) || err != nil {
		panic("xmpptest: BUG: the stream header was not parsed")
	}
}

// sent is called with each write.
func (u *units) sent(b []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	want := parser.Stanza
	switch {
	case len(b) > 0 && b[len(b)-1] == '>' && string(b[:min(len(b), 5)]) == "<?xml":
		u.parser.Reset()
		want = parser.StreamOpen
	case string(b) == streamEnd:
		return
	}
	ev, n, err := u.parser.Next(u.scratch, b)
	if ev != want || n != len(b) || err != nil {
		u.t.Errorf("a write that is not one unit: after %d of %d bytes: %v, error %v: %.2000s", n, len(b), ev, err, b)
	}
	if ev != parser.Stanza {
		u.parser.Free(u.scratch)
		u.open()
	}
}
