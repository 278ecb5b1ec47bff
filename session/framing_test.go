package session

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"roost/jid"
	"roost/parser"
)

// messages is a connection that delimits messages. It records each of them.
type messages struct {
	NoConn
	sent []string
	code uint16 // of the close frame; 0: the default
}

func (c *messages) SetCloseCode(code uint16) { c.code = code }

func (c *messages) Messages() bool { return true }

func (c *messages) Queue(p []byte) error { c.sent = append(c.sent, string(p)); return nil }

func (c *messages) QueueMessages(p []byte, ends []int, _ bool) error {
	begin := 0
	for _, end := range ends {
		_ = c.Queue(p[begin:end])
		begin = end
	}
	return nil
}

// unrouted is a router for streams that do not bind a resource.
type unrouted struct{ Router }

func (unrouted) PreAuthIQ(parser.Element) bool { return false }

const (
	framingOpen  = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
	framingClose = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"
)

// TestMessages: with messages, the stream has the elements of [RFC 7395 section 3]. Each
// header, stanza, error and end is a message; features and errors declare their prefix; there
// is no STARTTLS. It does not matter how messages are split into parts.
//
// [RFC 7395 section 3]: https://www.rfc-editor.org/rfc/rfc7395#section-3
func TestMessages(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Router: unrouted{}, AllowPlaintext: true, TLS: func(string) *tls.Config { return nil }})
	defer m.Close()
	m.AddFeatures(Feature{When: func(*Session) bool { return true }, Offer: func(s *Session, b []byte) []byte {
		return fmt.Appendf(b, "<more type='%s'/>", s.Type())
	}})
	id := regexp.MustCompile(" id='[0-9a-f]{32}'")
	const (
		open  = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' ID from='localhost' version='1.0' xml:lang='en'/>"
		start = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
		end   = "</stream:features>"
		shut  = framingClose
	)
	f := func(desc string, prepare func(*Session), input []string, want ...string) {
		t.Helper()
		for _, size := range []int{1 << 20, 1, 2, 7} {
			c := new(messages)
			s := m.New(c)
			if prepare != nil {
				prepare(s)
			}
			m.EndTurn(0) // the budget of a turn must not end within the input
			for _, message := range input {
				p := []byte(message)
				for ; len(p) > size; p = p[size:] {
					s.Message(0, p[:size], false)
				}
				if size == 7 { // the last part may be empty
					s.Message(0, p, false)
					p = nil
				}
				s.Message(0, p, true)
			}
			var got []string
			for _, x := range c.sent {
				got = append(got, id.ReplaceAllString(x, " ID"))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, in parts of %d: sent\n%s\nwant\n%s", desc, size, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	e := func(condition, text string) string {
		if text != "" {
			text = "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>" + text + "</text>"
		}
		return "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" + text + "</stream:error>"
	}
	in := func(messages ...string) []string { return messages }
	before := start + string(m.New(new(messages)).appendFeatures(nil)) + end
	if !strings.Contains(before, "<mechanism>") || !strings.Contains(before, "<more type='c2s_unauthed'/>") || strings.Contains(before, "starttls") {
		t.Errorf("the features are %s", before)
	}
	const noRoot, second = "a message ends before its element is complete", "a message has more than one element"
	f("a stream", nil, in(framingOpen), open, before)
	f("with an XML declaration", nil, in("<?xml version='1.0'?>"+framingOpen+"\n"), open, before)
	f("a stream that its client closes", nil, in(framingOpen, framingClose), open, before, shut)
	f("an error", nil, in(framingOpen, "<message xmlns='jabber:client'/>"), open, before, e("not-authorized", ""), shut)
	f("another domain", nil, in(strings.Replace(framingOpen, "localhost", "elsewhere.example", 1)), open, e("host-unknown", ""), shut)
	f("the header of RFC 6120", nil, in("<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"),
		open, e("not-well-formed", noRoot), shut)
	f("a stanza first", nil, in("<message xmlns='jabber:client'/>"), open, e("bad-format", ""), shut)
	f("an end first", nil, in(framingClose), open, e("bad-format", ""), shut)
	f("a header of another namespace", nil, in("<open xmlns='urn:test' to='localhost' version='1.0'/>"), open, e("invalid-namespace", ""), shut)
	f("an end of another namespace", nil, in(framingOpen, "<close xmlns='urn:test'/>"), open, before, e("invalid-namespace", ""), shut)
	f("a second header of another namespace", nil, in(framingOpen, "<open/>"), open, before, e("invalid-namespace", ""), shut)
	f("a second header", nil, in(framingOpen, framingOpen), open, before, e("not-authorized", ""), shut)
	f("nothing", nil, in(framingOpen, ""), open, before, e("not-well-formed", noRoot), shut)
	f("half an element", nil, in(framingOpen, "<auth"), open, before, e("not-well-formed", noRoot), shut)
	f("two elements", nil, in(framingOpen, framingClose+framingClose), open, before, shut)
	f("two elements at first", nil, in(framingOpen+framingOpen), open, before, e("not-well-formed", second), shut)
	f("white space", nil, in(framingOpen, " "), open, before, e("bad-format", "white space is not allowed between these elements"), shut)
	f("STARTTLS", nil, in(framingOpen, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), open, before,
		"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", shut)
	f("messages after the end", nil, in(framingOpen, framingClose, "<message/>", ""), open, before, shut)
	f("an authenticated stream", func(s *Session) {
		s.jid = jid.MustParse("romeo@localhost").Compact()
		s.set(flagAuthed)
	}, in(framingOpen), open, start+"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>"+
		"<more type='c2s'/>"+end)
}

// TestCloseCodes: the close frame after a stream error has the code of [RFC 6455 section
// 7.4.1] that says the same, if there is one.
//
// [RFC 6455 section 7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
func TestCloseCodes(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Router: unrouted{}, AllowPlaintext: true})
	defer m.Close()
	check := func(desc string, end func(*Session), condition string, want uint16) {
		t.Helper()
		c := new(messages)
		s := m.New(c)
		m.EndTurn(0)
		s.Message(0, []byte(framingOpen), true)
		end(s)
		if sent := strings.Join(c.sent, ""); condition != "" && !strings.Contains(sent, "<"+condition+" ") || !strings.HasSuffix(sent, framingClose) {
			t.Errorf("%s: sent %s, want the error %q and the end", desc, sent, condition)
		}
		if c.code != want {
			t.Errorf("%s: code %d, want %d", desc, c.code, want)
		}
	}
	f := func(message, condition string, want uint16) {
		t.Helper()
		check(message[:min(len(message), 30)], func(s *Session) { s.Message(0, []byte(message), true) }, condition, want)
	}
	f("<a>\xff</a>", "unsupported-encoding", 1007)
	f("<?xml version='1.0' encoding='iso-8859-1'?><a/>", "unsupported-encoding", 1007)
	f("<auth a='"+strings.Repeat("a", 1<<20)+"'/>", "policy-violation", 1009)
	f(strings.Repeat("<a>", 1000), "policy-violation", 1008) // too deep
	f("<a", "not-well-formed", 1000)
	f("<message xmlns='jabber:client'/>", "not-authorized", 1000)
	f(framingClose, "", 0)
	for e, want := range map[*StreamError]uint16{
		ErrSystemShutdown: 1001, ErrSystemShutdown.WithText("until tomorrow"): 1001, ErrInternal: 1011, ErrPolicyViolation: 1008,
		ErrConflict: 1000, SeeOtherHost("example.net"): 1000, nil: 0,
	} {
		condition := ""
		if e != nil {
			condition = e.Condition
		}
		check(condition, func(s *Session) { s.end(m.turns[0], e) }, condition, want)
	}
}

// TestBatchOfMessages: stanzas that are one write on a stream are separate messages.
func TestBatchOfMessages(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Router: unrouted{}})
	defer m.Close()
	c := new(messages)
	s := m.New(c)
	if !s.SendBatch(m.turns[0], []byte("<iq id='1'/><iq id='23'/>"), []int{12, 25}) {
		t.Fatal("not sent")
	}
	if want := []string{"<iq id='1'/>", "<iq id='23'/>"}; !slices.Equal(c.sent, want) {
		t.Errorf("%q, want %q", c.sent, want)
	}
}

// TestDeclareNamespace: stanzas get a declaration unless they have one, other units do not.
func TestDeclareNamespace(t *testing.T) {
	f := func(unit, want string) {
		t.Helper()
		at, declaration := DeclareNamespace([]byte(unit))
		if got := unit[:at] + declaration + unit[at:]; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", unit, got, want)
		}
	}
	const ns = " xmlns='jabber:client'"
	f("<message/>", "<message"+ns+"/>")
	f("<presence from='a@b'/>", "<presence"+ns+" from='a@b'/>")
	f("<iq><query xmlns='urn:x'/></iq>", "<iq"+ns+"><query xmlns='urn:x'/></iq>")
	f("<message id='xmlns=' from=\"'>\" a:xmlns='urn:y'>x='</message>", "<message"+ns+" id='xmlns=' from=\"'>\" a:xmlns='urn:y'>x='</message>")
	f("<message id='>'\n xmlns = 'jabber:client' to='x'/>", "<message id='>'\n xmlns = 'jabber:client' to='x'/>")
	f("<message xmlns:a='b'/>", "<message"+ns+" xmlns:a='b'/>")
	f("<open xmlns='urn:x'/>", "<open xmlns='urn:x'/>")
	f("<r xmlns='urn:xmpp:sm:3'/>", "<r xmlns='urn:xmpp:sm:3'/>")
	for _, cut := range []string{"<message a", "<message a=", "<message a='", "<message", "<iq "} { // not written by this server
		DeclareNamespace([]byte(cut))
	}
}
