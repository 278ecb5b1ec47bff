package xmpptest

import (
	"fmt"
	"testing"
)

// errorCounter counts the errors of a test, which does not fail.
type errorCounter struct {
	testing.TB
	n int
}

func (c *errorCounter) Errorf(string, ...any) { c.n++ }

// TestUnits: one unit is accepted, anything else is an error, which does not affect the next
// unit.
func TestUnits(t *testing.T) {
	c := new(errorCounter)
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
		f(" <message/>", true) // white space before an element is allowed
		f("<message>", false)
		f("</message>", false)
		f("", false)
		f("text", false)
		f(header+"<message/>", false)
		f("<message/></stream:stream>", false)
		f("<a></b>", false)
	}
}
