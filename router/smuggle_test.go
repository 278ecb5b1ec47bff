package router_test

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/internal/xmpptest"
)

// rawClient sends bytes unmodified, and keeps everything that it receives.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	got  string
	used int
}

// hostileHeader makes more declarations than other clients' headers.
const hostileHeader = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'" +
	" xmlns:x='urn:inherited' xmlns:quot=\"a'b&quot;c&lt;d>e&amp;f\" xmlns:client='jabber:client' xmlns:nl='a&#10;b'>"

const plainHeader = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// loginRaw logs in with the given header, as the resource "r".
func loginRaw(t testing.TB, s *xmpptest.Server, user, header string) *rawClient {
	t.Helper()
	return loginAs(t, s, user, "r", header)
}

func dialRaw(t testing.TB, s *xmpptest.Server) *rawClient {
	t.Helper()
	conn, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &rawClient{t: t, conn: conn}
}

func loginAs(t testing.TB, s *xmpptest.Server, user, resource, header string) *rawClient {
	t.Helper()
	c := dialRaw(t, s)
	authenticate(c, user, header)
	c.say("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "</iq>")
	return c
}

// authenticate opens streams up to the point where a resource may be bound.
func authenticate(c *rawClient, user, header string) {
	c.t.Helper()
	c.say(header, "</stream:features>")
	c.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00secret"))+"</auth>", "<success")
	c.got, c.used = "", 0 // a new stream begins
	c.say(header, "</stream:features>")
}

// say sends text and waits until want is received after what was received before.
func (c *rawClient) say(text, want string) {
	c.t.Helper()
	c.write(text)
	c.await(want)
}

func (c *rawClient) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawClient) await(want string) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	buf := make([]byte, 16<<10)
	for {
		if i := strings.Index(c.got[c.used:], want); i >= 0 {
			c.used += i + len(want)
			return
		}
		n, err := c.conn.Read(buf)
		c.got += string(buf[:n])
		if err != nil {
			c.t.Fatalf("%v before %q was received; have %q", err, want, c.got)
		}
	}
}

// meaning parses a stream with encoding/xml and describes each first-level element by
// expanded names, attributes and text. The end of the input within the stream is not an
// error; anything else is.
func meaning(t *testing.T, stream string) (elements []string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(stream))
	var out strings.Builder
	depth := 0
	for {
		tok, err := dec.Token()
		var syntax *xml.SyntaxError
		if err == io.EOF || errors.As(err, &syntax) && syntax.Msg == "unexpected EOF" && depth == 1 {
			return elements
		} else if err != nil {
			t.Fatalf("%v in %q", err, stream)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth++; depth > 1 {
				fmt.Fprintf(&out, "<{%s}%s%s>", tok.Name.Space, tok.Name.Local, attrsOf(tok, depth == 2))
			}
		case xml.CharData:
			if depth > 1 {
				fmt.Fprintf(&out, "%s|", tok)
			} else if strings.TrimSpace(string(tok)) != "" {
				t.Fatalf("text between elements in %q", stream)
			}
		case xml.EndElement:
			if depth--; depth > 0 {
				out.WriteString("</>")
			}
			if depth == 1 {
				elements = append(elements, strings.ReplaceAll(out.String(), "||", "|"))
				out.Reset()
			}
		case xml.ProcInst:
			if depth > 0 {
				t.Fatalf("a processing instruction in %q", stream)
			}
		default:
			t.Fatalf("%T in %q", tok, stream)
		}
	}
}

// attrsOf lists attributes by expanded name, at the top level without those that a server
// sets.
func attrsOf(tok xml.StartElement, top bool) string {
	var all []string
	for _, a := range tok.Attr {
		set := top && a.Name.Space == "" && (a.Name.Local == "from" || a.Name.Local == "to")
		if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") && !set {
			all = append(all, fmt.Sprintf(" {%s}%s=%q", a.Name.Space, a.Name.Local, a.Value))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

// hostile are valid children and attributes of a stanza that a careless server would turn
// into something else on another stream: the attribute, then the content.
var hostile = []struct{ attr, content string }{
	{``, `<body>plain</body>`},
	{``, `<x:y/>`}, {``, `<x:y x:a='1' a='2'><x:z xmlns:x='other' x:a=''/><x:y/></x:y>`}, {`x:a='1'`, `<y x:a='2'/>`},
	{``, `<quot:y/>`}, {`quot:a=''`, `<quot:y quot:a='"'/>`}, {``, `<nl:y/>`}, {``, `<client:body>inherited client</client:body>`},
	{`a="it's"`, ``}, {`a='"'`, ``}, {`a="&quot;'"`, ``}, {`a='&apos;/>&lt;message/>'`, ``}, {`a='>'`, ``}, {`a='/>'`, ``}, {`a="]]>"`, ``},
	{"a='line\nfeed'", ``}, {`a='&#10;&#13;&#9;'`, ``}, {`a='&#x27; from=&#x27;juliet@localhost'`, ``}, {`a='&#60;/message>'`, ``},
	{``, `<body>&lt;/message>&lt;message from='juliet@localhost'/></body>`}, {``, `<body>&#60;/body&#62;</body>`}, {``, `<body>]]&gt;</body>`},
	{``, `<body><![CDATA[</body></message><message from='juliet@localhost'/>]]></body>`}, {``, `<body><![CDATA[]]]]><![CDATA[>]]></body>`}, {``, `<body><![CDATA[&lt;&amp;]]></body>`},
	{``, `<body>]]<![CDATA[>]]></body>`}, {``, `<body>a&amp;lt;b</body>`}, {``, `<body>&amp;#60;evil/></body>`},
	{``, `<stream:stream/>`}, {``, `<stream:error><x/></stream:error>`}, {``, `<s xmlns='http://etherx.jabber.org/streams'><features/></s>`},
	{``, `<y xmlns=''><z/></y>`}, {``, `<y xmlns='jabber:client'/>`}, {``, `<y xmlns='jabber:server'><z xmlns='jabber:client'/></y>`}, {``, `<y xmlns="a'b"><z/></y>`},
	{``, `<y xmlns:x='urn:mine'><x:z/></y>`}, {``, `<y xmlns:stream='urn:mine'><stream:stream/></y>`}, {`xmlns:stream='urn:mine'`, `<stream:features/>`},
	{`xmlns:client='urn:mine'`, `<client:body/>`}, {`xml:lang='&lt;&#34;'`, ``}, {``, `<y xml:space='preserve'> </y>`}, {`xmlns:a='u&#34;v'`, `<a:y a:b="'"/>`},
	{"\n\ta\r=\n'1'\n", `<y  />`}, {``, "<body>\ufeff\u2028\u0085</body>"}, {``, `<é:ü xmlns:é='urn:é' é:à='ß'/>`}, {``, `<body>` + strings.Repeat("]", 100) + `</body>`},
	{``, `<y a='` + strings.Repeat("&apos;", 300) + `'/>`}, {`id='&quot;/>'`, ``}, {`id='a&apos;b'`, ``}, {`type="chat"`, "<thread>'\"</thread>"},
}

// TestNoSmuggling: a stanza that one client sends to another arrives as exactly one element
// with the same meaning, whatever its prefixes, quotes and escapes are. RFC 6120 section
// 8.4 (https://www.rfc-editor.org/rfc/rfc6120#section-8.4): unknown content is routed
// unmodified.
func TestNoSmuggling(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", hostileHeader)
	juliet := loginRaw(t, s, "juliet", plainHeader)
	n := 0
	f := func(stanza string) {
		t.Helper()
		n++
		behind := len(meaning(t, juliet.got))
		end := fmt.Sprintf("end-%d", n)
		if _, err := io.WriteString(romeo.conn, stanza+"<message to='juliet@localhost/r' id='"+end+"'/>"); err != nil {
			t.Fatal(err)
		}
		juliet.await(end)
		juliet.await(">")
		got := meaning(t, juliet.got)[behind:]
		want := meaning(t, hostileHeader+stanza)
		if len(got) != 2 || len(want) != 1 || got[0] != want[0] {
			t.Errorf("%s\narrives as %d elements: %q\nwant %q", stanza, len(got)-1, got, want)
		}
	}
	for _, h := range hostile {
		f("<message to='juliet@localhost/r' " + h.attr + ">" + h.content + "</message>")
		if !strings.Contains(h.attr, "xmlns:client") {
			f("<client:message to='juliet@localhost/r' " + h.attr + ">" + h.content + "</client:message>")
		}
		f("<presence to='juliet@localhost/r' " + strings.Replace(h.attr, `type="chat"`, "", 1) + ">" + h.content + "</presence>")
		if !strings.Contains(h.attr, "id=") && !strings.Contains(h.attr, "type=") {
			content := h.content
			if content == "" {
				content = "<y/>"
			}
			f("<iq to='juliet@localhost/r' type='get' id='" + fmt.Sprint("q", n) + "' " + h.attr + ">" + content + "</iq>")
		}
	}
}

// TestNoSmugglingLater: the same for stanzas that were stored while the recipient was
// offline, which get a delay stamp and nothing else.
func TestNoSmugglingLater(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", hostileHeader)
	var want []string
	for _, h := range hostile {
		if strings.Contains(h.content, "type=") {
			continue
		}
		stanza := "<message to='juliet@localhost' type='chat' " + strings.Replace(h.attr, `type="chat"`, "", 1) + "><body>b</body>" + h.content + "</message>"
		if _, err := io.WriteString(romeo.conn, stanza); err != nil {
			t.Fatal(err)
		}
		want = append(want, meaning(t, hostileHeader+stanza)...)
	}
	romeo.say("<iq type='get' id='done' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "done")
	juliet := loginRaw(t, s, "juliet", plainHeader)
	before := len(meaning(t, juliet.got))
	if _, err := io.WriteString(juliet.conn, "<presence/>"); err != nil {
		t.Fatal(err)
	}
	for range want {
		juliet.await("<delay ")
	}
	juliet.say("<iq type='get' id='done' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "done")
	juliet.await(">")
	var got []string
	for _, e := range meaning(t, juliet.got)[before:] {
		if from := strings.Index(e, "<{urn:xmpp:delay}delay"); from >= 0 {
			end := from + strings.Index(e[from:], "</>") + len("</>")
			got = append(got, e[:from]+e[end:])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d messages were stored, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("stored:\n%s\nwant:\n%s", got[i], want[i])
		}
	}
}
