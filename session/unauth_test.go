package session_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/xep"
)

// streamHeader returns a stream header with additional attributes.
func streamHeader(with string) string {
	return "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' " + with + ">"
}

// TestEchoInHeader: "if the client included a 'from' attribute in the initial stream header
// then the server MUST include a 'to' attribute in the response stream header and MUST set
// its value to the bare JID specified in the 'from' attribute" ([RFC 6120 section 4.7.2]),
// and nothing else of it.
//
// [RFC 6120 section 4.7.2]: https://www.rfc-editor.org/rfc/rfc6120#section-4.7.2
func TestEchoInHeader(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	f := func(from, to string) {
		t.Helper()
		got := answer(t, s, streamHeader(`from="`+from+`"`), true)
		header, _, _ := strings.Cut(strings.TrimPrefix(got, "<?xml version='1.0'?>"), ">")
		if want := " to='" + to + "'"; to != "" && !strings.Contains(header, want) || to == "" && strings.Contains(header, " to=") {
			t.Errorf("from=%.60q: got %.300s, want to=%q", from, header, to)
		}
		if len(got) > 4000 {
			t.Errorf("from=%.60q: the response has %d bytes", from, len(got))
		}
	}
	f("romeo@localhost", "romeo@localhost")
	f("ROMEO@Localhost/balcony", "romeo@localhost")
	f("romeo@localhost/"+strings.Repeat("'", 1000), "romeo@localhost")
	f("localhost", "localhost")
	f("", "")
	f("romeo@", "")
	f("a b@localhost", "")
	f(strings.Repeat("'", 9000), "")
	f("romeo@localhost/"+strings.Repeat("'", 9000), "")
}

// TestLanguageInHeader: our header repeats the client's xml:lang, parsed and escaped again,
// or has our own if there is none or it is too long ([RFC 6120 section 4.7.4]).
//
// [RFC 6120 section 4.7.4]: https://www.rfc-editor.org/rfc/rfc6120#section-4.7.4
func TestLanguageInHeader(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	f := func(with, want string) {
		t.Helper()
		got := answer(t, s, streamHeader(with), true)
		header, _, _ := strings.Cut(strings.TrimPrefix(got, "<?xml version='1.0'?>"), ">")
		if !strings.HasSuffix(header, " xml:lang='"+want+"'") {
			t.Errorf("%.100q: got %.300s, want xml:lang=%q", with, header, want)
		}
	}
	f("", "en")
	f("xml:lang='de-AT'", "de-AT")
	f(`xml:lang="&#100;e"`, "de")
	f(`xml:lang="' from='x"`, "&apos; from=&apos;x")
	f(`xml:lang="&lt;a&amp;"`, "&lt;a&amp;")
	f(`lang='de' xmlns:a='urn:a' a:lang='de'`, "en")
	f("xml:lang='"+strings.Repeat("a", 64)+"'", strings.Repeat("a", 64))
	f("xml:lang='"+strings.Repeat("a", 65)+"'", "en")
	f("xml:lang='"+strings.Repeat("&#39;", 65)+"'", "en")
	f(`xml:lang="`+strings.Repeat("'", 9000)+`"`, "en")
}

// TestSmallBeforeLogin: before authentication the size of input is strictly limited, and
// responses are not much larger. After it, the usual limits apply.
func TestSmallBeforeLogin(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{XEP: xep.Config{Register: true}})
	const limit = 10000 // RFC 6120 section 13.12: the minimum limit of a stanza's size
	refused := func(desc, in string) {
		t.Helper()
		got := answer(t, s, in, false)
		if !strings.Contains(got, "<policy-violation ") || !strings.HasSuffix(got, "</stream:error></stream:stream>") {
			t.Errorf("%s: got %.300s, want policy-violation", desc, got)
		}
		if len(got) > 4000 {
			t.Errorf("%s: the response has %d bytes", desc, len(got))
		}
	}
	pad := func(before, after string, n int) string {
		return before + strings.Repeat("'", n-len(before+after)) + after
	}
	header := streamHeader("")
	refused("a header that is too large", pad(strings.TrimSuffix(header, ">")+` a="`, `">`, limit+1))
	refused("an element that is too large", header+pad(`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl">`, "</auth>", limit+1))
	iq := func(id string) string {
		return `<iq type="get" id="` + id + `"><query xmlns="jabber:iq:register"/></iq>`
	}
	refused("an id that is too long", header+iq(strings.Repeat("'", 1025)))
	refused("an id as long as the element may be", header+pad(`<iq type="get" id="`, `"><query xmlns="jabber:iq:register"/></iq>`, limit))

	c := newSASLClient(t, s)
	if got := c.ask(iq(strings.Repeat("'", 1024)), "</iq>"); !strings.Contains(got, "<username/>") {
		t.Errorf("an id of 1,024 bytes: got %.300s", got)
	}
	// A response repeats an address, unless it is too long to be one.
	got := c.ask(`<iq type="get" id="1" to="`+strings.Repeat("'", 5000)+`"><query xmlns="jabber:iq:register"/></iq>`, ">")
	if strings.Count(got, "'") > 100 || strings.Contains(got, "&") {
		t.Errorf("a 'to' that is not an address: got %.300s, %d bytes", got, len(got))
	}

	c = newSASLClient(t, s)
	c.login("romeo")
	body := strings.Repeat("x", 6*limit)
	if got := c.ask("<message to='romeo@localhost/r' type='chat'><body>"+body+"</body></message>", "</message>"); !strings.Contains(got, body) {
		t.Errorf("a large message after the login: got %.300s", got)
	}
}

// TestSmallBeforeBinding: a client that has authenticated has the limits of one that has not
// until it has bound a resource or resumed a session: --max-resources limits only sessions
// that have one. Neither an attempt to resume a session that does not exist nor one to bind an
// invalid resource lifts them.
func TestSmallBeforeBinding(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Unauth: 1 << 20})
	const dense = 3000
	part := "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>" + strings.Repeat("<a/>", dense/4)
	rest := "</bind></iq>"
	counted := func(what string, c *saslClient) {
		t.Helper()
		c.write(part)
		xmpptest.Eventually(t, what+": an incomplete element is counted", func() bool { return s.Held() > dense })
		c.ask(rest, "</iq>")
	}
	after := map[string]func(c *saslClient){
		"SASL": func(c *saslClient) { c.authenticate("romeo") },
		"SASL2": func(c *saslClient) {
			c.ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>"+plain("romeo", "secret")+"</initial-response></authenticate>", "</stream:features>")
		},
		"resumption failed": func(c *saslClient) {
			c.authenticate("romeo")
			c.ask("<resume xmlns='urn:xmpp:sm:3' previd='none' h='0'/>", "</failed>")
		},
		"resumption failed, inline": func(c *saslClient) {
			c.ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>"+plain("romeo", "secret")+
				"</initial-response><resume xmlns='urn:xmpp:sm:3' previd='none' h='0'/></authenticate>", "</stream:features>")
		},
		"binding failed": func(c *saslClient) {
			c.authenticate("romeo")
			c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+strings.Repeat("r", 2000)+"</resource></bind></iq>", "</iq>")
		},
	}
	for what, log := range after {
		c := newSASLClient(t, s)
		log(c)
		if got := c.ask("<iq type='get' id='"+strings.Repeat("i", 10000), "</stream:stream>"); !strings.Contains(got, "<policy-violation ") {
			t.Errorf("%s: a large element: %.300s", what, got)
		}
		c = newSASLClient(t, s)
		log(c)
		counted(what, c)
		xmpptest.Eventually(t, what+": nothing is counted for a client that has bound a resource", func() bool { return s.Held() == 0 })
		body := strings.Repeat("x", 50000)
		if got := c.ask("<message to='romeo@localhost' type='error'/><iq type='get' id='"+body+"' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "/>"); !strings.Contains(got, body) {
			t.Errorf("%s: a large stanza after binding: %.300s", what, got)
		}
		_ = c.conn.Close()
	}
}

// TestResumedIsAdmitted: the limits for clients that have bound no resource end when a session
// is resumed, after SASL and together with SASL2.
func TestResumedIsAdmitted(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Unauth: 1 << 20})
	c := newSASLClient(t, s)
	c.login("romeo")
	_, id, _ := strings.Cut(c.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "/>"), " id='")
	id, _, _ = strings.Cut(id, "'")
	resume := "<resume xmlns='urn:xmpp:sm:3' previd='" + id + "' h='0'/>"
	again := []func(c *saslClient){
		func(c *saslClient) {
			c.authenticate("romeo")
			c.ask(resume, "<resumed ")
			c.ask("", "/>")
		},
		func(c *saslClient) {
			c.ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>"+plain("romeo", "secret")+"</initial-response>"+resume+"</authenticate>", "</success>")
		},
	}
	for i, log := range again {
		c := newSASLClient(t, s)
		log(c)
		id := strings.Repeat("x", 50000)
		if got := c.ask("<iq type='get' id='"+id+"' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "/>"); !strings.Contains(got, id) {
			t.Errorf("%d: a large stanza: %.300s", i, got)
		}
		if n := s.Held(); n != 0 {
			t.Errorf("%d: %d bytes are counted", i, n)
		}
	}
}

// authenticate authenticates and opens the stream again.
func (c *saslClient) authenticate(user string) {
	c.t.Helper()
	c.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plain(user, "secret")+"</auth>", "/>")
	c.ask(openStream, "</stream:features>")
}

// login authenticates and binds the resource "r".
func (c *saslClient) login(user string) {
	c.t.Helper()
	c.authenticate(user)
	c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "</iq>")
}
