package session

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"roost/jid"
	"roost/parser"
)

// messages is a connection with its own framing, whose unit is the message. It records each
// call of Queue separately.
type messages struct {
	NoConn
	sent []string
}

func (c *messages) Queue(p []byte) error { c.sent = append(c.sent, string(p)); return nil }
func (c *messages) Framing() *Framing {
	return &Framing{
		Open: "<open xmlns='urn:test'", OpenEnd: "/>", Close: "<close xmlns='urn:test'/>",
		Features: "<stream:features xmlns:stream='urn:test:stream'>", Error: "<stream:error xmlns:stream='urn:test:stream'>",
	}
}

// unrouted is a router for streams that do not bind a resource.
type unrouted struct{ Router }

func (unrouted) PreAuthIQ(parser.Element) bool { return false }

// TestFraming: the connection's framing writes the start and the end of the stream, and
// what surrounds features and stream errors. Each is a separate unit ([RFC 7395 section
// 3.3.3]: a message is one complete element).
//
// [RFC 7395 section 3.3.3]: https://www.rfc-editor.org/rfc/rfc7395#section-3.3.3
func TestFraming(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Router: unrouted{}, AllowPlaintext: true})
	defer m.Close()
	m.AddFeatures(Feature{When: func(*Session) bool { return true }, Offer: func(s *Session, b []byte) []byte {
		return fmt.Appendf(b, "<more type='%s'/>", s.Type())
	}})
	const header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	id := regexp.MustCompile(" id='[0-9a-f]{32}'")
	f := func(desc string, prepare func(*Session), input string, want ...string) {
		t.Helper()
		c := new(messages)
		s := m.New(c)
		if prepare != nil {
			prepare(s)
		}
		s.Data(0, []byte(input))
		var got []string
		for _, x := range c.sent {
			got = append(got, id.ReplaceAllString(x, " ID"))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: sent\n%s\nwant\n%s", desc, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	const (
		open  = "<open xmlns='urn:test' ID from='localhost' version='1.0' xml:lang='en'/>"
		close = "<close xmlns='urn:test'/>"
		start = "<stream:features xmlns:stream='urn:test:stream'>"
		end   = "</stream:features>"
	)
	e := func(condition string) string {
		return "<stream:error xmlns:stream='urn:test:stream'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
	}
	before := start + string(m.New(NoConn{}).appendFeatures(nil)) + end
	if !strings.Contains(before, "<mechanism>") || !strings.Contains(before, "<more type='c2s_unauthed'/>") {
		t.Errorf("the features are %s", before)
	}
	f("a stream", nil, header, open, before)
	f("a stream that its client closes", nil, header+"</stream:stream>", open, before, close)
	f("an error", nil, header+"<message/>", open, before, e("not-authorized"), close)
	f("another domain", nil, strings.Replace(header, "localhost", "elsewhere.example", 1), open, e("host-unknown"), close)
	f("an error before the header", nil, "<a></b>", open, e("bad-format"), close)
	f("an authenticated stream", func(s *Session) {
		s.jid = jid.MustParse("romeo@localhost").Compact()
		s.set(flagAuthed)
	}, header, open, start+"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>"+
		"<more type='c2s'/>"+end)
}
