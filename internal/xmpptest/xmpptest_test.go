package xmpptest

import (
	"io"
	"net"
	"strings"
	"testing"
)

// peer returns a function that dials a server, which replies to the first input with a fixed
// text.
func peer(t *testing.T, answer string) func() (net.Conn, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer l.Close()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			_, _ = io.WriteString(c, answer)
		}
	}()
	return func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
}

// TestMatching: the player finds each difference, and nothing else.
func TestMatching(t *testing.T) {
	f := func(want, got string, ok bool) {
		t.Helper()
		d, err := Parse("test", "a C: <x/>\n"+want)
		if err != nil {
			t.Fatal(err)
		}
		err = Player{Dial: peer(t, got)}.Play(d)
		if (err == nil) != ok {
			t.Errorf("%s against %s: %v; want a match: %v", want, got, err, ok)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "test:") {
			t.Errorf("no line in %q", err)
		}
	}
	f("a S: <m a='1' b='2'/>", `<m b="2"  a='1'></m>`, true)
	f("a S: <m a='1'/>", "<m a='2'/>", false)
	f("a S: <m/>", "<m a='2'/>", false)
	f("a S: <m xmlns='urn:x'/>", "<m/>", false)
	f("a S: <p:m xmlns:p='jabber:client'/>", "<m/>", true)
	f("a S: <m><b>t</b></m>", "<m><b>t</b></m>", true)
	f("a S: <m><b>t</b></m>", "<m><b>u</b></m>", false)
	f("a S: <m>\n  <b/>\n <c/></m>", "<m><b/><c/></m>", true)
	f("a S: <m><b/></m>", "<m><b/><c/></m>", false)
	f("a S: <m><b/><c/></m>", "<m><b/></m>", false)
	f("a S: <m><b/><any/></m>", "<m><b/><c/></m>", true)
	f("a S: <m a='{*}'>{*}</m>", "<m a='1'>2</m>", true)
	f("a S: <m a='{v}' b='{v}'/>", "<m a='1' b='1'/>", true)
	f("a S: <m a='{v}' b='{v}'/>", "<m a='1' b='2'/>", false)
	f("any order\na S: <b/>\na S: <c/>\nin order", "<c/><b/>", true)
	f("any order\na S: <b/>\na S: <c/>\nin order", "<c/><c/>", false)
	f("a S: <b/>\na S: <c/>", "<c/><b/>", false)
	f("a S: </stream:stream>", "</stream:stream>", true)
	f("a S: </stream:stream>", "<b/>", false)
	f("a S: <b/>\na S: (closed)", "<b/>", true)
	f("a S: (closed)", "<b/>", false)
	f("a S: (nothing)", "<b/>", false)
	f("a S: <b/>", "<b>", false)
}

func TestParse(t *testing.T) {
	if _, err := Parse("x", "romeo says: hello"); err == nil || !strings.HasPrefix(err.Error(), "x:1:") {
		t.Errorf("%v, want an error with its line", err)
	}
	if _, err := Parse("x", " <m/>"); err == nil {
		t.Error("a continuation of nothing is accepted")
	}
	d, err := Parse("x", "# comment\nromeo C: <m>\n  </m>\n\nlogin romeo\n")
	if err != nil || len(d.steps) != 2 || d.steps[0].text != "<m>\n  </m>" || d.steps[0].line != 2 {
		t.Errorf("%+v, %v", d, err)
	}
}
