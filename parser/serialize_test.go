package parser

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
)

// elsewhere is the header of another client's stream, which declares none of the
// namespaces of testHeader.
const elsewhere = "<other:stream xmlns='jabber:client' xmlns:other='http://etherx.jabber.org/streams'>"

// checkRoundTrip checks all output forms of the elements of d.
func checkRoundTrip(t *testing.T, s *Scratch, d *Tape) {
	t.Helper()
	var each func(e Element)
	each = func(e Element) {
		var want strings.Builder
		walk(&want, e)
		out := e.AppendXML(nil)
		checkElsewhere(t, s, string(out), want.String())
		checkElsewhere(t, s, string(e.appendPrefixed(nil)), want.String())
		if most := 2*len(e.Raw()) + minBudget + 2*maxContext; len(out) > most && !d.Canonical() {
			t.Fatalf("%q is written with %d bytes", e.Raw(), len(out))
		}
		for c := e.First(); c.OK(); c = c.Next() {
			each(c)
		}
	}
	each(d.Root())
	if !d.Canonical() {
		return
	}
	var want strings.Builder
	walk(&want, d.Root())
	root := d.Root().start()
	out := append([]byte("<"), d.name(root)...)
	d.Inherited(func(prefix, uri []byte) { out = appendDecl(out, prefix, uri) })
	checkElsewhere(t, s, string(append(out, d.Raw()[1+root.NameLen:]...)), want.String())
}

// checkElsewhere parses out in another stream, between two other stanzas, with the parser
// and with encoding/xml.
func checkElsewhere(t *testing.T, s *Scratch, out, want string) {
	t.Helper()
	stream := elsewhere + "<before/>" + out + "<behind/></other:stream>"
	const c, st = "{jabber:client}", "{http://etherx.jabber.org/streams}"
	want = "<" + st + "stream<" + c + "before>" + want + "<" + c + "behind>>"
	if got, e := events(s, []byte(stream)); e != nil || got != want {
		t.Fatalf("%q: %v\n%s\nwant\n%s", out, e, got, want)
	}
	if got, err := xmlEvents([]byte(stream)); err != nil && !older(err) || err == nil && got != want {
		t.Fatalf("%q: %v\nencoding/xml:\n%s\nwant\n%s", out, err, got, want)
	}
}

// TestRoundTrip: accepted samples have the same meaning in another stream.
func TestRoundTrip(t *testing.T) {
	s, again := NewScratch(Limits{}), NewScratch(Limits{})
	for _, sample := range append(samples,
		"<x:message x:a='1'><x:b xmlns:x='other' x:c=''/><x:d/></x:message>",
		"<m xmlns='urn:a'><n><o xmlns=''><p/></o></n></m>",
		"<x:m xmlns='urn:a'><n/><x:n><o/></x:n></x:m>",
		"<m xmlns:p='u' xmlns:q='v'><p:n q:a=''><p:o xmlns:p='w' p:b=''/><q:r/></p:n></m>",
		"<m xmlns:p='a&apos;b&lt;c&#62;&quot;&#10;'><n><p:o/></n></m>",
		"<m xmlns='a&apos;/&gt;&lt;evil/&gt;'><n/></m>",
		"<m><n xmlns='u'><x:p><q/></x:p></n></m>", "<x:m><n/></x:m>", "<xml:m xml:a=''><n><xml:o><p/></xml:o></n></xml:m>", "<stream:m xml:lang='x'><n xml:space='preserve'/></stream:m>",
		"<m xmlns:x='jabber:client'><x:n x:a=''/></m>",
		"<m a='&lt;/m>&lt;evil/>' b='\"' c=\"'\">&lt;/m>&lt;evil/><![CDATA[</m><evil/>]]></m>",
	) {
		var p Parser
		for data := []byte(testHeader + sample); len(data) > 0; {
			ev, n, err := p.Next(s, data)
			if err != nil {
				break
			}
			if data = data[n:]; ev == Stanza {
				checkRoundTrip(t, again, s.Tape())
			}
		}
		p.Free(s)
	}
}

// TestOtherDefault: a different default namespace of the stream is detected.
func TestOtherDefault(t *testing.T) {
	s := NewScratch(Limits{})
	f := func(header, stanza string, canonical bool, want string) {
		t.Helper()
		var p Parser
		data := []byte(header + stanza)
		_, n, err := p.Next(s, data)
		if err != nil {
			t.Fatal(err)
		}
		if ev, _, err := p.Next(s, data[n:]); ev != Stanza || err != nil {
			t.Fatal(ev, err)
		}
		d := s.Tape()
		if d.Canonical() != canonical {
			t.Errorf("%s: Canonical is %v", stanza, !canonical)
		}
		if got := string(d.Root().AppendXML(nil)); got != want {
			t.Errorf("%s is written as\n%s, want\n%s", stanza, got, want)
		}
	}
	f("<s xmlns='jabber:client'>", "<m/>", true, "<m/>")
	f("<s xmlns='jabber:client'>", "<m xmlns='jabber:client'/>", true, "<m/>")
	f("<s xmlns='jabber:client'>", "<m xmlns='u'/>", false, "<m xmlns='u'/>")
	f("<s xmlns='jabber:client'>", "<m xmlns=''/>", false, "<m xmlns=''/>")
	f("<s xmlns='u'>", "<m/>", false, "<m xmlns='u'/>")
	f("<s xmlns='u'>", "<m xmlns='jabber:&#99;lient'/>", true, "<m/>")
	f("<s>", "<m/>", false, "<m xmlns=''/>")
	f("<s xmlns:p='jabber:client'>", "<p:m><n/></p:m>", false, "<m><n xmlns=''/></m>")
	f("<s xmlns='u' xmlns:p='v'>", "<p:m p:a='' a='' p:b='&lt;'><n/>x<p:o></p:o ><![CDATA[y]]></p:m>", false,
		"<m xmlns='v' xmlns:p='v' p:a='' a='' p:b='&lt;'><n xmlns='u'/>x<o></o><![CDATA[y]]></m>")
	f("<s xmlns='jabber:client'>", "<c:m xmlns:c='jabber:client' xmlns='evil'><body/></c:m>", false, "<m><body xmlns='evil'/></m>")
	// One namespace, alternately declared as the default and for a prefix.
	f("<s xmlns='jabber:client'>", "<m><a xmlns='u' xmlns:p='u'><p:b><c/><p:d xmlns='v'><e/><p:f/></p:d></p:b></a></m>", true,
		"<m><a xmlns='u'><b><c/><d><e xmlns='v'/><f/></d></b></a></m>")
	f("<s xmlns='jabber:client' xmlns:p='v' xmlns:q='v'>", "<p:m><q:n><p:o/><r/></q:n></p:m>", false, "<m xmlns='v'><n><o/><r xmlns='jabber:client'/></n></m>")
	// If the output would grow without limit, prefixes are kept.
	uri := strings.Repeat("u", 1500)
	many := strings.Repeat("<p:n/>", 100)
	f("<s xmlns='jabber:client' xmlns:p='"+uri+"'>", "<m>"+many+"</m>", true, "<m xmlns:p='"+uri+"'>"+many+"</m>")
	many = strings.Repeat("<n/>", 100)
	f("<s xmlns='"+uri+"' xmlns:p='v'>", "<p:m>"+many+"</p:m>", false, "<p:m xmlns='"+uri+"' xmlns:p='v'>"+many+"</p:m>")
}

// TestAppendEscaped: a parser reads any escaped text unchanged, as text and as an
// attribute value in either kind of quotes.
func TestAppendEscaped(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(AppendEscaped([]byte("x"), in)); got != "x"+want {
			t.Errorf("%q: %q, want %q", in, got, "x"+want)
		}
		if got := string(AppendEscaped(nil, []byte(in))); got != want {
			t.Errorf("%q as bytes: %q, want %q", in, got, want)
		}
		meant := readBack(t, want)
		if clean := strings.ToValidUTF8(in, "\uFFFD"); strings.Count(clean, "\uFFFD") == strings.Count(in, "\uFFFD") && !strings.Contains(want, "\uFFFD") && meant != in {
			t.Errorf("%q is read back as %q", in, meant)
		}
	}
	f("", "")
	f("plain", "plain")
	f(`&<>"'`, "&amp;&lt;&gt;&quot;&apos;")
	f("a\tb\nc\rd\r\n", "a&#9;b&#10;c&#13;d&#13;&#10;")
	f("]]>", "]]&gt;")
	f("'/><evil a='", "&apos;/&gt;&lt;evil a=&apos;")
	f("é世🌍\uFFFD", "é世🌍\uFFFD")
	f("\x00\x01\x1f\x7f", "\uFFFD\uFFFD\uFFFD\x7f")
	f("a\xffb\xc3", "a\uFFFDb\uFFFD")
	f("\xed\xa0\x80\uFFFE\uFFFF", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD")
	f("\xc3<\xe2\x82<", "\uFFFD&lt;\uFFFD\uFFFD&lt;")
}

// readBack reads escaped text with the parser and with encoding/xml, as text and as
// attribute values.
func readBack(t *testing.T, escaped string) string {
	t.Helper()
	stanza := fmt.Sprintf("<m a='%s' b=\"%s\">%s</m>", escaped, escaped, escaped)
	s := NewScratch(Limits{})
	var p Parser
	p.Next(s, []byte("<s>"))
	if ev, n, err := p.Next(s, []byte(stanza)); ev != Stanza || n != len(stanza) || err != nil {
		t.Fatalf("%q: event %d, %d bytes, %v", stanza, ev, n, err)
	}
	e := s.Tape().Root()
	text := string(e.AppendText(nil))
	if a, b := string(e.Attr("a")), string(e.Attr("b")); a != text || b != text {
		t.Errorf("%q: values %q and %q, text %q", escaped, a, b, text)
	}
	var x struct {
		A    string `xml:"a,attr"`
		Text string `xml:",chardata"`
	}
	if err := xml.NewDecoder(bytes.NewReader([]byte(stanza))).Decode(&x); err != nil || x.A != text || x.Text != text {
		t.Errorf("%q: encoding/xml has %q and %q, %v", escaped, x.A, x.Text, err)
	}
	return text
}

// FuzzEscape: any escaped string is one text and one attribute value.
func FuzzEscape(f *testing.F) {
	for _, h := range hostileBytes {
		f.Add("x" + h + "y")
	}
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 1000 {
			return
		}
		readBack(t, string(AppendEscaped(nil, in)))
	})
}
