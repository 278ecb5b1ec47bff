package parser

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
)

func seed(f *testing.F, header string) {
	for _, sample := range samples {
		f.Add([]byte(header+sample), uint16(len(header)+len(sample)/2), uint16(3))
	}
	for _, h := range headers {
		f.Add([]byte(h), uint16(len(h)/2), uint16(1))
	}
}

// FuzzCuts: the result and the tokens are the same for input split at any two positions
// or at every byte, with the vector kernel and without.
func FuzzCuts(f *testing.F) {
	seed(f, testHeader)
	s := NewScratch(Limits{MaxStanza: 10000})
	f.Fuzz(func(t *testing.T, b []byte, cut, more uint16) {
		want := play(s, b)
		i := int(cut) % (len(b) + 1)
		k := min(i+int(more), len(b))
		if got := play(s, b[:i], b[i:k], b[k:]); got != want {
			t.Fatalf("cut at %d and %d:\n%s\nwhole:\n%s", i, k, got, want)
		}
		if got := play(s, bytewise(string(b))...); got != want {
			t.Fatalf("byte by byte:\n%s\nwhole:\n%s", got, want)
		}
		if HasVector() {
			defer UseVector(UseVector(false))
			if got := play(s, b); got != want {
				t.Fatalf("portable:\n%s\nvector:\n%s", got, want)
			}
		}
	})
}

// FuzzKernel: the vector kernel, the portable code and the plain definition return the
// same bits and the same invalid byte.
func FuzzKernel(f *testing.F) {
	if !HasVector() {
		f.Skip("this machine has no vector kernel")
	}
	for _, h := range hostileBytes {
		f.Add([]byte(strings.Repeat("x", 62)+h+"xyz"), uint16(0), uint16(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, _, _ uint16) {
		checkKernel(t, b[:min(len(b), windowSize)])
	})
}

// FuzzEncodingXML: encoding/xml in strict mode accepts what the parser accepts, and reads
// the same from it. It rejects what the parser rejects as not well-formed, except for the
// checks that encoding/xml is known to lack.
func FuzzEncodingXML(f *testing.F) {
	seed(f, testHeader)
	s := NewScratch(Limits{})
	f.Fuzz(func(t *testing.T, b []byte, _, _ uint16) {
		mine, e := events(s, b)
		theirs, err := xmlEvents(b)
		if e == nil {
			if err != nil && !older(err) && idle(s, b) {
				t.Fatalf("accepted; encoding/xml says %v", err)
			}
			if err != nil {
				return
			}
			if !strings.HasPrefix(theirs, mine) {
				t.Fatalf("%s\nencoding/xml:\n%s", mine, theirs)
			}
			return
		}
		if !strings.HasPrefix(theirs, mine) && (err == nil || !older(err)) {
			t.Fatalf("%s\nencoding/xml:\n%s", mine, theirs)
		}
		// encoding/xml reads references to surrogates as U+FFFD.
		if e == ErrReference && bytes.Contains(b, []byte("&#")) {
			return
		}
		// It skips restricted markup, whatever its bytes are.
		if (e == ErrUTF8 || e == ErrChar) && (bytes.Contains(b, []byte("<!")) || bytes.Contains(b, []byte("<?"))) {
			return
		}
		if err == nil && !stricter[e] && complete(b) && mine != "" { // it does not check declarations
			t.Fatalf("%q rejected: %v; encoding/xml accepts it", b, e)
		}
	})
}

// stricter are the errors that encoding/xml does not report, or only in some cases:
// policy, restrictions of RFC 6120, duplicates, namespaces, names of the fifth edition,
// white space between attributes, text outside the root.
var stricter = map[*Error]bool{ErrTooLarge: true, ErrTooDeep: true, ErrAttributes: true, ErrNamespaces: true, ErrNameTooLong: true, ErrHeaderContext: true,
	ErrMarkup: true, ErrText: true, ErrSpace: true, ErrProlog: true, ErrDuplicate: true, ErrUnbound: true, ErrReserved: true, ErrUndeclare: true,
	ErrDeclaration: true, ErrEncoding: true, ErrName: true, ErrSyntax: true}

// older reports whether encoding/xml rejects something that older editions of XML do not
// have: names of the fifth edition, versions from 1.1 on.
func older(err error) bool {
	return strings.Contains(err.Error(), "invalid XML name") || strings.Contains(err.Error(), "unsupported version")
}

// idle reports whether b, which is accepted, ends between two elements. Otherwise the
// result depends on what follows.
func idle(s *Scratch, b []byte) bool {
	var p Parser
	defer p.Free(s)
	for len(b) > 0 {
		_, n, _ := p.Next(s, b)
		b = b[n:]
	}
	return p.Idle()
}

// complete reports whether the document may be closed: encoding/xml does not notice
// missing ends, and has not looked into a section without an end.
func complete(b []byte) bool {
	section := bytes.LastIndex(b, []byte("<![CDATA["))
	return bytes.HasSuffix(bytes.TrimRight(b, " \t\r\n"), []byte(">")) && (section < 0 || bytes.Contains(b[section:], []byte("]]>")))
}

// events describes the elements that the parser finds in complete stanzas.
func events(s *Scratch, b []byte) (string, *Error) {
	var out strings.Builder
	var p Parser
	defer p.Free(s)
	for len(b) > 0 {
		ev, n, err := p.Next(s, b)
		if err != nil {
			return out.String(), err.(*Error)
		}
		b = b[n:]
		switch ev {
		case StreamOpen:
			// An element that ends with "/>" is known before its '>'.
			if !s.Tape().empty || bytes.HasPrefix(b, []byte(">")) {
				start(&out, s.Tape().Root())
			}
		case Stanza:
			walk(&out, s.Tape().Root())
		case StreamClose:
			out.WriteString(">")
		}
	}
	return out.String(), nil
}

func start(out *strings.Builder, e Element) {
	fmt.Fprintf(out, "<{%s}%s", blanks(e.Space()), e.Local())
	e.EachAttr(func(space, local, raw []byte, isNS bool) {
		if !isNS {
			// encoding/xml only normalizes line ends.
			fmt.Fprintf(out, " {%s}%s=%q", blanks(space), local, appendText(nil, raw, true))
		}
	})
}

// blanks replaces all white space in a namespace by blanks: encoding/xml does not
// normalize declarations.
func blanks[T string | []byte](uri T) string {
	return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(string(uri))
}

// walk describes an element in document order.
func walk(out *strings.Builder, e Element) {
	start(out, e)
	d := e.d
	i, to := e.content()
	var text []byte
	flush := func() {
		if len(text) > 0 {
			fmt.Fprintf(out, "%q", text)
		}
		text = text[:0]
	}
	for ; i < to; i++ {
		switch t := &d.tape[i]; t.Kind {
		case Text, CDATA:
			text = appendText(text, d.src[t.Pos:t.End], t.Escaped())
		case Start:
			flush()
			walk(out, Element{d: d, i: i, end: to})
			i = int32(t.Link) - 1
		}
	}
	flush()
	out.WriteString(">")
}

// xmlEvents returns the same description by encoding/xml, up to the first error.
func xmlEvents(b []byte) (string, error) {
	var out strings.Builder
	dec := xml.NewDecoder(bytes.NewReader(b))
	var text []byte
	depth := 0
	for {
		tok, err := dec.Token()
		if err != nil {
			if syntax, ok := err.(*xml.SyntaxError); err == io.EOF || ok && strings.HasPrefix(syntax.Msg, "unexpected EOF") {
				err = nil // more input is needed
			}
			return out.String(), err
		}
		if data, ok := tok.(xml.CharData); ok {
			if depth > 1 {
				text = append(text, data...)
			}
			continue
		}
		if len(text) > 0 {
			fmt.Fprintf(&out, "%q", text)
			text = text[:0]
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			depth++
			fmt.Fprintf(&out, "<{%s}%s", blanks(tok.Name.Space), tok.Name.Local)
			for _, a := range tok.Attr {
				if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
					continue
				}
				fmt.Fprintf(&out, " {%s}%s=%q", blanks(a.Name.Space), a.Name.Local, a.Value)
			}
		case xml.EndElement:
			depth--
			out.WriteString(">")
		}
	}
}

// FuzzRoundTrip: the output for a complete stanza and for each element in it has the same
// meaning in another stream, read by the parser and by encoding/xml: the same elements,
// and nothing after them.
func FuzzRoundTrip(f *testing.F) {
	seed(f, testHeader)
	s, again := NewScratch(Limits{}), NewScratch(Limits{MaxStanza: 1 << 20, MaxAttrs: 256, MaxNamespaces: 256})
	f.Fuzz(func(t *testing.T, b []byte, _, _ uint16) {
		var p Parser
		defer p.Free(s)
		for len(b) > 0 {
			ev, n, err := p.Next(s, b)
			if err != nil {
				return
			}
			if b = b[n:]; ev == Stanza {
				checkRoundTrip(t, again, s.Tape())
			}
		}
	})
}
