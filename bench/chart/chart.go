// Package chart draws what was measured.
package chart

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/wcharczuk/go-chart/v2"
)

// Graph is lines over two axes.
type Graph struct {
	Title string
	X, Y  string // what the axes are, with their units
	Lines []Line
	Marks []Mark // names at places of the X axis, instead of numbers; nil: numbers
}

// Line is a row of points, with a name where there are several.
type Line struct {
	Name string
	X, Y []float64
}

// Mark is a name at a place.
type Mark struct {
	At   float64
	Name string
}

// errFew says that there is nothing to see.
var errFew = errors.New("chart: a line needs two different points")

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
			return fmt.Errorf("chart: %w", err)
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
	top := 0.0
	var series []chart.Series
	var xs []float64
	for i, l := range g.Lines {
		if len(l.X) != len(l.Y) {
			panic("chart: BUG: a point has two coordinates")
		}
		xs = append(xs, l.X...)
		for _, y := range l.Y {
			top = max(top, y)
		}
		color := chart.GetDefaultColor(i)
		series = append(series, chart.ContinuousSeries{Name: l.Name, XValues: l.X, YValues: l.Y,
			Style: chart.Style{StrokeWidth: 2, StrokeColor: color, DotWidth: 2, DotColor: color}})
	}
	if !spread(xs) {
		return chart.Chart{}, errFew
	}
	if top == 0 {
		top = 1
	}
	c := chart.Chart{
		Title: g.Title, Width: width, Height: height,
		Background: chart.Style{Padding: chart.Box{Top: 50, Left: 20, Right: 30, Bottom: 20}},
		XAxis:      chart.XAxis{Name: g.X, ValueFormatter: figure},
		// Nothing is said by a line whose axis does not begin at zero.
		YAxis:  chart.YAxis{Name: g.Y, ValueFormatter: figure, Range: &chart.ContinuousRange{Max: top * 1.05}},
		Series: series,
	}
	if len(g.Lines) > 1 {
		c.Elements = []chart.Renderable{chart.LegendThin(&c)}
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
