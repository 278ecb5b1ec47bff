package xep_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"roost/internal/memnet"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
	"roost/store/faultstore"
	"roost/xep"
)

// TestPrivateLimits: a set that exceeds a limit stores nothing and changes nothing.
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
	f("<v1 xmlns='v:v'/>", "result") // makes space
	f(value(4), "result")
	f(value(1), "resource-constraint")
	for n, want := range []string{1: "<v1 xmlns='v:v'/>", 2: value(2), 3: value(3), 4: value(4)} {
		if n == 0 {
			continue
		}
		got := c.ask(fmt.Sprintf("<iq type='get' id='g'><query xmlns='jabber:iq:private'><v%d xmlns='v:v'/></query></iq>", n), "</iq>")
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f("<v2 xmlns='v:v'/><v3 xmlns='v:v'/><v4 xmlns='v:v'/>", "result")
	f(value(1)+value(2)+value(3), "result")
}

// TestPrivateRace: clients of one account that store values at the same moment cannot store
// more than one client could. The store is stopped until all requests have reached it, so
// that none of them sees what another wrote.
func TestPrivateRace(t *testing.T) {
	const clients, each, limit = 10, 12, 100
	slowed := new(faultstore.Faults)
	ts := &testServer{xmpptest.NewServer(t, xmpptest.Config{
		XEP:   xep.Config{PrivateCount: limit, Iterations: store.MinIterations},
		Store: slowed.Options(),
	}), memnet.Loopback}
	var all []*testClient
	for i := range clients {
		all = append(all, ts.loginAs(t, "romeo", fmt.Sprint("r", i)))
	}
	release := slowed.Stop()
	before := slowed.Active()
	for i, c := range all {
		var b strings.Builder
		for k := range each {
			fmt.Fprintf(&b, "<v xmlns='v:%d-%d'>text</v>", i, k)
		}
		fmt.Fprintf(c.conn, "<iq type='set' id='s'><query xmlns='jabber:iq:private'>%s</query></iq>", b.String())
	}
	for slowed.Active() < before+clients {
		runtime.Gosched()
	}
	release()
	results := 0
	for _, c := range all {
		if strings.Contains(c.ask("", "id='s'"), "type='result'") {
			results++
		}
	}
	stored := 0
	for i := range clients {
		for k := range each {
			value, err := ts.Store.Blob(t.Context(), jid.MustParse("romeo@localhost"), "jabber:iq:private", fmt.Sprintf("{v:%d-%d}v", i, k))
			if err != nil {
				t.Fatal(err)
			}
			if value != nil {
				stored++
			}
		}
	}
	if want := limit / each; results != want || stored != want*each {
		t.Errorf("%d requests succeeded and %d values are stored, want %d and %d", results, stored, want, want*each)
	}
}

// TestPrivateBytes: the total size of all values is limited, too.
func TestPrivateBytes(t *testing.T) {
	c := newTestServer(t, xep.Config{PrivateBytes: 5000}).login(t, "romeo")
	for i, want := range []string{"result", "result", "resource-constraint"} {
		got := c.iq("set", fmt.Sprintf("<query xmlns='jabber:iq:private'><v xmlns='v:%d'>%s</v></query>", i, strings.Repeat("x", 2000)))
		if got != want {
			t.Errorf("value %d: %s, want %s", i, got, want)
		}
	}
}

// TestPrivateManyNames: a set with far too many values is refused before they are compared
// with each other.
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

// TestPrivateKeepsNamespaces: a prefix that the client declared in its stream header or on
// the iq has the same meaning when the value is returned.
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
		t.Errorf("the old vCard was lost: %s", got)
	}
}

// TestManyLargeAnswers: a client that requests many vCards at once, and reads them slowly,
// gets them all: its further requests wait until it has read the replies, so they do not
// fill its outbox.
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
