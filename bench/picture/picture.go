// Package picture draws what was measured.
package picture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/wcharczuk/go-chart/v2"
)

// Graph is one line over two axes.
type Graph struct {
	Title string
	X, Y  Axis
	Marks []Mark // names at places of the X axis, instead of numbers; nil: numbers
}

// Axis is one of them.
type Axis struct {
	Name   string // with its unit
	Values []float64
}

// Mark is a name at a place.
type Mark struct {
	At   float64
	Name string
}

// errFew says that there is nothing to see.
var errFew = errors.New("picture: a line needs two different points")

const (
	width  = 960
	height = 540
)

// Write draws the graph to NAME.svg and NAME.png.
func (g Graph) Write(name string) error {
	c, err := g.chart()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		suffix string
		draw   chart.RendererProvider
	}{{".svg", chart.SVG}, {".png", chart.PNG}} {
		if err := write(name+f.suffix, func(w io.Writer) error { return c.Render(f.draw, w) }); err != nil {
			return fmt.Errorf("picture: %w", err)
		}
	}
	return nil
}

// write leaves either a whole file or what was there.
func write(name string, draw func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // what was renamed is gone from there
	if err := errors.Join(draw(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func (g Graph) chart() (chart.Chart, error) {
	if len(g.X.Values) != len(g.Y.Values) {
		panic("picture: BUG: a point has two coordinates")
	}
	if !spread(g.X.Values) {
		return chart.Chart{}, errFew
	}
	top := 0.0
	for _, y := range g.Y.Values {
		top = max(top, y)
	}
	if top == 0 {
		top = 1
	}
	line := chart.ContinuousSeries{XValues: g.X.Values, YValues: g.Y.Values, Style: chart.Style{StrokeWidth: 2, StrokeColor: chart.ColorBlue, DotWidth: 2, DotColor: chart.ColorBlue}}
	c := chart.Chart{
		Title: g.Title, Width: width, Height: height,
		Background: chart.Style{Padding: chart.Box{Top: 50, Left: 20, Right: 30, Bottom: 20}},
		XAxis:      chart.XAxis{Name: g.X.Name, ValueFormatter: figure},
		// Nothing is said by a line whose axis does not begin at zero.
		YAxis:  chart.YAxis{Name: g.Y.Name, ValueFormatter: figure, Range: &chart.ContinuousRange{Max: top * 1.05}},
		Series: []chart.Series{line},
	}
	for _, m := range g.Marks {
		c.XAxis.Ticks = append(c.XAxis.Ticks, chart.Tick{Value: m.At, Label: m.Name})
	}
	return c, nil
}

// spread reports whether not all values are the same.
func spread(v []float64) bool {
	for i := range v {
		if v[i] != v[0] {
			return true
		}
	}
	return false
}

// figure is a number on an axis.
func figure(v any) string {
	f, _ := v.(float64)
	if f < 100 && f != float64(int64(f)) {
		return fmt.Sprintf("%.1f", f)
	}
	return humanize.Comma(int64(f + 0.5))
}
