package parser

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
	"unsafe"
)

const testHeader = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:x='urn:example:inherited'>"

// play feeds a stream in pieces and describes all that comes out: events,
// expanded names, attributes, text, and the error.
func play(s *Scratch, pieces ...string) string {
	var p Parser
	defer p.Free(s)
	var out strings.Builder
	for _, piece := range pieces {
		// Memory of its own, spoilt afterwards: nothing lent may be kept.
		data := []byte(piece)
		for rest := data; len(rest) > 0; {
			ev, n, err := p.Next(s, rest)
			if err != nil {
				fmt.Fprintf(&out, "error %s: %s\n", err.(*Error).Condition, err.(*Error).Text)
				return out.String()
			}
			rest = rest[n:]
			describeEvent(&out, s, ev)
		}
		for i := range data {
			data[i] = '!'
		}
	}
	if ev, _, _ := p.Next(s, nil); ev == StreamClose {
		describeEvent(&out, s, ev)
	}
	return out.String()
}

func describeEvent(out *strings.Builder, s *Scratch, ev Event) {
	switch ev {
	case StreamOpen:
		out.WriteString("open ")
		describe(out, s.Doc())
	case Stanza:
		fmt.Fprintf(out, "stanza (%d bytes, canonical %v) ", len(s.Doc().Raw()), s.Doc().Canonical())
		describe(out, s.Doc())
	case StreamClose:
		out.WriteString("close\n")
	}
}

func describe(out *strings.Builder, d *Doc) {
	for i := range d.Tokens() {
		t := &d.Tokens()[i]
		switch t.Kind {
		case Start:
			fmt.Fprintf(out, "<{%s}%s ", d.Space(t), d.local(t))
		case Attr:
			fmt.Fprintf(out, "{%s}%s=%q ", d.Space(t), d.local(t), d.value(t))
		case NS:
			fmt.Fprintf(out, "xmlns:%s=%q ", d.prefixOf(t), d.Space(t))
		case Text:
			fmt.Fprintf(out, "%q ", d.appendText(nil, t))
		case End:
			out.WriteString("/> ")
		}
	}
	out.WriteString("\n")
}

// samples are streams behind testHeader that exercise every state.
var samples = []string{
	"<message to='juliet@example.com' id=\"1\"><body>Art thou not Romeo?</body></message>",
	"  \n<presence/>\t<iq type='get' id='x'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>",
	"<message><body>a &lt; b &amp;&amp; c &gt; d &quot;&apos; &#65;&#x1F600; &#00065;</body></message>",
	"<message><body>Grüße, 世界 🌍</body><subject>Ж</subject></message>",
	"<message><b><![CDATA[<not> & markup ]] ]>]]></b><c><![CDATA[]]></c></message>",
	"<message><x:y x:a='1' a='2' xml:lang='de'><z xmlns='urn:one' xmlns:q='urn:two' q:b='3'><q:w/></z></x:y></message>",
	"<message a='tab\there&#9;nl\n' b='\r\n'>line\r\nend\rmac</message>",
	"<é:ü xmlns:é='urn:accent'/><a.b-c_d/>",
	"<m><n xmlns=''><o/></n><n xmlns='urn:a&amp;b'/></m>",
	"<m>]] ></m><m>]]&gt;</m>",
	"<stream:features><stream:stream/></stream:features>",
	"<m  a = '1'\n\tb\r=\r\"2\"  ></m  >",
	"<m>]]></m>",
	"<m>\x01</m>", "<m a='\x02'/>", "<m>\xff</m>", "<m>\xc3</m>", "<m a='\xed\xa0\x80'/>", "<m>\xef\xbf\xbe</m>",
	"<m>\xf4\x90\x80\x80</m>", "<m>\xc0\xbc</m>", "<\xc3/>",
	"<!-- c -->", "<m><!-- c --></m>", "<?pi?>", "<m><?pi?></m>", "<!DOCTYPE a>", "<m>&nbsp;</m>", "<m>&toolongname;</m>",
	"<m>&#0;</m>", "<m>&#x110000;</m>", "<m>&#4294967356;</m>", "<m>&#xD800;</m>", "<m>&#xFFFE;</m>", "<m>& x</m>", "<m>&;</m>", "<m>&#;</m>", "<m>&#x;</m>", "<m>&#12a;</m>",
	"<m></n>", "<m></mm>", "<mm></m>", "<m a='1' a='2'/>", "<m xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>", "<m a='1'b='2'/>", "<m a=1/>", "<m a/>", "<m a='<'/>", "<m / >",
	"<p:m/>", "<m p:a='1'/>", "<m xmlns:xml='u'/>", "<m xmlns:xmlns='u'/>", "<m xmlns:p='http://www.w3.org/XML/1998/namespace'/>", "<m xmlns='http://www.w3.org/2000/xmlns/'/>", "<m xmlns:p=''/>",
	"<m xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:a='1'/>", "<:m/>", "<m:/>", "<a:b:c/>", "<1m/>", "<m:1/>", "<m -a='1'/>", "< m/>", "<m>text</m>text", "</stream:stream> \n<x/>", "</stream:strea>", "</stream>",
	"<m\xe2\x80\xbf/>", "<\xe2\x80\xbfm/>",
	"<message><body xml:lang='en'>x</body></message>\x00",
}

// TestCuts: one verdict and one token stream, however the bytes are cut: whole,
// byte by byte, in two at every place, in three at many.
func TestCuts(t *testing.T) {
	s := NewScratch(Limits{})
	for _, sample := range samples {
		whole := testHeader + sample
		want := play(s, whole)
		if got := play(s, strings.Split(whole, "")...); !strings.ContainsFunc(sample, func(r rune) bool { return r == 0xFFFD }) && got != want {
			t.Errorf("%q byte by byte:\n%s\nwhole:\n%s", sample, got, want)
		}
		var bytewise []string
		for i := range len(whole) {
			bytewise = append(bytewise, whole[i:i+1])
		}
		if got := play(s, bytewise...); got != want {
			t.Errorf("%q byte by byte:\n%s\nwhole:\n%s", sample, got, want)
		}
		for i := 1; i < len(whole); i++ {
			if got := play(s, whole[:i], whole[i:]); got != want {
				t.Fatalf("%q cut at %d:\n%s\nwhole:\n%s", sample, i, got, want)
			}
			for j := max(i+1, len(testHeader)); j < len(whole); j += 3 {
				if got := play(s, whole[:i], whole[i:j], whole[j:]); got != want {
					t.Fatalf("%q cut at %d and %d:\n%s\nwhole:\n%s", sample, i, j, got, want)
				}
			}
		}
	}
}

// TestConditions: every check answers with its stream error.
func TestConditions(t *testing.T) {
	f := func(stream, condition string) {
		t.Helper()
		got := play(NewScratch(Limits{}), stream)
		if condition == "" {
			if strings.Contains(got, "error") {
				t.Errorf("%q: %s; want no error", stream, got)
			}
			return
		}
		if !strings.Contains(got, "error "+condition+":") {
			t.Errorf("%q: %s; want %s", stream, got, condition)
		}
	}
	in := func(stanza, condition string) {
		t.Helper()
		f(testHeader+stanza, condition)
	}
	// RFC 6120 section 11.1: comments, processing instructions, DTDs and
	// entities, at their first bytes.
	in("<!", "restricted-xml")
	in("<m><!", "")
	in("<!-", "restricted-xml")
	in("<!D", "restricted-xml")
	in("<?", "restricted-xml")
	in("<m><!-", "restricted-xml")
	in("<m>&nbsp;", "restricted-xml")
	in("<?xml version='1.0'?>", "restricted-xml")
	f(" <?xml version='1.0'?>", "restricted-xml")
	f("<!DOCTYPE x>", "restricted-xml")
	f("<!-- -->", "restricted-xml")
	f("<?php x?>", "restricted-xml")
	f("<?xml-stylesheet?>", "restricted-xml")
	// RFC 6120 section 11.6: only UTF-8.
	f("<?xml version='1.0' encoding='ISO-8859-1'?>", "unsupported-encoding")
	f("<?xml version='1.0' encoding='UTF-16'?>", "unsupported-encoding")
	f("<?xml version='1.0' encoding='utf-8'?>"+testHeader[21:], "")
	f("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone='yes' ?>"+testHeader[21:], "")
	f("\xff\xfe<\x00", "unsupported-encoding")
	f("\xfe\xff\x00<", "unsupported-encoding")
	f("\x00<\x00?", "unsupported-encoding")
	f("<\x00?\x00", "not-well-formed")
	f("\xef\xbb\xbf"+testHeader, "")
	f("\xef\xbb\xbe"+testHeader, "unsupported-encoding")
	in("<m>\xc0\x80</m>", "unsupported-encoding")         // overlong
	in("<m>\xe0\x80\xaf</m>", "unsupported-encoding")     // overlong
	in("<m>\xed\xa0\x80</m>", "unsupported-encoding")     // surrogate
	in("<m>\xf4\x90\x80\x80</m>", "unsupported-encoding") // above U+10FFFF
	in("<m>\xe2\x82</m>", "unsupported-encoding")         // a lead byte must not swallow '<'
	in("<m a='\xe2\x82'/>", "unsupported-encoding")       // or a quote
	in("<m>\x80</m>", "unsupported-encoding")             // a lone continuation
	in("<m\xc3>", "unsupported-encoding")
	// XML declarations that are none.
	f("<?xml?>", "restricted-xml")
	f("<?xml ?>", "not-well-formed")
	f("<?xml encoding='utf-8'?>", "not-well-formed")
	f("<?xml version='2.0'?>", "not-well-formed")
	f("<?xml version='1.0' standalone='maybe'?>", "not-well-formed")
	f("<?xml version='1.0' bogus='x'?>", "not-well-formed")
	f("<?xml version='1.0'encoding='utf-8'?>", "not-well-formed")
	// Text between elements.
	in("x", "bad-format")
	in("<m/>x", "bad-format")
	in("&lt;", "bad-format")
	in("</stream:stream> ", "")
	in("</stream:stream><m/>", "bad-format")
	// Not in the header's place either.
	f("x", "not-well-formed")
	f("</stream:stream>", "not-well-formed")
}

// TestLimits: everything that a peer can make grow has a bound, and the
// overflow is policy-violation.
func TestLimits(t *testing.T) {
	l := Limits{MaxStanza: 10000, MaxDepth: 5, MaxAttrs: 8, MaxNamespaces: 8, MaxName: 16}
	f := func(stanza string, ok bool) {
		t.Helper()
		whole := play(NewScratch(l), testHeader+stanza)
		if strings.Contains(whole, "policy-violation") == ok || strings.Contains(whole, "error") == ok {
			t.Errorf("%.60q (%d bytes): %.100s; allowed: %v", stanza, len(stanza), whole[strings.Index(whole, "\n"):], ok)
		}
		var bytewise []string
		for i := range len(stanza) {
			bytewise = append(bytewise, stanza[i:i+1])
		}
		if got := play(NewScratch(l), append([]string{testHeader}, bytewise...)...); got != whole {
			t.Errorf("%.60q byte by byte: %.200s", stanza, got)
		}
	}
	stanza := func(n int) string { return "<m>" + strings.Repeat("x", n-7) + "</m>" }
	f(stanza(9999), true)
	f(stanza(10001), false)
	f(strings.Repeat("<a>", 5)+strings.Repeat("</a>", 5), true)
	f(strings.Repeat("<a>", 6), false)
	attrs := func(n int) (s string) {
		for i := range n {
			s += fmt.Sprintf(" a%d=''", i)
		}
		return "<m" + s + "/>"
	}
	f(attrs(8), true)
	f(attrs(9), false)
	f("<"+strings.Repeat("n", 16)+"/>", true)
	f("<"+strings.Repeat("n", 17)+"/>", false)
	f("<m "+strings.Repeat("n", 17)+"=''/>", false)
	f("<m xmlns:a='1' xmlns:b='1' xmlns:c='1' xmlns:d='1' xmlns:e='1' xmlns:f='1'/>", true)
	f("<m xmlns:a='1' xmlns:b='1' xmlns:c='1' xmlns:d='1' xmlns:e='1' xmlns:f='1' xmlns:g='1'/>", false)
	f("<m "+strings.Repeat("x", 20000), false)
	f("<m a='"+strings.Repeat("x", 20000), false)
}

// TestParserSize: an idle stream's parser is a few bytes and owns no buffer.
func TestParserSize(t *testing.T) {
	if got := unsafe.Sizeof(Parser{}); got > 24 {
		t.Errorf("a Parser takes %d bytes, the budget is 24", got)
	}
	s := NewScratch(Limits{})
	var p Parser
	for data := []byte(testHeader + samples[0] + " \n "); len(data) > 0; {
		_, n, err := p.Next(s, data)
		if err != nil {
			t.Fatal(err)
		}
		data = data[n:]
	}
	if !p.Idle() {
		t.Error("the parser holds a buffer between two stanzas")
	}
}

// TestAllocations: none in the steady state, whole or cut.
func TestAllocations(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	feed := func(data []byte) {
		for len(data) > 0 {
			_, n, err := p.Next(s, data)
			if err != nil {
				t.Fatal(err)
			}
			data = data[n:]
		}
	}
	feed([]byte(testHeader))
	all := []byte(strings.Join(samples[:7], ""))
	all = bytes.ReplaceAll(all, []byte("</stream:stream>"), nil)
	half := len(all) / 2
	if n := testing.AllocsPerRun(100, func() { feed(all) }); n != 0 {
		t.Errorf("whole: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { feed(all[:half]); feed(all[half:]) }); n != 0 {
		t.Errorf("cut: %v allocations", n)
	}
}

// TestTake: a document that was taken outlives the data it came from.
func TestTake(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	if _, _, err := p.Next(s, []byte(testHeader)); err != nil {
		t.Fatal(err)
	}
	data := []byte("<message to='a'><body>x &amp; y</body></message>")
	if ev, _, _ := p.Next(s, data); ev != Stanza {
		t.Fatal("no stanza")
	}
	d := s.Take()
	clear(data)
	if got := string(d.Root().First().AppendText(nil)); got != "x & y" {
		t.Errorf("text is %q after the data is gone", got)
	}
	d.Release()
}

// TestNavigation walks a stanza by the methods of Element.
func TestNavigation(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	p.Next(s, []byte(testHeader))
	p.Next(s, []byte("<iq id='a&amp;b' e=''>t<a/>u<b xmlns='urn:b' xml:lang='de'><c>1</c>2</b><a n='2'/></iq>"))
	iq := s.Doc().Root()
	f := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	f("id", string(iq.Attr("id")), "a&b")
	f("empty", iq.Attr("e") != nil && len(iq.Attr("e")) == 0, true)
	f("absent", iq.Attr("f") == nil, true)
	f("text", string(iq.AppendText(nil)), "tu")
	f("first", string(iq.First().Local()), "a")
	b := iq.Child("urn:b", "b")
	f("lang", string(b.AttrNS("http://www.w3.org/XML/1998/namespace", "lang")), "de")
	f("raw", string(b.Raw()), "<b xmlns='urn:b' xml:lang='de'><c>1</c>2</b>")
	f("inner", string(b.Inner()), "<c>1</c>2")
	f("next", string(b.Next().Attr("n")), "2")
	f("last", b.Next().Next().OK(), false)
	f("root has no sibling", iq.Next().OK(), false)
	f("none", iq.Child("x", "y").First().Next().Attr("z") == nil, true)
	f("grandchild", string(b.First().AppendText(nil)), "1")
	f("space", string(b.First().Space()), "urn:b")
}

// TestForwarding: what AppendXML writes, and raw bytes with the inherited
// prefixes declared, mean to an independent parser what the original meant.
func TestForwarding(t *testing.T) {
	headers := []string{
		testHeader,
		"<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client' xmlns:x='urn:example:inherited' xmlns:stream='http://etherx.jabber.org/streams'>",
	}
	for _, h := range headers {
		for _, sample := range samples[:11] {
			s := NewScratch(Limits{})
			var p Parser
			for data := []byte(h + sample); len(data) > 0; {
				ev, n, err := p.Next(s, data)
				if err != nil {
					break
				}
				data = data[n:]
				if ev != Stanza {
					continue
				}
				d := s.Doc()
				want := tree(t, h+string(d.Raw()))
				if got := tree(t, "<s xmlns='jabber:client'>"+string(d.Root().AppendXML(nil))); got != want {
					t.Errorf("AppendXML of %s:\n%s\nwant\n%s", d.Raw(), got, want)
				}
				if !d.Canonical() {
					continue
				}
				raw := string(d.Raw())
				end := strings.IndexAny(raw, " \n/>")
				decls := ""
				d.Inherited(func(prefix, uri []byte) { decls += fmt.Sprintf(" xmlns:%s='%s'", prefix, uri) })
				if got := tree(t, "<s xmlns='jabber:client'>"+raw[:end]+decls+raw[end:]); got != want {
					t.Errorf("raw forwarding of %s with %s:\n%s\nwant\n%s", raw, decls, got, want)
				}
			}
		}
	}
}

// tree describes all but the first start tag by encoding/xml.
func tree(t *testing.T, stream string) string {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(stream))
	var out strings.Builder
	first, text := true, ""
	flush := func() {
		if text != "" {
			fmt.Fprintf(&out, "%q ", text)
		}
		text = ""
	}
	for {
		tok, err := dec.Token()
		if err != nil {
			if err != io.EOF && !strings.Contains(err.Error(), "unexpected EOF") {
				fmt.Fprintf(&out, "error %v", err)
			}
			flush()
			return out.String()
		}
		switch k := tok.(type) {
		case xml.StartElement:
			if first {
				first = false
				continue
			}
			flush()
			fmt.Fprintf(&out, "<{%s}%s ", k.Name.Space, k.Name.Local)
			for _, a := range k.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					fmt.Fprintf(&out, "{%s}%s=%q ", a.Name.Space, a.Name.Local, strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(a.Value))
				}
			}
		case xml.EndElement:
			flush()
			out.WriteString("/> ")
		case xml.CharData:
			text += string(k)
		}
	}
}
