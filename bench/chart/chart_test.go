package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func graph() Graph {
	return Graph{
		Title: "memory over sessions",
		X:     "sessions",
		Y:     "MiB",
		Lines: []Line{{X: []float64{0, 500, 1000, 15000}, Y: []float64{10, 10.5, 11, 20}}},
	}
}

// TestWrite: both files are what their names say, and show title and axes.
func TestWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "memory")
	g := graph()
	if err := g.Write(name); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(name + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{g.Title, "sessions", "MiB", "15,000"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("no %q in the picture", want)
		}
	}
	file, err := os.Open(name + ".png")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if img, err := png.Decode(file); err != nil || img.Bounds().Dx() != width || img.Bounds().Dy() != height {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(name + ".*"); len(left) != 2 {
		t.Errorf("%v, want the two pictures alone", left)
	}
}

// TestMarks: names stand where numbers would.
func TestMarks(t *testing.T) {
	g := graph()
	g.Marks = []Mark{{0, "none"}, {15000, "all of them"}}
	name := filepath.Join(t.TempDir(), "marks")
	if err := g.Write(name); err != nil {
		t.Fatal(err)
	}
	if svg, err := os.ReadFile(name + ".svg"); err != nil || !bytes.Contains(svg, []byte("all of them")) {
		t.Errorf("%v, or no mark", err)
	}
}

// TestLines: several lines have their names beside them.
func TestLines(t *testing.T) {
	g := graph()
	g.Lines[0].Name = "this server"
	g.Lines = append(g.Lines, Line{Name: "another", X: []float64{0, 15000}, Y: []float64{30, 600}})
	name := filepath.Join(t.TempDir(), "lines")
	if err := g.Write(name); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(name + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"this server", "another", "600"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("no %q in the picture", want)
		}
	}
}

// TestFailures: nothing to see, and nowhere to write.
func TestFailures(t *testing.T) {
	g := graph()
	if err := g.Write(filepath.Join(t.TempDir(), "none", "x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	g.Lines[0].X = []float64{7, 7, 7, 7}
	if err := g.Write(filepath.Join(t.TempDir(), "x")); !errors.Is(err, errFew) {
		t.Errorf("%v", err)
	}
}

// TestLatencies: each nine has as much room as the one before, and each line its
// own place.
func TestLatencies(t *testing.T) {
	g := Latencies("latency", Line{Name: "one", X: []float64{0, 90, 99}, Y: []float64{1, 2, 3}}, Line{Name: "two", X: []float64{99.9}, Y: []float64{4}})
	if len(g.Lines) != 2 || g.Lines[1].Name != "two" || len(g.Marks) < 4 {
		t.Fatalf("%+v", g)
	}
	for i, got := range append(g.Lines[0].X, g.Lines[1].X...) {
		if math.Abs(got-float64(i)) > 1e-9 {
			t.Errorf("point %d is at %v", i, got)
		}
	}
	if err := g.Write(filepath.Join(t.TempDir(), "latency")); err != nil {
		t.Error(err)
	}
}
