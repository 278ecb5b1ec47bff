package parser

import (
	"fmt"
	"strings"
	"testing"
)

// parseOne parses one stanza after testHeader.
func parseOne(t *testing.T, stanza string) Element {
	t.Helper()
	s := NewScratch(Limits{})
	var p Parser
	data := []byte(testHeader + stanza)
	for {
		ev, n, err := p.Next(s, data)
		if err != nil {
			t.Fatalf("%q: %v", stanza, err)
		}
		if ev == Stanza {
			return s.Take().Root()
		}
		data = data[n:]
	}
}

// TestElement reads all parts of a stanza.
func TestElement(t *testing.T) {
	e := parseOne(t, "<message to='a&amp;b' id='' xml:lang='de' x:k='v'> one<body>B<i>I</i>ody</body><x:y/> two <![CDATA[<3]]><body xmlns='urn:o'/></message>")
	if !e.OK() || !e.Is("jabber:client", "message") || e.Is("jabber:server", "message") || e.Is("jabber:client", "iq") {
		t.Error("wrong root")
	}
	attr := func(got []byte, want string) {
		t.Helper()
		if got == nil || string(got) != want {
			t.Errorf("attribute is %q, want %q", got, want)
		}
	}
	attr(e.Attr("to"), "a&b")
	attr(e.Attr("id"), "")
	attr(e.AttrNS(uriXML, "lang"), "de")
	attr(e.AttrNS("urn:example:inherited", "k"), "v")
	attr(e.AttrNS("", "to"), "a&b")
	for _, missing := range [][]byte{e.Attr("lang"), e.Attr("k"), e.Attr("from"), e.AttrNS("", "k"), e.AttrNS("u", "to"), e.Attr("xmlns")} {
		if missing != nil {
			t.Errorf("a missing attribute is %q", missing)
		}
	}
	var kids []string
	for c := e.First(); c.OK(); c = c.Next() {
		kids = append(kids, fmt.Sprintf("{%s}%s %s", c.Space(), c.Local(), c.Raw()))
	}
	want := []string{"{jabber:client}body <body>B<i>I</i>ody</body>", "{urn:example:inherited}y <x:y/>", "{urn:o}body <body xmlns='urn:o'/>"}
	if fmt.Sprint(kids) != fmt.Sprint(want) {
		t.Errorf("children are\n%q, want\n%q", kids, want)
	}
	if got := string(e.AppendText(nil)); got != " one two <3" {
		t.Errorf("text is %q", got)
	}
	if got := string(e.Child("jabber:client", "body").AppendText([]byte("> "))); got != "> Body" {
		t.Errorf("the body's text is %q", got)
	}
	if !e.Child("urn:o", "body").OK() || e.Child("urn:o", "y").OK() {
		t.Error("Child ignored the namespace")
	}
	i := e.First().First()
	if !i.Is("jabber:client", "i") || i.Next().OK() || i.First().OK() {
		t.Error("the last element of a level has a sibling, or an empty element has a child")
	}
	if e.Next().OK() {
		t.Error("the root has a sibling")
	}
}

// TestEachAttr lists attributes and declarations.
func TestEachAttr(t *testing.T) {
	e := parseOne(t, "<m a='&lt;' xmlns='u' xmlns:p='v' p:b='2'/>")
	var got []string
	e.EachAttr(func(space, local, raw []byte, isNS bool) {
		got = append(got, fmt.Sprintf("{%s}%s=%s %v", space, local, raw, isNS))
	})
	want := "[{}a=&lt; false {http://www.w3.org/2000/xmlns/}=u true {http://www.w3.org/2000/xmlns/}p=v true {v}b=2 false]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestManyEscapedNamespaces: each of many declarations with references is unescaped once,
// in any order of access.
func TestManyEscapedNamespaces(t *testing.T) {
	var b strings.Builder
	const n = 500
	for i := range n {
		fmt.Fprintf(&b, "<e xmlns='urn:&#x6e;amespace:%d'/>", i)
	}
	e := parseOne(t, "<m>"+b.String()+"</m>")
	for range 3 {
		i := 0
		for c := e.First(); c.OK(); c = c.Next() {
			if !c.Is(fmt.Sprintf("urn:namespace:%d", i), "e") {
				t.Fatalf("element %d has namespace %q", i, c.Space())
			}
			i++
		}
		if i != n {
			t.Fatalf("%d elements, want %d", i, n)
		}
	}
	if got := len(e.d.text); got > n*len("urn:namespace:500") {
		t.Errorf("%d bytes of unescaped text", got)
	}
}

// TestHeaderNamespaces: references in the namespaces of a header are unescaped, also
// after its context was created.
func TestHeaderNamespaces(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	data := []byte("<s:stream xmlns:s='urn:&#x61;' xmlns='urn:&#x62;' xmlns:c='urn:&#x61;b' c:x=''><m/><s:n/>")
	_, n, err := p.Next(s, data)
	if err != nil {
		t.Fatal(err)
	}
	e := s.Tape().Root()
	if !e.Is("urn:a", "stream") || string(e.DeclaredDefault()) != "urn:b" || e.AttrNS("urn:ab", "x") == nil {
		t.Errorf("the header's namespaces are %q and %q", e.Space(), e.DeclaredDefault())
	}
	for _, want := range []string{"urn:b", "urn:a"} {
		_, k, err := p.Next(s, data[n:])
		if n += k; err != nil || string(s.Tape().Root().Space()) != want {
			t.Errorf("%v; a stanza's namespace is %q, want %q", err, s.Tape().Root().Space(), want)
		}
	}
}

// TestDeclaredDefault: the default namespace that a start tag declares, not the one in
// scope.
func TestDeclaredDefault(t *testing.T) {
	f := func(stanza, want string, declared bool) {
		t.Helper()
		if got := parseOne(t, stanza).DeclaredDefault(); string(got) != want || (got != nil) != declared {
			t.Errorf("%s: %q, want %q, declared: %v", stanza, got, want, declared)
		}
	}
	f("<m a='' xmlns:p='v'/>", "", false)
	f("<m><n xmlns='u'/></m>", "", false)
	f("<m a='' xmlns='urn:&#x61;'/>", "urn:a", true)
	f("<m xmlns:p='v' xmlns=''/>", "", true)
}

// TestZeroElement: all methods are safe on the zero Element.
func TestZeroElement(t *testing.T) {
	var e Element
	e.EachAttr(func(_, _, _ []byte, _ bool) { t.Error("an attribute") })
	if e.OK() || e.Is("", "") || e.First().OK() || e.Next().OK() || e.Child("", "").OK() || e.Local() != nil || e.Space() != nil || e.Attr("a") != nil ||
		e.AttrNS("a", "b") != nil || e.Raw() != nil || e.DeclaredDefault() != nil || e.AppendText(nil) != nil || e.AppendXML(nil) != nil {
		t.Error("the zero Element is not empty")
	}
	if new(Tape).Root().OK() || new(Tape).Canonical() {
		t.Error("an empty Tape has an element")
	}
}

// TestHeaderTape: the tape of a header contains a start tag.
func TestHeaderTape(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	data := []byte(testHeader + "<m/>")
	for ev := None; ev != StreamOpen; {
		var n int
		ev, n, _ = p.Next(s, data)
		data = data[n:]
	}
	e := s.Tape().Root()
	if !e.Is("http://etherx.jabber.org/streams", "stream") || string(e.Attr("to")) != "localhost" || e.First().OK() || len(e.AppendText(nil)) != 0 {
		t.Error("wrong header")
	}
	if got := string(e.Raw()); "<?xml version='1.0'?>"+got != testHeader || string(s.Tape().Raw()) != got {
		t.Errorf("its bytes are %q", got)
	}
}

// TestEscapedNamespace: a namespace written with references is the same namespace, and is
// unescaped once however many names use it.
func TestEscapedNamespace(t *testing.T) {
	e := parseOne(t, "<m><q xmlns='jabber:iq:&#114;oster'>"+strings.Repeat("<item/>", 100)+"</q></m>")
	q := e.Child("jabber:iq:roster", "q")
	n := 0
	for c := q.First(); c.OK() && c.Is("jabber:iq:roster", "item"); c = c.Next() {
		n++
	}
	if n != 100 {
		t.Errorf("%d items, want 100", n)
	}
	if got := len(e.d.text); got > 2*len("jabber:iq:roster") {
		t.Errorf("%d bytes of unescaped text", got)
	}
}
