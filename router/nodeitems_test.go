package router

import (
	"testing"

	"roost/stanza"
)

// TestReadItem: stanzas are read again with the same memory, also after one that is not
// well-formed, or that another one follows.
func TestReadItem(t *testing.T) {
	x := rereaders.New().(*rereader)
	f := func(text string, want bool) {
		t.Helper()
		x.stanza = stanza.Stanza{}
		if ok := x.read([]byte(text), &x.stanza); ok != want {
			t.Errorf("%s: read: %t, want %t", text, ok, want)
		}
		if want && string(x.stanza.Root.Attr("id")) != "i" {
			t.Errorf("%s: the stanza has another ID: %q", text, x.stanza.Root.Attr("id"))
		}
	}
	const good = "<message id='i' type='chat'><body>x</body></message>"
	for _, bad := range []string{"<message", "<message></iq>", good + good, good + "<", "</stream:stream>", "<other/>"} {
		f(good, true)
		f(good, true)
		f(bad, false)
	}
	item := []byte(good)
	n := testing.AllocsPerRun(200, func() { x.read(item, &x.stanza) })
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
