package parsebench

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/parser"
)

// TestRun: every implementation finds every element, in pieces of any size, and the
// figures are consistent.
func TestRun(t *testing.T) {
	c, err := Generate("mix", 300<<10)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{Portable, EncodingXML}
	if parser.HasVector() {
		want = []string{Portable, Vector, EncodingXML}
	}
	cfg := Config{Rounds: 1, Note: func(s string) { t.Error(s) }}
	if cfg.Expat, err = BuildExpat(t.TempDir()); err == nil {
		want = append(want, Expat)
	}
	for _, cfg.Chunk = range []int{0, 61} {
		results, err := Run(c, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range results {
			got = append(got, r.Impl)
			if r.Corpus != "mix" || r.MBPerS <= 0 || r.NsPerStanza <= 0 || r.Ratio <= 0 {
				t.Errorf("%+v: a figure is missing", r)
			}
			if r.Impl == EncodingXML && r.Ratio != 1 {
				t.Errorf("encoding/xml is %v times as fast as itself", r.Ratio)
			}
			ours := r.Impl == Portable || r.Impl == Vector
			if ours && r.AllocsPerStanza > 0.1 || r.Impl == EncodingXML && r.AllocsPerStanza < 1 {
				t.Errorf("%s: %v allocations per element", r.Impl, r.AllocsPerStanza)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("implementations %q, want %q", got, want)
		}
	}
}

// TestLeftOut: input that encoding/xml rejects is reported without it.
func TestLeftOut(t *testing.T) {
	// U+2FEF may begin a name since the fifth edition of XML 1.0.
	c := Corpus{Name: "new", Data: []byte(header + "<m><\u2fef/></m>" + closing), Stanzas: 1}
	noted := ""
	results, err := Run(c, Config{Rounds: 1, Note: func(s string) { noted += s }})
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Ratio != 0 || !strings.Contains(noted, EncodingXML) {
		t.Errorf("ratio %v, noted %q", results[0].Ratio, noted)
	}
	for _, r := range results {
		if r.Impl == EncodingXML {
			t.Error("encoding/xml accepted invalid input")
		}
	}
}

// TestCount: an implementation that misses an element gets no figures.
func TestCount(t *testing.T) {
	c := Corpus{Name: "short", Data: []byte(header + "<m/>"), Stanzas: 2}
	if _, err := Run(c, Config{Rounds: 1}); err == nil || !strings.Contains(err.Error(), "finds 1 elements") {
		t.Errorf("error %v", err)
	}
}

// TestLoad: captures are read; other files get an error of one line.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	f := func(text, want string) {
		t.Helper()
		file := filepath.Join(dir, "capture.xml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file)
		if want == "" {
			if err != nil || c.Name != "capture.xml" || c.Stanzas != 2 {
				t.Errorf("%q: %v, %d elements", text, err, c.Stanzas)
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %q, want one line with %q", text, err, want)
		}
	}
	f(header+"<m/><n></n>"+closing+"\n", "")
	f(header+" <m/>\n<n/>\n", "")
	f(header[len("<?xml version='1.0'?>"):]+"<m/><n/>", "")
	f(header+"<m/><n>"+strings.Repeat("x", 1<<20)+"</n>", "")
	f("", "it is empty")
	f("\n\n", "it is empty")
	f("\x89PNG\r\n\x1a\n", "byte 0")
	f("hello", "byte 0")
	f("<html><body/></html>", "it begins with <html/>")
	f(header[:50], "ends within the stream header")
	f(header, "the stream is empty")
	f(header+closing, "the stream is empty")
	f(header+"<m/><n", "ends within the element that begins at byte")
	f(header+"<m></n>", "an end tag does not match")
	f(header+"<m/>"+closing+"<m/>", "not-well-formed")
	for _, file := range []string{filepath.Join(dir, "none"), dir} {
		if _, err := Load(file); err == nil || strings.Count(err.Error(), file) != 1 {
			t.Errorf("%s: error %v", file, err)
		}
	}
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
