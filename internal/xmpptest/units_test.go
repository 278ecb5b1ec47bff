package xmpptest

import (
	"fmt"
	"testing"
)

// complaints takes the place of a test that would fail.
type complaints struct {
	testing.TB
	n int
}

func (c *complaints) Errorf(string, ...any) { c.n++ }

// TestUnits: what is one unit is accepted, anything else is a failure, and does not
// spoil what comes next.
func TestUnits(t *testing.T) {
	c := new(complaints)
	u := newUnits(c)
	f := func(b string, ok bool) {
		t.Helper()
		before := c.n
		u.sent([]byte(b))
		if c.n == before != ok {
			t.Errorf("%q is accepted: %v, want %v", b, c.n == before, ok)
		}
	}
	const header = "<?xml version='1.0'?>" + wrap
	for i := range 2 {
		f(header, true)
		f("<stream:features><a xmlns='urn:a'/></stream:features>", true)
		f("<message/>", true)
		f(fmt.Sprintf("<iq id='%d'><a xmlns='urn:a'><b/></a></iq>", i), true)
		f("</stream:stream>", true)
		f("<message/><message/>", false)
		f("<message/> ", false)
		f(" <message/>", true) // white space in front of an element belongs to nothing
		f("<message>", false)
		f("</message>", false)
		f("", false)
		f("text", false)
		f(header+"<message/>", false)
		f("<message/></stream:stream>", false)
		f("<a></b>", false)
	}
}
