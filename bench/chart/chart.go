// Package chart draws what was measured: lines over two axes, as SVG or PNG.
package chart

import (
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Chart is lines over two axes. The legend is a table between the title and the
// lines, so that it covers neither.
type Chart struct {
	Title    string
	Measured string   // when, on which machine and by which command
	X, Y     string   // what the axes show, with units
	Columns  []string // headings of the figures in the legend
	Lines    []Line   // the first four have colours of their own

	percentiles bool // X are percentiles, Y are latencies
}

// Line is a row of points. Points that are no numbers, or beyond 1e15, are left out.
type Line struct {
	Name    string
	Figures []string // one for each of the chart's columns
	X, Y    []float64
}

// Sizes, in points. A browser shows 600 points as 800 pixels.
const (
	width      = 600
	plotHeight = 300
	margin     = 14
	gap        = 6
)

// size returns the size of the picture in points. Its height depends on the header.
func (c Chart) size() (w, h vg.Length) {
	return width, 2*margin + c.header().height() + plotHeight
}

// draw draws the chart on a canvas of its size.
func (c Chart) draw(canvas draw.Canvas) {
	canvas.SetColor(background)
	canvas.Fill(canvas.Rectangle.Path())
	inner := draw.Crop(canvas, margin, -margin, margin, -margin)
	h := c.header()
	h.draw(inner)
	c.plot(inner.Size().X).Draw(draw.Crop(inner, 0, 0, 0, -h.height()))
}

// points returns the line's points that can be drawn.
func (l Line) points() (points []point) {
	if len(l.X) != len(l.Y) {
		panic("chart: BUG: a point without two coordinates")
	}
	for i := range l.X {
		x, y := ordinary(l.X[i]), ordinary(l.Y[i])
		if !math.IsNaN(x) && !math.IsNaN(y) {
			points = append(points, point{X: x, Y: y})
		}
	}
	return points
}

// ordinary returns v if an axis can show it, 0 for what is too small, and NaN for what
// is too large.
func ordinary(v float64) float64 {
	switch abs := math.Abs(v); {
	case abs < 1e-9:
		return 0
	case abs > 1e15:
		return math.NaN()
	}
	return v
}
