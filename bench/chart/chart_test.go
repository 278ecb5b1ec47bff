package chart

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/recorder"
)

// memory is a chart of memory over a number.
func memory() Chart {
	return Chart{
		Title:    "memory over sessions",
		Measured: "Measured on some day on some machine, by some command",
		X:        "sessions",
		Y:        "memory, MiB",
		Columns:  []string{"in all", "per client"},
		Lines: []Line{
			{Name: "this server", Figures: []string{"20 MiB", "500 B"}, X: []float64{0, 500, 1000, 15000}, Y: []float64{10, 10.5, 11, 20}},
			{Name: "another", Figures: []string{"690 MiB", "40,000 B"}, X: []float64{100, 15000}, Y: []float64{30, 690}},
		},
	}
}

// latency is a chart of latencies over several decades.
func latency() Chart {
	x := []float64{1, 50, 90, 99, 99.9, 99.99}
	return Latencies("latency", "measured here", "messages",
		Line{Name: "fast", X: x, Y: []float64{0.04, 0.16, 0.25, 0.34, 1.7, 3.6}},
		Line{Name: "slow", X: x, Y: []float64{0.4, 0.7, 43.1, 98, 109, 110.5}})
}

// charts are the charts for the tests below: typical ones, and charts with much text.
func charts() map[string]Chart {
	words := strings.Repeat("many words ", 60)
	long := memory()
	long.Title, long.Measured, long.Y, long.X = words, words+words, words, "sessions"
	long.Lines[0].Name = words
	endless := memory()
	endless.Title, endless.Measured = strings.Repeat("endless", 100), strings.Repeat("/path", 300)
	large := memory()
	large.Lines[1].X[1], large.Lines[1].Y[1] = 123456789012, 987654321098
	plain := memory()
	plain.Columns = nil
	for i := range plain.Lines {
		plain.Lines[i].Figures = nil
	}
	alone := memory()
	alone.Lines = []Line{{X: []float64{1, 2}, Y: []float64{0.001, 0.0025}}}
	narrow := latency()
	narrow.Lines = narrow.Lines[:1]
	narrow.Lines[0].Y = []float64{1, 1.1, 1.2, 1.3, 1.4, 1.5}
	wide := latency()
	wide.Lines[1].Y[5] = 60000
	return map[string]Chart{"memory": memory(), "latency": latency(), "long": long, "endless": endless, "large": large,
		"without figures": plain, "one line": alone, "narrow": narrow, "wide": wide}
}

// box is a text and the area that it covers.
type box struct {
	words string
	vg.Rectangle
}

func (b box) String() string {
	return fmt.Sprintf("%.40q at (%.0f,%.0f)-(%.0f,%.0f)", b.words, b.Min.X, b.Min.Y, b.Max.X, b.Max.Y)
}

// drawn returns the texts of a chart, and the boxes around everything else.
func drawn(t *testing.T, c Chart) (texts, paths []box) {
	t.Helper()
	var r recorder.Canvas
	width, height := c.size()
	c.draw(draw.NewCanvas(&r, width, height))
	for _, action := range r.Actions {
		switch a := action.(type) {
		case *recorder.FillString:
			face := font.DefaultCache.Lookup(a.Font, a.Size)
			e := face.Extents()
			texts = append(texts, box{a.String, vg.Rectangle{
				Min: vg.Point{X: a.Point.X, Y: a.Point.Y - e.Descent}, Max: vg.Point{X: a.Point.X + face.Width(a.String), Y: a.Point.Y + 0.72*a.Size}}})
		case *recorder.Stroke:
			for i := 1; i < len(a.Path); i++ {
				from, to := a.Path[i-1].Pos, a.Path[i].Pos
				paths = append(paths, box{"line", vg.Rectangle{Min: vg.Point{X: min(from.X, to.X), Y: min(from.Y, to.Y)}, Max: vg.Point{X: max(from.X, to.X), Y: max(from.Y, to.Y)}}})
			}
		case *recorder.Rotate, *recorder.Translate, *recorder.Scale:
			t.Fatal("the test does not support rotated or translated text")
		}
	}
	return texts, paths
}

func overlap(a, b vg.Rectangle) bool {
	return a.Min.X < b.Max.X && b.Min.X < a.Max.X && a.Min.Y < b.Max.Y && b.Min.Y < a.Max.Y
}

// TestLayout: no text covers another (labels, legend, title), no line crosses a text, and
// everything is within the picture.
func TestLayout(t *testing.T) {
	for name, c := range charts() {
		texts, paths := drawn(t, c)
		if len(texts) < 8 || len(paths) < 10 {
			t.Errorf("%s: only %d texts and %d lines: the test no longer finds them", name, len(texts), len(paths))
		}
		width, height := c.size()
		for i, a := range texts {
			if a.Min.X < 0 || a.Min.Y < 0 || a.Max.X > width || a.Max.Y > height {
				t.Errorf("%s: %v is not within the picture, %.0f by %.0f", name, a, width, height)
			}
			for _, b := range texts[i+1:] {
				if overlap(a.Rectangle, b.Rectangle) {
					t.Errorf("%s: %v and %v overlap", name, a, b)
				}
			}
			for _, b := range paths {
				if overlap(a.Rectangle, b.Rectangle) {
					t.Errorf("%s: a line runs through %v: %v", name, a, b)
				}
			}
		}
	}
}

// TestTexts: each text occurs, once.
func TestTexts(t *testing.T) {
	f := func(c Chart, want ...string) {
		t.Helper()
		texts, _ := drawn(t, c)
		found := map[string]int{}
		for _, b := range texts {
			found[b.words]++
		}
		for _, words := range want {
			if found[words] != 1 {
				t.Errorf("%q occurs %d times", words, found[words])
			}
		}
	}
	f(memory(), "memory over sessions", "Measured on some day on some machine, by some command", "sessions", "memory, MiB",
		"this server", "500 B", "another", "40,000 B", "per client", "15,000", "700")
	f(latency(), "latency, ms (logarithmic)", "share of messages that took at most this long", "0.340 ms", "98.0 ms", "0.1", "100", "99.99 %")
	long := charts()["long"]
	if h := long.header(); len(h.title) != maxTitle || len(h.measured) != maxMeasured {
		t.Errorf("%d lines of title, %d about the measurement", len(h.title), len(h.measured))
	}
}

// TestPercentiles: each additional nine gets the same space, and each line is drawn at
// the positions of the grid.
func TestPercentiles(t *testing.T) {
	c := latency()
	for i, percent := range []float64{0, 90, 99, 99.9, 99.99} {
		if got := nines(percent); math.Abs(got-float64(i)) > 1e-9 {
			t.Errorf("%v %% is at %v, want %d", percent, got, i)
		}
	}
	p := c.plot(width)
	for _, points := range c.drawable() {
		marked := c.marked(points)
		if len(marked) != 5 { // 50, 90, 99, 99.9, 99.99
			t.Fatalf("%d marks, want 5: %v", len(marked), marked)
		}
		ticks := p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max)
		for i, m := range marked {
			if tick := ticks[i+1]; math.Abs(m.X-tick.Value) > 1e-9 {
				t.Errorf("a mark is at %v, the tick %s at %v", m.X, tick.Label, tick.Value)
			}
		}
	}
	if math.Abs(p.Y.Scale.Normalize(0.1, 10, 1)-0.5) > 1e-9 {
		t.Error("latencies over decades are not on a logarithmic axis")
	}
	c = charts()["narrow"]
	if p := c.plot(width); p.Y.Min != 0 || p.Y.Scale.Normalize(0, 10, 5) != 0.5 {
		t.Error("latencies within a decade are not on a linear axis from 0")
	}
}

// TestFewPoints: no points, one point, and values that are not numbers.
func TestFewPoints(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, l := range []Line{
		{},
		{X: []float64{7}, Y: []float64{7}},
		{X: []float64{0}, Y: []float64{0}},
		{X: []float64{50, 50}, Y: []float64{0, 0}},
		{X: []float64{-3, 100}, Y: []float64{-5, 5}},
		{X: []float64{100, 101}, Y: []float64{3, 4}},
		{X: []float64{nan, inf, -inf, 5}, Y: []float64{1, 1, 1, nan}},
		{X: []float64{1e300, 5}, Y: []float64{1e-300, 1e300}},
		{X: []float64{5e-324}, Y: []float64{5e-324}},
		{X: []float64{-math.MaxFloat64, math.MaxFloat64}, Y: []float64{-math.MaxFloat64, math.MaxFloat64}},
	} {
		l.Name = "line"
		f := func(c Chart) {
			t.Helper()
			texts, _ := drawn(t, c)
			for _, b := range texts {
				if strings.Contains(b.words, "NaN") || strings.Contains(b.words, "Inf") {
					t.Errorf("%v: %v", l, b)
				}
			}
			if len(texts) < 5 {
				t.Errorf("%v: only %d texts", l, len(texts))
			}
		}
		f(Chart{Title: "few", X: "x", Y: "y", Lines: []Line{l}})
		f(Chart{Title: "few", X: "x", Y: "y", Lines: []Line{l, {Name: "none"}}})
		f(Latencies("few", "here", "messages", l))
	}
	f := func(c Chart) {
		t.Helper()
		if texts, _ := drawn(t, c); len(texts) < 2 {
			t.Errorf("%v", texts)
		}
	}
	f(Chart{})
	f(Latencies("", "", ""))
}
