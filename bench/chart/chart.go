// Package chart draws measurements as lines over two axes, in SVG or PNG.
package chart

import (
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Chart has lines over two axes. The legend is a table between the title and the lines,
// so that it covers neither.
type Chart struct {
	Title    string
	Measured string   // date, machine and command of the measurement
	X, Y     string   // what the axes show, with units
	Columns  []string // headings of the legend's columns
	Lines    []Line   // the first four have different colors

	percentiles bool // X are percentiles, Y are latencies
}

// Line is a row of points. Points that are not numbers, or larger than 1e15, are omitted.
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

// size returns the size of the chart in points. Its height depends on the header.
func (c Chart) size() (w, h vg.Length) {
	return width, 2*margin + c.header().height() + plotHeight
}

// draw draws the chart on a canvas of that size.
func (c Chart) draw(canvas draw.Canvas) {
	canvas.SetColor(background)
	canvas.Fill(canvas.Rectangle.Path())
	inner := draw.Crop(canvas, margin, -margin, margin, -margin)
	h := c.header()
	h.draw(inner)
	c.plot(inner.Size().X).Draw(draw.Crop(inner, 0, 0, 0, -h.height()))
}

// points returns the points of the line that can be drawn.
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

// ordinary returns v if an axis can show it, 0 if it is too small, and NaN if it is too
// large.
func ordinary(v float64) float64 {
	switch abs := math.Abs(v); {
	case abs < 1e-9:
		return 0
	case abs > 1e15:
		return math.NaN()
	}
	return v
}
