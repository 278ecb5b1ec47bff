package xmpptest

import (
	"sync"
	"testing"

	"roost/parser"
)

// units checks that what is sent at once is one unit: a first-level element, the stream
// header or the end of the stream. It allocates nothing for what is right, so that tests
// of allocations stay true.
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

// open opens the stream that all units belong to.
func (u *units) open() {
	u.parser.Reset()
	if ev, n, err := u.parser.Next(u.scratch, []byte(wrap)); ev != parser.StreamOpen || n != len(wrap) || err != nil {
		panic("xmpptest: BUG: the header is not read")
	}
}

// sent is called with what is sent at once.
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
		u.t.Errorf("sent at once, but not one unit: after %d of %d bytes there is %v, error %v: %.2000s", n, len(b), ev, err, b)
	}
	if ev != parser.Stanza {
		u.parser.Free(u.scratch)
		u.open()
	}
}
