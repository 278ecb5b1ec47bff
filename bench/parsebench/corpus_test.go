package parsebench

import (
	"bytes"
	"encoding/xml"
	"io"
	"testing"
)

// TestGenerate: corpora are deterministic and well-formed, and have elements of the
// documented sizes.
func TestGenerate(t *testing.T) {
	for name, mean := range map[string]int{"mix": 618, "small": 107, "large": 4000, "utf8": 1000} {
		c, err := Generate(name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Generate(name, 1<<20)
		if !bytes.Equal(c.Data, again.Data) {
			t.Errorf("%s is not deterministic", name)
		}
		if got := len(c.Data) / c.Stanzas; got < mean*9/10 || got > mean*11/10 {
			t.Errorf("%s has %d bytes per element, want about %d", name, got, mean)
		}
		dec := xml.NewDecoder(bytes.NewReader(c.Data))
		depth, n := 0, 0
		for {
			tok, err := dec.Token()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch tok.(type) {
			case xml.StartElement:
				if depth++; depth == 2 {
					n++
				}
			case xml.EndElement:
				depth--
			}
		}
		if n != c.Stanzas {
			t.Errorf("%s has %d elements, says %d", name, n, c.Stanzas)
		}
	}
	if _, err := Generate("none", 1); err == nil {
		t.Error("an unknown corpus was generated")
	}
}
