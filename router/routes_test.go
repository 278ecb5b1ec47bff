package router_test

import (
	"regexp"
	"strings"
	"sync"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

// component is a route to one domain. It records what it is sent.
type component struct {
	domain string

	mu      sync.Mutex
	got     []string
	refusal *stanza.ErrorReply // for what it is sent
	broken  bool               // Send panics
}

func (c *component) Serves(domain string) bool { return domain == c.domain }

func (c *component) Send(_ *session.Turn, from, to jid.JID, b []byte) *stanza.ErrorReply {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		panic("broken")
	}
	if c.refusal != nil {
		return c.refusal
	}
	c.got = append(c.got, from.String()+">"+to.String()+" "+string(b))
	return nil
}

// take returns what was recorded, and clears it.
func (c *component) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := strings.Join(c.got, "\n")
	c.got = nil
	return all
}

func (c *component) refuse(e *stanza.ErrorReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusal = e
}

// routed is a server with a component, and a client that romeo uses.
type routed struct {
	t     *testing.T
	s     *xmpptest.Server
	far   *component
	romeo *rawClient
	calls calls
}

func newRouted(t *testing.T, exts ...router.Extension) *routed {
	t.Helper()
	x := &routed{t: t, far: &component{domain: "far.example"}}
	var cfg xmpptest.Config
	cfg.Router.Extensions = append(exts, router.Extension{
		Name: "component", Title: "test", Routes: []router.Route{x.far, &component{domain: "other.example"}},
		Delivered: func(_ *session.Turn, _ router.Sender, to jid.JID, st *stanza.Stanza, taken router.Taken) session.Work {
			x.calls.add("%s %s %v", st.ID, to, taken)
			return session.Done
		},
	})
	x.s = xmpptest.NewServer(t, cfg)
	x.romeo = loginRaw(t, x.s, "romeo", plainHeader)
	return x
}

// says sends text from romeo's client, and compares what the component and romeo receive
// then.
func (x *routed) says(text, far, romeo string) {
	x.t.Helper()
	x.romeo.got, x.romeo.used = "", 0
	x.romeo.write(text)
	x.compare(text, far, romeo)
}

// sends routes a stanza from a component's address, and compares the reply and what the
// component and romeo receive then.
func (x *routed) sends(from, text, reply, far, romeo string) {
	x.t.Helper()
	x.romeo.got, x.romeo.used = "", 0
	n := &node{jid: jid.MustParse(from)}
	if need := route(x.t, x.s, session.Write, n, text); need != session.Done {
		x.t.Errorf("%s: is not done: %v", text, need)
	}
	x.compare(text, far, romeo)
	if got := strings.Join(n.take(), ""); got != reply {
		x.t.Errorf("%s: the reply is %q, want %q", text, got, reply)
	}
}

// changing matches what differs in roster pushes between runs.
var changing = regexp.MustCompile(`push-[^']*| ver='[^']*'`)

func (x *routed) compare(text, far, romeo string) {
	x.t.Helper()
	x.romeo.sync()
	if got := x.far.take(); got != far {
		x.t.Errorf("%s\nthe component got %q\nwant              %q", text, got, far)
	}
	got, _, _ := strings.Cut(x.romeo.got, "<iq type='result' id='sync'")
	if got = changing.ReplaceAllString(got, ""); got != romeo {
		x.t.Errorf("%s\nromeo got %q\nwant      %q", text, got, romeo)
	}
}

// push is a roster push of an item to romeo.
func push(item string) string {
	return "<iq type='set' id='' to='romeo@localhost/r'><query xmlns='jabber:iq:roster'>" + item + "</query></iq>"
}

func errorFrom(kind, id, from, to, typ, condition string) string {
	return "<" + kind + " type='error' id='" + id + "' from='" + from + "' to='" + to + "'><error type='" + typ + "'><" +
		condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></" + kind + ">"
}

// TestRoute: RFC 6120 section 10.4 (https://www.rfc-editor.org/rfc/rfc6120#section-10.4): a
// stanza to a remote domain is sent by a route, with the sender's address, whatever its
// kind. If there is no route, or the route refuses the stanza, the sender gets an error.
func TestRoute(t *testing.T) {
	x := newRouted(t)
	const me, far = "romeo@localhost/r", "a@far.example/b"
	f := func(before, after string) {
		t.Helper()
		x.says(before+" to='a@far.example/b'"+after, me+">"+far+" "+before[:strings.IndexByte(before+" ", ' ')]+" from='"+me+"'"+
			before[strings.IndexByte(before+" ", ' '):]+" to='a@far.example/b'"+after, "")
	}
	f("<message id='m' type='chat'", "><body>b</body></message>")
	f("<message id='h' type='headline'", "/>")
	f("<message id='g' type='groupchat'", "/>")
	f("<message id='e' type='error'", "/>")
	f("<iq type='get' id='q'", "><x xmlns='u:u'/></iq>")
	f("<iq type='set' id='q'", "><x xmlns='u:u'/></iq>")
	f("<iq type='result' id='q'", "/>")
	f("<iq type='error' id='q'", "/>")
	f("<presence id='d'", "><x xmlns='u:u'/></presence>")
	f("<presence id='d' type='unavailable'", "/>")
	f("<presence id='p' type='probe'", "/>")
	f("<presence id='p' type='error'", "/>")
	x.says("<message id='s' to='far.example'/>", me+">far.example <message from='"+me+"' id='s' to='far.example'/>", "")
	x.says("<iq type='get' id='s' to='far.example'><query xmlns='jabber:iq:roster'/></iq>",
		me+">far.example <iq from='"+me+"' type='get' id='s' to='far.example'><query xmlns='jabber:iq:roster'/></iq>", "")
	x.says("<presence id='s' to='far.example'/>", me+">far.example <presence from='"+me+"' id='s' to='far.example'/>", "")
	if got, want := x.calls.take(), "m a@far.example 3 h a@far.example 3 g a@far.example 3 e a@far.example 3 s far.example 3"; got != want {
		t.Errorf("the messages that were delivered are %q, want %q", got, want)
	}
	for _, test := range []struct {
		refusal        *stanza.ErrorReply
		to, typ, error string
	}{
		{nil, "a@nowhere.example", "cancel", "remote-server-not-found"},
		{stanza.ResourceConstraint, far, "wait", "resource-constraint"},
	} {
		x.far.refuse(test.refusal)
		for kind, text := range map[string]string{
			"message":  "<message id='1' to='TO'/>",
			"iq":       "<iq type='get' id='1' to='TO'><x xmlns='u:u'/></iq>",
			"presence": "<presence id='1' to='TO'/>",
		} {
			x.says(strings.Replace(text, "TO", test.to, 1), "", errorFrom(kind, "1", test.to, me, test.typ, test.error))
		}
		x.says("<presence id='1' type='probe' to='"+test.to+"'/>", "", errorFrom("presence", "1", test.to, me, test.typ, test.error))
		for _, text := range []string{"<message type='error' id='1'", "<iq type='error' id='1'", "<iq type='result' id='1'", "<presence type='error' id='1'"} {
			x.says(text+" to='"+test.to+"'/>", "", "")
		}
	}
	if got := x.calls.take(); got != "" {
		t.Errorf("messages without a recipient count as delivered: %q", got)
	}
	x.far.refuse(nil)
	x.far.mu.Lock()
	x.far.broken = true
	x.far.mu.Unlock()
	x.says("<message id='1' to='a@far.example'/>", "", errorFrom("message", "1", "a@far.example", me, "wait", "internal-server-error"))
	if n := x.s.Sessions.Panics(); n != 1 {
		t.Errorf("%d panics, want 1", n)
	}
}

// TestRouteSender: stanzas from a remote domain reach users of this server, and replies go
// to their senders.
func TestRouteSender(t *testing.T) {
	x := newRouted(t)
	const far = "a@far.example/b"
	x.says("<presence><status>here</status></presence>", "", "<presence from='romeo@localhost/r' to='romeo@localhost'><status>here</status></presence>")
	f := func(stanza, reply, romeo string) {
		t.Helper()
		x.sends(far, stanza, reply, "", romeo)
	}
	f("<message id='m' to='romeo@localhost' from='juliet@localhost'><body>b</body></message>", "",
		"<message from='a@far.example/b' id='m' to='romeo@localhost'><body>b</body></message>")
	f("<message id='m' type='groupchat' to='romeo@localhost'/>", errorFrom("message", "m", "romeo@localhost", far, "cancel", "service-unavailable"), "")
	f("<iq type='get' id='q' to='romeo@localhost/r'><x xmlns='u:u'/></iq>", "", "<iq from='a@far.example/b' type='get' id='q' to='romeo@localhost/r'><x xmlns='u:u'/></iq>")
	f("<iq type='get' id='q' to='romeo@localhost'><x xmlns='u:u'/></iq>", errorFrom("iq", "q", "romeo@localhost", far, "cancel", "service-unavailable"), "")
	f("<iq type='get' id='q' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "<iq type='result' id='q' from='localhost' to='a@far.example/b'/>", "")
	f("<presence id='d' to='romeo@localhost'/>", "", "<presence from='a@far.example/b' id='d' to='romeo@localhost'/>")
	f("<presence id='d' type='unavailable' to='romeo@localhost'/>", "", "<presence from='a@far.example/b' id='d' type='unavailable' to='romeo@localhost'/>")
	f("<presence id='d' type='error' to='romeo@localhost/r'/>", "", "<presence from='a@far.example/b' id='d' type='error' to='romeo@localhost/r'/>")
	f("<presence id='p' type='probe' to='romeo@localhost'/>", "<presence type='unsubscribed' id='p' from='romeo@localhost' to='a@far.example'/>", "")

	// A stanza that arrived by a route does not leave by the same one, nor to a domain
	// without a route.
	for _, to := range []string{"c@far.example", "c@nowhere.example"} {
		f("<message id='m' to='"+to+"'/>", errorFrom("message", "m", to, far, "cancel", "remote-server-not-found"), "")
		f("<presence id='m' type='subscribe' to='"+to+"'/>", errorFrom("presence", "m", to, far, "cancel", "remote-server-not-found"), "")
	}
	for _, typ := range []string{"", " type='probe'", " type='subscribe'"} {
		x.sends("a@other.example/b", "<presence"+typ+" to='c@far.example'/>", "",
			"a@other.example/b>c@far.example <presence from='a@other.example/b'"+typ+" to='c@far.example'/>", "")
	}
	if n := x.s.Sessions.Panics(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// TestRouteDirectedPresence: RFC 6121 section 4.6.3
// (https://www.rfc-editor.org/rfc/rfc6121#section-4.6.3): an entity that got directed
// presence is sent the unavailable presence too, also by a route.
func TestRouteDirectedPresence(t *testing.T) {
	x := newRouted(t)
	f := func(to string) string {
		return "romeo@localhost/r>" + to + " <presence type='unavailable' from='romeo@localhost/r' to='" + to + "'/>"
	}
	x.says("<presence to='a@far.example/b'/>", "romeo@localhost/r>a@far.example/b <presence from='romeo@localhost/r' to='a@far.example/b'/>", "")
	x.says("<presence type='unavailable'/>", "romeo@localhost/r>a@far.example/b <presence from='romeo@localhost/r' to='a@far.example/b' type='unavailable'/>", "")
	x.says("<presence type='unavailable'/>", "", "")
	x.says("<presence to='far.example'/>", "romeo@localhost/r>far.example <presence from='romeo@localhost/r' to='far.example'/>", "")
	x.romeo.write("</stream:stream>")
	x.romeo.await("</stream:stream>")
	xmpptest.Eventually(t, "romeo to leave", func() bool { return x.s.Sessions.Counts().Bound == 0 })
	xmpptest.Eventually(t, "the component to be notified", func() bool {
		x.far.mu.Lock()
		defer x.far.mu.Unlock()
		return len(x.far.got) > 0
	})
	if got := x.far.take(); got != f("far.example") {
		t.Errorf("the component got %q", got)
	}
}

// TestRouteSubscriptions: subscriptions between a user of this server and a remote address,
// in both directions (RFC 6121 section 3,
// https://www.rfc-editor.org/rfc/rfc6121#section-3): this server handles the user's side,
// and the route gets what the other side has to know.
func TestRouteSubscriptions(t *testing.T) {
	x := newRouted(t)
	const available = "<presence from='romeo@localhost/r' to='a@far.example'><status>here</status></presence>"
	const toFar = "romeo@localhost>a@far.example "
	presence := func(typ, from, to string) string {
		return "<presence from='" + from + "' to='" + to + "' type='" + typ + "'/>"
	}
	fromRomeo := func(typ string) string { // as a client's, forwarded
		return toFar + presence(typ, "romeo@localhost", "a@far.example")
	}
	client := func(typ string) string { return "<presence to='a@far.example' type='" + typ + "'/>" }
	toRomeo := func(typ string) string { return "<presence to='romeo@localhost' type='" + typ + "'/>" }
	item := func(state string) string { return push("<item jid='a@far.example' subscription='" + state + "'/>") }
	x.romeo.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "</iq>")
	x.romeo.say("<presence><status>here</status></presence>", "</presence>")

	// The user requests a subscription, and it is granted.
	x.says(client("subscribe"), fromRomeo("subscribe"), item("none' ask='subscribe"))
	x.sends("a@far.example/b", toRomeo("subscribed"), "", "", presence("subscribed", "a@far.example", "romeo@localhost")+item("to"))
	x.sends("a@far.example/b", toRomeo("subscribed"), "", "", "") // again: nothing changes
	// The remote user makes a request, repeats it, is granted it, and makes it once more.
	x.sends("a@far.example/b", toRomeo("subscribe"), "", "", presence("subscribe", "a@far.example", "romeo@localhost"))
	x.sends("a@far.example/b", toRomeo("subscribe"), "", "", "")
	x.says(client("subscribed"), fromRomeo("subscribed")+"\nromeo@localhost/r>a@far.example "+available, item("both"))
	x.sends("a@far.example/b", toRomeo("subscribe"), "",
		"romeo@localhost>a@far.example <presence type='subscribed' from='romeo@localhost' to='a@far.example'/>\n"+
			"romeo@localhost/r>a@far.example "+available, "")
	// Presence is sent both ways: a change, unavailable presence, and the reply to a probe
	// at the next login.
	x.sends("a@far.example/b", "<presence to='romeo@localhost'/>", "", "", "<presence from='a@far.example/b' to='romeo@localhost'/>")
	x.sends("a@far.example/b", toRomeo("probe"), available, "", "")
	x.says("<presence type='unavailable'/>", "romeo@localhost/r>a@far.example <presence from='romeo@localhost/r' to='a@far.example' type='unavailable'/>",
		"<presence from='romeo@localhost/r' to='romeo@localhost' type='unavailable'/>")
	x.says("<presence><status>here</status></presence>",
		"romeo@localhost/r>a@far.example "+available+"\n"+
			toFar+"<presence type='probe' from='romeo@localhost' to='a@far.example'/>",
		"<presence from='romeo@localhost/r' to='romeo@localhost'><status>here</status></presence>")
	// Both cancel.
	x.sends("a@far.example/b", toRomeo("unsubscribe"), "",
		"romeo@localhost/r>a@far.example <presence type='unavailable' from='romeo@localhost/r' to='a@far.example'/>",
		presence("unsubscribe", "a@far.example", "romeo@localhost")+item("to"))
	x.says(client("unsubscribe"), fromRomeo("unsubscribe"), item("none"))
	// Pre-approval: the request is granted at once.
	x.says(client("subscribed"), "", item("none' approved='true"))
	x.sends("a@far.example/b", toRomeo("subscribe"), "",
		toFar+"<presence type='subscribed' from='romeo@localhost' to='a@far.example'/>\n"+
			"romeo@localhost/r>a@far.example "+available,
		item("from' approved='true"))
	// The item is removed, with its subscriptions.
	x.says(client("subscribe"), fromRomeo("subscribe"), item("from' ask='subscribe' approved='true"))
	x.says("<iq type='set' id='rm'><query xmlns='jabber:iq:roster'><item jid='a@far.example' subscription='remove'/></query></iq>",
		"romeo@localhost/r>a@far.example <presence type='unavailable' from='romeo@localhost/r' to='a@far.example'/>\n"+
			toFar+"<presence type='unsubscribe' from='romeo@localhost' to='a@far.example'/>\n"+
			toFar+"<presence type='unsubscribed' from='romeo@localhost' to='a@far.example'/>",
		"<iq type='result' id='rm' to='romeo@localhost/r'/>"+item("remove"))

	// An account that does not exist, and one that is offline.
	x.sends("a@far.example/b", "<presence type='subscribe' to='nobody@localhost'/>", "", "", "")
	x.sends("a@far.example/b", "<presence type='subscribe' to='juliet@localhost' id='kept'/>", "", "", "")
	juliet := loginRaw(t, x.s, "juliet", plainHeader)
	juliet.say("<presence/>", "<presence from='a@far.example' to='juliet@localhost' type='subscribe' id='kept'/>")

	// A component's own domain, and a route that refuses the request.
	x.says("<presence to='far.example' type='subscribe'/>", "romeo@localhost>far.example <presence from='romeo@localhost' to='far.example' type='subscribe'/>",
		push("<item jid='far.example' subscription='none' ask='subscribe'/>"))
	x.far.refuse(stanza.ResourceConstraint)
	x.says("<presence id='r' to='b@far.example' type='subscribe'/>", "",
		errorFrom("presence", "r", "b@far.example", "romeo@localhost/r", "wait", "resource-constraint")+
			push("<item jid='b@far.example' subscription='none' ask='subscribe'/>"))
	x.far.refuse(nil)
	if n := x.s.Sessions.Panics(); n != 0 {
		t.Errorf("%d panics", n)
	}
}
