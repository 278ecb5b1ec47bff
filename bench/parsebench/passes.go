package parsebench

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"syscall"
	"time"

	"roost/parser"
)

// pass parses a corpus once, in pieces of chunk bytes, and counts its
// first-level elements.
type pass func(c *Corpus, chunk int) (stanzas int, err error)

// parserPass uses this project's parser as a server does: it calls Next until a piece is
// consumed, and reads the expanded name of each complete element.
func parserPass(c *Corpus, chunk int) (stanzas int, err error) {
	s := parser.NewScratch(limits)
	var p parser.Parser
	defer p.Free(s)
	for data := c.Data; len(data) > 0; {
		piece := data[:min(chunk, len(data))]
		data = data[len(piece):]
		for len(piece) > 0 {
			ev, n, err := p.Next(s, piece)
			if err != nil {
				return stanzas, err
			}
			piece = piece[n:]
			if ev == parser.Stanza {
				root := s.Tape().Root()
				if len(root.Local()) == 0 || len(root.Space()) == 0 {
					return stanzas, fmt.Errorf("an element without a namespace: %s", root.Raw())
				}
				stanzas++
			}
		}
	}
	return stanzas, nil
}

// vectorPass and portablePass choose the code that fills the parser's windows.
func vectorPass(c *Corpus, chunk int) (int, error) {
	defer parser.UseVector(parser.UseVector(true))
	return parserPass(c, chunk)
}

func portablePass(c *Corpus, chunk int) (int, error) {
	defer parser.UseVector(parser.UseVector(false))
	return parserPass(c, chunk)
}

// pieces is a reader that returns at most chunk bytes per call.
type pieces struct {
	bytes.Reader
	chunk int
}

func (p *pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(p.chunk, len(b))]) }

// xmlPass uses encoding/xml in strict mode, with its handling of namespaces and nesting.
func xmlPass(c *Corpus, chunk int) (stanzas int, err error) {
	p := &pieces{chunk: chunk}
	p.Reset(c.Data)
	// Hide ReadByte, so that the decoder reads in pieces.
	dec := xml.NewDecoder(struct{ io.Reader }{p})
	for depth := 0; ; {
		tok, err := dec.Token()
		if err != nil {
			if syntax, ok := err.(*xml.SyntaxError); ok && depth == 1 && syntax.Msg == "unexpected EOF" || err == io.EOF {
				return stanzas, nil // the capture may have no closing tag
			}
			return stanzas, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth++; depth == 2 {
				if tok.Name.Local == "" || tok.Name.Space == "" {
					return stanzas, fmt.Errorf("an element without a namespace: %s", tok.Name.Local)
				}
				stanzas++
			}
		case xml.EndElement:
			depth--
		}
	}
}

// cpuTime returns the CPU time of all threads of this process: the garbage collector's
// time counts towards the implementation that caused it.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("parsebench: BUG: getrusage: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
