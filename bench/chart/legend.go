package chart

import (
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// legend is a table: a sample of each line, its name, and figures in columns.
type legend struct {
	columns []string
	lines   []Line
	right   []vg.Length // the right ends of the columns
	name    vg.Length   // the space for a name
}

const (
	sample    = 26 // the width of a sample
	columnGap = 20
)

func newLegend(columns []string, lines []Line, space vg.Length) legend {
	l := legend{columns: columns}
	for _, line := range lines {
		if len(line.Figures) > len(columns) {
			panic("chart: BUG: a figure without a column")
		}
		if line.Name != "" {
			l.lines = append(l.lines, line)
			l.name = max(l.name, legendStyle.Width(line.Name))
		}
	}
	widths := vg.Length(0)
	all := make([]vg.Length, len(columns))
	for i, heading := range columns {
		all[i] = headingStyle.Width(heading)
		for _, line := range l.lines {
			if i < len(line.Figures) {
				all[i] = max(all[i], legendStyle.Width(line.Figures[i]))
			}
		}
		widths += columnGap + all[i]
	}
	l.name = min(l.name, max(0, space-sample-widths))
	x := sample + l.name
	for _, w := range all {
		x += columnGap + w
		l.right = append(l.right, x)
	}
	return l
}

func (l legend) height() vg.Length {
	height := vg.Length(len(l.lines)) * lineHeight(legendStyle)
	if len(l.lines) > 0 && len(l.columns) > 0 {
		height += lineHeight(headingStyle)
	}
	return height
}

// draw draws the legend below y.
func (l legend) draw(c draw.Canvas, y vg.Length) {
	if len(l.lines) == 0 {
		return
	}
	heading, figure := headingStyle, legendStyle
	heading.XAlign, figure.XAlign = draw.XRight, draw.XRight
	for i, words := range l.columns {
		c.FillText(heading, vg.Point{X: c.Min.X + l.right[i], Y: y}, words)
	}
	if len(l.columns) > 0 {
		y -= lineHeight(headingStyle)
	}
	for i, line := range l.lines {
		middle := y - lineHeight(legendStyle)/2
		c.StrokeLine2(stroke(i), c.Min.X, middle, c.Min.X+sample-gap, middle)
		c.DrawGlyph(glyph(i), vg.Point{X: c.Min.X + (sample-gap)/2, Y: middle})
		c.FillText(legendStyle, vg.Point{X: c.Min.X + sample, Y: y}, fit(legendStyle, l.name, line.Name))
		for j, words := range line.Figures {
			c.FillText(figure, vg.Point{X: c.Min.X + l.right[j], Y: y}, words)
		}
		y -= lineHeight(legendStyle)
	}
}
