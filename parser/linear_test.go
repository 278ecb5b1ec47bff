package parser

import (
	"fmt"
	"strings"
	"testing"
)

// TestLinear: the work for an input is proportional to its length and does not depend on
// how it is split. The test counts work instead of time: bytes classified, bytes copied,
// and calls of the state machine.
func TestLinear(t *testing.T) {
	const size = 200 << 10
	fill := func(open, unit, end string) string { return open + strings.Repeat(unit, size/len(unit)) + end }
	inputs := map[string]string{
		"an attribute":         fill("<m a='", "x", "'/>"),
		"references":           fill("<m a='", "&#9;", "'/>"),
		"a long reference":     fill("<m>&#", "0", "65;</m>"),
		"text":                 fill("<m>", "text ", "</m>"),
		"brackets":             fill("<m>", "]", "</m>"),
		"half section ends":    fill("<m>", "]] >", "</m>"),
		"a section":            fill("<m><![CDATA[", "]]", "]]></m>"),
		"markup in a section":  fill("<m><![CDATA[", "<&]>", "]]></m>"),
		"sections":             fill("<m>", "<![CDATA[]]>", "</m>"),
		"empty elements":       fill("<m>", "<a/>", "</m>"),
		"elements":             fill("<m>", "<a></a>", "</m>"),
		"depth":                fill("<m>", strings.Repeat("<a>", 60)+strings.Repeat("</a>", 60), "</m>"),
		"long names":           fill("<m>", "<"+strings.Repeat("n", 1000)+"/>", "</m>"),
		"long end tags":        fill("<m>", "<a></a"+strings.Repeat(" ", 1000)+">", "</m>"),
		"space in a tag":       fill("<m", " ", "/>"),
		"attributes":           fill("<m>", "<a"+manyAttrs(60)+"/>", "</m>"),
		"two bytes":            fill("<m>", "é", "</m>"),
		"four bytes":           fill("<m>", "\U0001F600", "</m>"),
		"names of four bytes":  fill("<m>", "<\U00010000\U00010000/>", "</m>"),
		"one stanza after one": fill("", "<m/>", ""),
		"white space":          fill("", " ", "<m/>"),
		"declarations":         fill("<m>", "<a xmlns:p='u' p:b=''/>", "</m>"),
	}
	s := NewScratch(Limits{})
	for name, in := range inputs {
		for _, chunk := range []int{1, 3, 7, 64, 1000, len(in)} {
			var p Parser
			if _, _, err := p.Next(s, []byte(testHeader)); err != nil {
				t.Fatal(err)
			}
			s.work = 0
			calls := 0
			for rest := []byte(in); len(rest) > 0; {
				piece := rest[:min(chunk, len(rest))]
				rest = rest[len(piece):]
				for len(piece) > 0 {
					_, n, err := p.Next(s, piece)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					piece = piece[n:]
					calls++
				}
			}
			// Each byte is classified once and copied once, and the state machine is
			// entered once per call and window.
			if most := uint64(2*len(in) + 2*calls + len(in)/16 + 100); s.work > most {
				t.Errorf("%s in pieces of %d: %d bytes take %d steps, want at most %d", name, chunk, len(in), s.work, most)
			}
			p.Free(s)
		}
	}
}

func manyAttrs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d=''", i)
	}
	return b.String()
}
