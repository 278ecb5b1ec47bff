package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWriteSVG: the file is XML that contains the chart's text as text, in fonts that
// browsers have. The output is deterministic.
func TestWriteSVG(t *testing.T) {
	dir := t.TempDir()
	read := func(name string) string {
		t.Helper()
		if err := memory().Write(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	svg := read("memory.svg")
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{">memory over sessions<", ">sessions<", ">15,000<", "sans-serif", "#FFFFFF"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in the chart", want)
		}
	}
	if strings.Contains(svg, "font-family:Liberation Sans;") {
		t.Error("a font without a substitute")
	}
	if svg != read("again.svg") {
		t.Error("the output is not deterministic")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 2 {
		t.Errorf("%v, want two files alone", left)
	}
}

// TestWritePNG: the background is opaque, so that the chart is readable on a dark page.
func TestWritePNG(t *testing.T) {
	name := filepath.Join(t.TempDir(), "latency.png")
	if err := latency().Write(name); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if w := img.Bounds().Dx(); w != 1600 {
		t.Errorf("%d pixels wide", w)
	}
	for x := range img.Bounds().Dx() {
		for y := range img.Bounds().Dy() {
			if _, _, _, alpha := img.At(x, y).RGBA(); alpha != 0xffff {
				t.Fatalf("pixel %d, %d is not opaque", x, y)
			}
		}
	}
	if got := color.RGBAModel.Convert(img.At(0, 0)); got != background {
		t.Errorf("the corner is %v", got)
	}
}

// TestWriteFailures: a missing directory, and an unknown format.
func TestWriteFailures(t *testing.T) {
	if err := memory().Write(filepath.Join(t.TempDir(), "none", "x.svg")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"x", "x.gif", "svg"} {
		if err := memory().Write(filepath.Join(t.TempDir(), name)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProcessor: the name of the processor, or none.
func TestProcessor(t *testing.T) {
	if got := processor("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"); got != "Some CPU @ 2 GHz" {
		t.Error(got)
	}
	if got := processor("Features : fp asimd\n"); got != "unknown CPU" {
		t.Error(got)
	}
}
