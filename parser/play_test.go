package parser

import (
	"fmt"
	"strings"
)

const testHeader = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:x='urn:example:inherited'>"

// play passes a stream to the parser in pieces and describes the output: events, expanded
// names, attributes, text, and the error.
func play[T string | []byte](s *Scratch, pieces ...T) string {
	var p Parser
	defer p.Free(s)
	var out strings.Builder
	for _, piece := range pieces {
		if !playPiece(&out, &p, s, []byte(piece)) {
			break
		}
	}
	return out.String()
}

// playPiece parses one piece of a stream, and describes the events. It returns false after
// an error. The piece has its own memory, overwritten afterwards: the parser must not keep
// it.
func playPiece(out *strings.Builder, p *Parser, s *Scratch, piece []byte) bool {
	data := append([]byte(nil), piece...)
	for rest := data; len(rest) > 0; {
		ev, n, err := p.Next(s, rest)
		if err != nil {
			fmt.Fprintf(out, "error %s\n", err)
			return false
		}
		rest = rest[n:]
		describe(out, s, ev)
	}
	for i := range data {
		data[i] = '!'
	}
	return true
}

func describe(out *strings.Builder, s *Scratch, ev Event) {
	d := s.Tape()
	switch ev {
	case StreamOpen:
		out.WriteString("open")
	case Stanza:
		fmt.Fprintf(out, "stanza %q canonical %v", d.Raw(), d.Canonical())
	case StreamClose:
		out.WriteString("close\n")
		return
	default:
		return
	}
	d.Inherited(func(prefix, uri []byte) { fmt.Fprintf(out, " needs %s=%s", prefix, uri) })
	for i := range d.Tokens() {
		t := &d.Tokens()[i]
		switch t.Kind {
		case Start:
			fmt.Fprintf(out, " <{%s}%s -%d", d.uri(t), d.local(t), t.Link)
		case Attr, NS:
			fmt.Fprintf(out, " {%s}%s=%q", d.uri(t), d.local(t), d.value(t))
		case Text, CDATA:
			fmt.Fprintf(out, " %d:%q", t.Kind, appendText(nil, d.src[t.Pos:t.End], t.Escaped()))
		}
	}
	fmt.Fprintf(out, "\n%v\n", d.Tokens())
}

// bytewise splits s at every byte.
func bytewise(s string) []string {
	pieces := make([]string, len(s))
	for i := range pieces {
		pieces[i] = s[i : i+1]
	}
	return pieces
}
