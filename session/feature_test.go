package session_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/parser"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

// TestFeature: an extension's feature is offered when its functions say so, and handles
// first-level elements and iqs of its namespace. When it is not available, such an element
// ends the stream as any unknown one does.
func TestFeature(t *testing.T) {
	echo := func(t *session.Turn, s *session.Session, el parser.Element, rest []byte) bool {
		if string(el.Local()) == "unknown" {
			return false
		}
		b := append(t.GetBuf(), "<heard xmlns='urn:test:a' type='"...)
		b = append(b, s.Type()...)
		b = append(b, "'>"...)
		b = append(b, el.Local()...)
		b = append(b, "</heard>"...)
		s.SendBytes(t, b)
		t.PutBuf(b)
		return true
	}
	s := xmpptest.NewServer(t, xmpptest.Config{Router: router.Config{Extensions: []router.Extension{{
		Name: "test", Title: "a test",
		Features: []session.Feature{
			{XML: "<a xmlns='urn:test:a'/>", Space: "urn:test:a", Element: echo},
			{
				When:     (*session.Session).MayLogIn,
				XML:      "<b xmlns='urn:test:b'/>",
				Required: func(*session.Session) bool { return true },
				Space:    "urn:test:b",
				Element:  echo,
			},
			{
				When:  func(s *session.Session) bool { return s.Type() == session.C2SUnauthed || s.Bound() },
				Offer: func(_ *session.Session, b []byte) []byte { return append(b, "<c xmlns='urn:test:c'/>"...) },
				Space: "urn:test:c",
				Set: func(t *session.Turn, s *session.Session, st *stanza.Stanza) bool {
					if !st.Payload().Is("urn:test:c", "c") {
						return false
					}
					b := stanza.AppendResult(t.GetBuf(), st, s.FullJID())
					s.SendBytes(t, b)
					t.PutBuf(b)
					return true
				},
			},
		},
	}}}})
	offers := func(desc, got, want string) {
		t.Helper()
		for _, x := range []string{"a", "b", "c"} {
			if has := strings.Contains(got, "<"+x+" xmlns='urn:test:"+x+"'/>"); has != strings.Contains(want, x) {
				t.Errorf("%s: got %s, want the features %q", desc, got, want)
			}
		}
	}
	ends := func(c *saslClient, send, condition string) {
		t.Helper()
		if got := c.ask(send, "</stream:stream>"); !strings.Contains(got, "<"+condition+" ") {
			t.Errorf("%s: got %s, want %s", send, got, condition)
		}
	}
	dialled := func() (*saslClient, string) {
		c := &saslClient{fuzzClient: fuzzClient{t, dial(t, s)}}
		return c, c.ask(openStream, "</stream:features>")
	}
	c, features := dialled()
	offers("before the login", features, "b") // c is after a required feature
	c.ask("<x xmlns='urn:test:b'/>", "<heard xmlns='urn:test:a' type='c2s_unauthed'>x</heard>")
	ends(c, "<unknown xmlns='urn:test:b'/>", "not-authorized")
	c, _ = dialled()
	ends(c, "<x xmlns='urn:test:a'/>", "not-authorized")
	c, _ = dialled()
	ends(c, "<iq type='set' id='1'><c xmlns='urn:test:c'/></iq>", "not-authorized")

	c, _ = dialled()
	c.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>", "<success")
	offers("after the login", c.ask(openStream, "</stream:features>"), "a")
	c.ask("<x xmlns='urn:test:a'/>", "<heard xmlns='urn:test:a' type='c2s'>x</heard>")
	const set = "<iq type='set' id='1'><c xmlns='urn:test:c'/></iq>"
	if got := c.ask(set, "</iq>"); !strings.Contains(got, "service-unavailable") {
		t.Errorf("%s before binding: got %s", set, got)
	}
	c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "</iq>")
	if got := c.ask(set, "/>"); !strings.Contains(got, "type='result'") || !strings.Contains(got, "id='1'") {
		t.Errorf("%s: got %s", set, got)
	}
	if got := c.ask("<iq type='set' id='2'><other xmlns='urn:test:c'/></iq>", "</iq>"); !strings.Contains(got, "service-unavailable") {
		t.Errorf("an iq that the feature does not handle: got %s", got)
	}
	ends(c, "<x xmlns='urn:test:b'/>", "unsupported-stanza-type")
}
