package xep_test

import (
	"fmt"
	"strings"
	"testing"

	"roost/xep"
)

// TestPrivateLimits: past them nothing is kept, and what is there stays.
func TestPrivateLimits(t *testing.T) {
	ts := newTestServer(t, xep.Config{PrivateSize: 1000, PrivateCount: 3})
	c := ts.login(t, "romeo")
	f := func(inner, want string) {
		t.Helper()
		if got := c.iq("set", "<query xmlns='jabber:iq:private'>"+inner+"</query>"); got != want {
			t.Errorf("%.60s: %s, want %s", inner, got, want)
		}
	}
	value := func(n int) string { return fmt.Sprintf("<v%d xmlns='v:v'>text</v%d>", n, n) }

	f("<big xmlns='v:v'>"+strings.Repeat("x", 1000)+"</big>", "not-acceptable")
	f("<a xmlns='"+strings.Repeat("n", 1023)+"'/>", "not-acceptable")
	f("<a xmlns='v&#10;v'/>", "not-acceptable")
	f(value(1)+value(1), "not-acceptable")
	f(value(1)+value(2), "result")
	f(value(3)+value(4), "resource-constraint") // all or nothing
	f(value(3), "result")
	f(value(4), "resource-constraint")
	f(value(2), "result")
	f("<v1 xmlns='v:v'/>", "result") // makes room
	f(value(4), "result")
	f(value(1), "resource-constraint")
	for n, want := range []string{1: "<v1 xmlns='v:v'/>", 2: value(2), 3: value(3), 4: value(4)} {
		if n == 0 {
			continue
		}
		got := c.ask(fmt.Sprintf("<iq type='get' id='g'><query xmlns='jabber:iq:private'><v%d xmlns='v:v'/></query></iq>", n), "</iq>")
		if !strings.Contains(got, want) {
			t.Errorf("there is %s, want %s", got, want)
		}
	}
	f("<v2 xmlns='v:v'/><v3 xmlns='v:v'/><v4 xmlns='v:v'/>", "result")
	f(value(1)+value(2)+value(3), "result")
}

// TestPrivateManyNames: a set of far too many values is refused
// before they are compared with one another.
func TestPrivateManyNames(t *testing.T) {
	c := newTestServer(t, xep.Config{}).login(t, "romeo")
	var b strings.Builder
	for i := range 700 {
		fmt.Fprintf(&b, "<p:v%d/>", i)
	}
	got := c.iq("set", "<query xmlns='jabber:iq:private' xmlns:p='"+strings.Repeat("n", 1000)+"'>"+b.String()+"</query>")
	if got != "resource-constraint" {
		t.Error(got)
	}
}

// TestPrivateKeepsNamespaces: a prefix that the client declared on its stream
// header or on the iq means the same when the value comes back.
func TestPrivateKeepsNamespaces(t *testing.T) {
	ts := newTestServer(t, xep.Config{})
	c := ts.login(t, "romeo")
	c.ask("<iq type='set' id='s' xmlns:p='p:p'><query xmlns='jabber:iq:private'><p:v p:a='1'><stream:x/></p:v></query></iq>", "id='s'")
	got := ts.login(t, "romeo").ask("<iq type='get' id='g'><query xmlns='jabber:iq:private'><v xmlns='p:p'/></query></iq>", "</iq>")
	for _, want := range []string{"<v xmlns='p:p'", ":a='1'", "<x xmlns='http://etherx.jabber.org/streams'/>"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s has no %s", got, want)
		}
	}
}

func TestVCardLimit(t *testing.T) {
	ts := newTestServer(t, xep.Config{VCardSize: 1000})
	c := ts.login(t, "romeo")
	vcard := func(n int) string {
		return "<vCard xmlns='vcard-temp'><DESC>" + strings.Repeat("x", n) + "</DESC></vCard>"
	}
	if got := c.iq("set", vcard(900)); got != "result" {
		t.Errorf("900 bytes: %s", got)
	}
	if got := c.iq("set", vcard(1000)); got != "not-acceptable" {
		t.Errorf("1000 bytes and more: %s", got)
	}
	if got := c.ask("<iq type='get' id='g'><vCard xmlns='vcard-temp'/></iq>", "</iq>"); !strings.Contains(got, vcard(900)) {
		t.Errorf("the old vcard is gone: %s", got)
	}
}

// TestManyLargeAnswers: a client that asks for many vcards at once, and reads
// them at its own pace, gets them all: its requests wait for its reading, and
// do not fill its outbox.
func TestManyLargeAnswers(t *testing.T) {
	ts := newTestServer(t, xep.Config{})
	c := ts.login(t, "romeo")
	vcard := "<vCard xmlns='vcard-temp'><DESC>" + strings.Repeat("x", 60<<10) + "</DESC></vCard>"
	if got := c.iq("set", vcard); got != "result" {
		t.Fatalf("set: %s", got)
	}
	const n = 20
	requests := strings.Repeat("<iq type='get' id='g'><vCard xmlns='vcard-temp'/></iq>", n)
	c.ask(requests+"<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='g'")
	for range n {
		c.ask("", "</iq>")
	}
	c.ask("", "id='last'")
}
