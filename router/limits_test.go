package router_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/parser"
)

// TestStreamLimits: input that exceeds the parser's limits ends the stream with
// <policy-violation/> at the first byte in excess; input that reaches the limits is
// delivered whole to another client.
func TestStreamLimits(t *testing.T) {
	const maxStanza = 10000 // RFC 6120 section 13.12: the smallest limit that a server may set
	var cfg xmpptest.Config
	cfg.Session.Limits = parser.Limits{MaxStanza: maxStanza, MaxDepth: 10, MaxAttrs: 8, MaxNamespaces: 4}
	s := xmpptest.NewServer(t, cfg)
	juliet := loginRaw(t, s, "juliet", plainHeader)
	const head, tail = "<message to='juliet@localhost/r' id='ok'>", "</message>"
	f := func(desc, content string, ok bool) {
		t.Helper()
		romeo := loginRaw(t, s, "romeo", plainHeader)
		if ok {
			romeo.write(head + content + tail)
			juliet.await("id='ok'>" + content + tail)
			romeo.write("</stream:stream>")
			romeo.await("</stream:stream>")
			return
		}
		// The error does not require a complete stanza.
		romeo.say(head+content, "<stream:error><policy-violation ")
		romeo.await("</stream:error></stream:stream>")
		if strings.Contains(juliet.got, desc) {
			t.Errorf("%s was delivered", desc)
		}
	}
	text := func(n int) string { return "<body>" + strings.Repeat("x", n) + "</body>" }
	room := maxStanza - len(head+tail+text(0))
	f("the largest stanza", text(room), true)
	f("one byte more", text(room+1)+tail, false)
	f("an endless stanza", text(maxStanza)[:maxStanza], false)
	f("the deepest", strings.Repeat("<a>", 9)+strings.Repeat("</a>", 9), true)
	f("one level more", strings.Repeat("<a>", 10), false)
	attrs := func(n int) (all string) {
		for i := range n {
			all += fmt.Sprintf(" a%d='1'", i)
		}
		return all
	}
	f("the most attributes", "<a"+attrs(8)+"></a>", true)
	f("one attribute more", "<a"+attrs(9)+"/>", false)
	// The header's xmlns:stream counts too.
	f("the most namespaces", "<a"+strings.ReplaceAll(attrs(3), " a", " xmlns:a")+"></a>", true)
	f("one namespace more", "<a"+strings.ReplaceAll(attrs(4), " a", " xmlns:a")+"/>", false)
}

// TestAccountLimits: too many resources, roster items, messages or directed presences are
// refused one by one, and the stream continues.
func TestAccountLimits(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Session.MaxResources = 2
	cfg.Router.MaxRoster, cfg.Router.MaxOffline, cfg.Router.MaxDirected = 2, 2, 2
	cfg.Router.RosterBytes, cfg.Router.OfflineShare = 750, 100
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	f := func(stanza, condition string) {
		t.Helper()
		romeo.got, romeo.used = "", 0
		romeo.write(stanza)
		romeo.sync()
		got := strings.Count(romeo.got, " type='error'")
		if condition == "" && got != 0 || condition != "" && (got != 1 || !strings.Contains(romeo.got, "<"+condition+" ")) {
			t.Errorf("%s gets the reply %s\nwant %q", stanza, romeo.got, condition)
		}
	}
	set := func(item string) string {
		return "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item " + item + "/></query></iq>"
	}
	f(set("jid='a@example.com'"), "")
	f(set("jid='b@example.com'"), "")
	f(set("jid='c@example.com'"), "resource-constraint")
	f("<presence type='subscribe' to='juliet@localhost'/>", "resource-constraint")
	f(set("jid='b@example.com' name='changed'"), "")
	f(set("jid='b@example.com' subscription='remove'"), "")
	f("<presence type='subscribe' to='juliet@localhost'/>", "")

	// A roster is sent as a whole, so its size is limited too.
	named := func(n int) string { return set("jid='a@example.com' name='" + strings.Repeat("n", n) + "'") }
	f(named(400), "")
	f(named(1000), "resource-constraint")
	f(named(500), "")
	f(named(10), "")
	var groups strings.Builder
	for i := range 9 {
		fmt.Fprintf(&groups, "<group>%d%s</group>", i, strings.Repeat("g", 1000))
	}
	f("<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='a@example.com'>"+groups.String()+"</item></query></iq>", "not-acceptable")

	// An address is too long for the indexes of a database.
	item := "jid='" + strings.Repeat("l", 1023) + "@" + strings.Repeat("domain.", 100) + "example/" + strings.Repeat("r", 1023) + "'"
	f(set(item), "not-acceptable")
	f(set(item+" subscription='remove'"), "item-not-found")
	f("<iq type='set' id='s'><block xmlns='urn:xmpp:blocking'><item "+item+"/></block></iq>", "not-acceptable")
	f("<iq type='set' id='s'><unblock xmlns='urn:xmpp:blocking'><item "+item+"/></unblock></iq>", "")

	// A sender that is not a contact would not get the error.
	chat := "<message type='chat' to='romeo@localhost' id='m'><body>b</body></message>"
	f(chat, "")
	f(chat, "")
	f(chat, "service-unavailable")

	f("<presence to='a@localhost'/>", "")
	f("<presence to='b@localhost'/>", "")
	f("<presence to='a@localhost'/>", "")
	f("<presence to='c@localhost'/>", "resource-constraint")
	f("<presence type='unavailable' to='a@localhost'/>", "")
	f("<presence to='c@localhost'/>", "")

	loginAs(t, s, "romeo", "second", plainHeader)
	third, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	c := &rawClient{t: t, conn: third}
	c.say(plainHeader, "</stream:features>")
	c.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>", "<success")
	c.say(plainHeader, "</stream:features>")
	c.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "<error type='wait'><resource-constraint ")
}

// TestUnauthMemory: the memory for partial stanzas of unauthenticated clients has a common
// limit, which does not affect clients that log in.
func TestUnauthMemory(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Unauth = 1 << 18
	s := xmpptest.NewServer(t, cfg)
	large := "<x>" + strings.Repeat("<a/>", 2400)
	var held []*rawClient
	for range 10 {
		c := dialRaw(t, s)
		c.write(plainHeader + large)
		held = append(held, c)
	}
	refused := 0
	for _, c := range held {
		_, _ = io.WriteString(c.conn, "</x>") // fails if the stream was refused
		c.await("</stream:error></stream:stream>")
		refused += strings.Count(c.got, "resource-constraint")
	}
	if refused < 5 || refused > 9 {
		t.Errorf("%d of 10 were refused, want most", refused)
	}
	// The memory is released.
	for range 3 {
		c := dialRaw(t, s)
		c.write(plainHeader + large)
		c.say("</x>", "</stream:error></stream:stream>")
		if !strings.Contains(c.got, "unsupported-stanza-type") {
			t.Error(c.got)
		}
	}
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.write("<message to='romeo@localhost/r'>" + large)
	romeo.say("</x></message>", "</x></message>")
}

// TestFullRosterAndApproval: a pre-approval does not evade the limit of a roster.
func TestFullRosterAndApproval(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.MaxRoster = 1
	s := xmpptest.NewServer(t, cfg)
	romeo, juliet := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader)
	romeo.write("<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query></iq>")
	romeo.sync()
	juliet.write("<presence type='subscribed' to='romeo@localhost'/>")
	juliet.sync()
	romeo.got, romeo.used = "", 0
	romeo.write("<presence type='subscribe' to='juliet@localhost' id='p'/>")
	romeo.sync()
	if strings.Count(romeo.got, "<resource-constraint ") != 1 {
		t.Errorf("got %s\nwant resource-constraint", romeo.got)
	}
	romeo.got, romeo.used = "", 0
	romeo.write("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
	romeo.sync()
	if strings.Count(romeo.got, "<item ") != 1 {
		t.Errorf("the roster is %s, want one item", romeo.got)
	}
}
