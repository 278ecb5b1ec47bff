package chart

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

type point = plotter.XY

// Limits on the number of intervals between ticks.
const (
	maxIntervalsX = 7
	maxIntervalsY = 7
)

// plot returns the lines with their axes and a grid, for a canvas of this width.
func (c Chart) plot(width vg.Length) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil // the canvas has one
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Padding, a.Tick.Length, a.LineStyle.Color, a.Tick.LineStyle.Color = 0, 4, faint, faint
		x, y := a.Tick.Label.XAlign, a.Tick.Label.YAlign
		a.Tick.Label = tickStyle
		a.Tick.Label.XAlign, a.Tick.Label.YAlign = x, y
	}
	x, y := p.X.Label.TextStyle.XAlign, p.X.Label.TextStyle.YAlign
	p.X.Label.Text, p.X.Label.TextStyle, p.X.Label.Padding = c.X, axisStyle, gap
	p.X.Label.TextStyle.XAlign, p.X.Label.TextStyle.YAlign = x, y

	lines := c.drawable()
	c.axes(p, lines, width)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridColor, gridColor
	p.Add(grid)
	for i, points := range lines {
		p.Add(&plotter.Line{XYs: points, LineStyle: stroke(i)},
			&plotter.Scatter{XYs: c.marked(points), GlyphStyleFunc: func(int) draw.GlyphStyle { return glyph(i) }})
	}
	return p
}

// drawable returns the points of each line at their positions.
func (c Chart) drawable() (lines [][]point) {
	for _, l := range c.Lines {
		var points []point
		for _, p := range l.points() {
			if c.percentiles {
				p.X = nines(p.X)
			}
			if !math.IsNaN(p.X) && !math.IsInf(p.X, 0) { // 100 % has no position
				points = append(points, p)
			}
		}
		lines = append(lines, points)
	}
	return lines
}

// axes sets range, scale and ticks of both axes.
func (c Chart) axes(p *plot.Plot, lines [][]point, width vg.Length) {
	x, y := spans(lines)
	switch {
	case c.percentiles:
		p.X.Min, p.X.Max = 0, max(x.high, 1)
		p.X.Tick.Marker = plot.ConstantTicks(percentTicks())
	default:
		p.X.Min, p.X.Max = min(0, x.low), x.high
		if p.X.Max <= p.X.Min {
			p.X.Max = p.X.Min + 1
		}
		p.X.Tick.Marker = plot.ConstantTicks(fitting(p.X.Min, p.X.Max, width))
	}
	var ticks []plot.Tick
	if c.percentiles && y.decades() {
		p.Y.Scale = plot.LogScale{}
		ticks = logTicks(y.low, y.high)
	} else {
		// An axis that does not begin at zero exaggerates changes.
		ticks = linearTicks(min(0, y.low), max(0, y.high), maxIntervalsY)
	}
	p.Y.Min, p.Y.Max = ticks[0].Value, ticks[len(ticks)-1].Value
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
}

// fitting returns as many ticks as there is space for their labels.
func fitting(low, high float64, width vg.Length) []plot.Tick {
	for n := maxIntervalsX; ; n-- {
		ticks := linearTicks(low, high, n)
		needed := vg.Length(0)
		for _, t := range ticks {
			needed = max(needed, tickStyle.Width(t.Label)+columnGap)
		}
		if n == 1 || needed*vg.Length(len(ticks)) <= width {
			return ticks
		}
	}
}

// span is the smallest and the largest value.
type span struct{ low, high float64 }

// decades reports whether a logarithmic axis suits the values better.
func (s span) decades() bool { return s.low > 0 && s.high >= 10*s.low }

// spans returns the ranges of the axes. Without points, low is greater than high.
func spans(lines [][]point) (x, y span) {
	x, y = span{math.Inf(1), math.Inf(-1)}, span{math.Inf(1), math.Inf(-1)}
	for _, points := range lines {
		for _, p := range points {
			x = span{min(x.low, p.X), max(x.high, p.X)}
			y = span{min(y.low, p.Y), max(y.high, p.Y)}
		}
	}
	return x, y
}

// marks is the number of marks on a line.
const marks = 8

// marked returns the points with a mark: those at percentiles with a label, or some of a
// line over numbers, and always the last.
func (c Chart) marked(points []point) (some plotter.XYs) {
	every := max(1, len(points)/marks)
	for i, p := range points {
		last := len(points) - 1
		if c.percentiles && isPercentTick(p.X) || !c.percentiles && (last-i)%every == 0 || i == last {
			some = append(some, p)
		}
	}
	return some
}
