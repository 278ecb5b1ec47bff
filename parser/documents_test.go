package parser

import (
	"fmt"
	"strings"
	"testing"
)

// playDocuments passes documents to the parser, each in pieces made by cut, and describes
// the output.
func playDocuments(s *Scratch, docs []string, cut func(string) []string) string {
	var p Parser
	p.Documents()
	defer p.Free(s)
	var out strings.Builder
	for _, doc := range docs {
		for _, piece := range cut(doc) {
			if !playPiece(&out, &p, s, []byte(piece)) {
				return out.String()
			}
		}
		if err := p.EndDocument(s); err != nil {
			fmt.Fprintf(&out, "end: %s\n", err)
			return out.String()
		}
		if !p.Idle() || p.Held() != 0 {
			fmt.Fprintf(&out, "holds %d bytes\n", p.Held())
		}
	}
	return out.String()
}

func whole(s string) []string { return []string{s} }

// documents are sequences of documents, and what the parser makes of the last one: the error,
// or "" if it is accepted.
var documents = []struct {
	desc, err string
	docs      []string
}{
	{"elements", "", []string{"<open xmlns='urn:x'/>", "<a xmlns='jabber:client'><b/></a>", "<close xmlns='urn:x' />"}},
	{"an XML declaration in each", "", []string{"<?xml version='1.0'?><a/>", "<?xml version='1.0' encoding='utf-8'?>\r\n <b/>"}},
	{"white space after the element", "", []string{"<a/> \r\n", "<b></b>\n"}},
	{"white space before the element", "white space is not allowed", []string{"<a/>", " <b/>"}},
	{"white space alone", "white space is not allowed", []string{" "}},
	{"nothing", "before its element", []string{"<a/>", ""}},
	{"a declaration alone", "before its element", []string{"<?xml version='1.0'?>"}},
	{"half an element", "before its element", []string{"<a><b/>"}},
	{"half a start tag", "before its element", []string{"<a x='"}},
	{"two elements", "more than one element", []string{"<a/><b/>"}},
	{"two elements with white space", "more than one element", []string{"<a></a> <b/>"}},
	{"text after the element", "text outside", []string{"<a/>x"}},
	{"text before the element", "text outside", []string{"x<a/>"}},
	{"a character after the element", "text between", []string{"<a/>é"}},
	{"a declaration after the element", "more than one element", []string{"<a/><?xml version='1.0'?>"}},
	{"two declarations", "processing instructions", []string{"<?xml version='1.0'?><?xml version='1.0'?><a/>"}},
	{"an end tag", "not XML", []string{"</a>"}},
	{"an end tag without a name", "not XML", []string{"</>"}},
	{"an end tag after the element", "more than one element", []string{"<a/></a>"}},
	{"the header of a stream", "before its element", []string{"<stream:stream xmlns:stream='urn:x'>"}},
	{"a prefix of another document", "prefix is not declared", []string{"<p:a xmlns:p='urn:x'/>", "<p:a/>"}},
	{"invalid UTF-8", "not valid UTF-8", []string{"<a>\xc3\x28</a>"}},
	{"a null byte after '<'", "encoded in UTF-8", []string{"<\x00"}},
	{"a null byte after '<' in an element", "not allowed in XML", []string{"<a><\x00"}},
	{"half a character", "before its element", []string{"<a>\xc3"}},
	{"half a character after the element", "not valid UTF-8", []string{"<a/>\xd1"}},
	{"a character in two documents", "not valid UTF-8", []string{"<a></a>\xd1", "\x80<b/>"}},
}

// TestDocuments: each document has one element, which inherits nothing, and it does not
// matter how the bytes are split.
func TestDocuments(t *testing.T) {
	s := NewScratch(Limits{})
	for _, c := range documents {
		want := playDocuments(s, c.docs, whole)
		if !strings.Contains(want, c.err) || c.err == "" && strings.Contains(want, "error") {
			t.Errorf("%s: %q:\n%s\nwant %q", c.desc, c.docs, want, c.err)
		}
		if got := playDocuments(s, c.docs, bytewise); got != want {
			t.Errorf("%s, byte by byte:\n%s\nwhole:\n%s", c.desc, got, want)
		}
		for i := range len(strings.Join(c.docs, "")) {
			cut := func(doc string) []string { return []string{doc[:min(i, len(doc))], doc[min(i, len(doc)):]} }
			if got := playDocuments(s, c.docs, cut); got != want {
				t.Fatalf("%s, cut at %d:\n%s\nwhole:\n%s", c.desc, i, got, want)
			}
		}
	}
}

// TestDocumentInherits: the namespace and the language of one document do not apply to the
// next.
func TestDocumentInherits(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	p.Documents()
	next := func(doc string) Element {
		t.Helper()
		if ev, n, err := p.Next(s, []byte(doc)); ev != Stanza || n != len(doc) || err != nil {
			t.Fatalf("%q: %v, %d bytes, %v", doc, ev, n, err)
		}
		if err := p.EndDocument(s); err != nil {
			t.Fatal(err)
		}
		return s.Tape().Root()
	}
	next("<open xmlns='jabber:client' xml:lang='de'/>")
	if e := next("<message/>"); string(e.Space()) != "" || len(s.Tape().InheritedLang()) != 0 {
		t.Errorf("the namespace is %q, the language %q", e.Space(), s.Tape().InheritedLang())
	}
}

// TestDocumentReset: a stream that begins anew in the middle of a document still consists of
// documents, and the rest of the present one is not a document.
func TestDocumentReset(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	p.Documents()
	next := func(text string, want Event) {
		t.Helper()
		if ev, _, err := p.Next(s, []byte(text)); ev != want || err != nil {
			t.Fatalf("%q: %v, %v", text, ev, err)
		}
	}
	next("<a/>", Stanza)
	p.Reset()
	next("\n", None)
	if err := p.EndDocument(s); err != nil {
		t.Error(err)
	}
	next("<b/>", Stanza)
	if err := p.EndDocument(s); err != nil {
		t.Error(err)
	}
	p.Reset()
	if err := p.EndDocument(s); err != ErrNoRoot {
		t.Errorf("an empty document: %v", err)
	}
	if _, _, err := p.Next(s, []byte("<c/>")); err != ErrNoRoot {
		t.Errorf("after an error: %v", err)
	}
	p.Reset()
	next("<c/>", Stanza)
}

// FuzzDocuments: the result for two documents does not depend on how they are split.
func FuzzDocuments(f *testing.F) {
	for _, c := range documents {
		f.Add([]byte(c.docs[0]), []byte(c.docs[len(c.docs)-1]), uint16(3))
	}
	s := NewScratch(Limits{MaxStanza: 10000})
	f.Fuzz(func(t *testing.T, a, b []byte, cut uint16) {
		docs := []string{string(a), string(b)}
		want := playDocuments(s, docs, whole)
		i := int(cut)
		got := playDocuments(s, docs, func(doc string) []string { return []string{doc[:min(i, len(doc))], doc[min(i, len(doc)):]} })
		if got != want {
			t.Fatalf("cut at %d:\n%s\nwhole:\n%s", i, got, want)
		}
		if got := playDocuments(s, docs, bytewise); got != want {
			t.Fatalf("byte by byte:\n%s\nwhole:\n%s", got, want)
		}
	})
}
