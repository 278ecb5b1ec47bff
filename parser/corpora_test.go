package parser_test

import (
	"bytes"
	"encoding/xml"
	"hash/maphash"
	"io"
	"testing"

	"roost/bench/parsebench"
	"roost/parser"
)

// summary is the output of a parser for a stream.
type summary struct {
	elements, attrs int
	hash            uint64 // hash of all events, bytes and tokens
}

var seed = maphash.MakeSeed()

func summarize(t *testing.T, data []byte, chunk int) (sum summary) {
	t.Helper()
	s := parser.NewScratch(parser.Limits{})
	var p parser.Parser
	defer p.Free(s)
	var h maphash.Hash
	h.SetSeed(seed)
	for len(data) > 0 {
		piece := data[:min(chunk, len(data))]
		data = data[len(piece):]
		for len(piece) > 0 {
			ev, n, err := p.Next(s, piece)
			if err != nil {
				t.Fatal(err)
			}
			piece = piece[n:]
			if ev == parser.None {
				continue
			}
			maphash.WriteComparable(&h, ev)
			if ev == parser.StreamClose {
				continue
			}
			h.Write(s.Tape().Raw())
			for _, tok := range s.Tape().Tokens() {
				maphash.WriteComparable(&h, tok)
				switch tok.Kind {
				case parser.Start:
					sum.elements++
				case parser.Attr, parser.NS:
					sum.attrs++
				}
			}
		}
	}
	sum.hash = h.Sum64()
	return sum
}

// TestCorpora: real traffic also yields the same tokens however it is split, with the
// vector kernel and without. encoding/xml finds as many elements and attributes.
func TestCorpora(t *testing.T) {
	for _, name := range parsebench.Names {
		c, err := parsebench.Generate(name, 300<<10)
		if err != nil {
			t.Fatal(err)
		}
		want := summarize(t, c.Data, len(c.Data))
		for _, vector := range []bool{true, false} {
			was := parser.UseVector(vector)
			for _, chunk := range []int{1, 2, 13, 64, 1000, 4096, len(c.Data)} {
				if got := summarize(t, c.Data, chunk); got != want {
					t.Errorf("%s in pieces of %d, vector %v: %+v, want %+v", name, chunk, vector, got, want)
				}
			}
			parser.UseVector(was)
		}
		var theirs summary
		for dec := xml.NewDecoder(bytes.NewReader(c.Data)); ; {
			tok, err := dec.Token()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if start, ok := tok.(xml.StartElement); ok {
				theirs.elements++
				theirs.attrs += len(start.Attr)
			}
		}
		if theirs.elements != want.elements || theirs.attrs != want.attrs {
			t.Errorf("%s has %d elements and %d attributes, encoding/xml finds %d and %d", name, want.elements, want.attrs, theirs.elements, theirs.attrs)
		}
	}
}
