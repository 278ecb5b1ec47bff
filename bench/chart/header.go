package chart

import (
	"strings"

	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// header is the text above the lines: title, subtitle, legend, and the name of the
// vertical axis, which is easier to read there than rotated.
type header struct {
	title, measured []string // lines
	legend          legend
	axis            string
}

// Limits of a header, in lines.
const (
	maxTitle    = 2
	maxMeasured = 3
)

func (c Chart) header() header {
	const space = width - 2*margin
	return header{
		title:    wrap(titleStyle, space, maxTitle, c.Title),
		measured: wrap(measuredStyle, space, maxMeasured, c.Measured),
		legend:   newLegend(c.Columns, c.Lines, space),
		axis:     fit(axisStyle, space, c.Y),
	}
}

// lineHeight is the distance between two lines of text.
func lineHeight(s text.Style) vg.Length { return 1.35 * s.Font.Size }

func (h header) height() vg.Length {
	height := vg.Length(len(h.title))*lineHeight(titleStyle) + vg.Length(len(h.measured))*lineHeight(measuredStyle)
	return height + gap + h.legend.height() + gap + lineHeight(axisStyle) + gap
}

// draw draws the header at the top of a canvas.
func (h header) draw(c draw.Canvas) {
	y := c.Max.Y
	lines := func(s text.Style, lines []string) {
		for _, line := range lines {
			c.FillText(s, vg.Point{X: c.Min.X, Y: y}, line)
			y -= lineHeight(s)
		}
	}
	lines(titleStyle, h.title)
	lines(measuredStyle, h.measured)
	y -= gap
	h.legend.draw(c, y)
	y -= h.legend.height() + gap
	lines(axisStyle, []string{h.axis})
}

// wrap breaks text into lines at spaces, and truncates text that exceeds the last line.
func wrap(s text.Style, space vg.Length, limit int, words string) (lines []string) {
	line := ""
	for _, word := range strings.Fields(words) {
		longer := strings.TrimPrefix(line+" "+word, " ")
		if line == "" || s.Width(longer) <= space || len(lines) == limit-1 {
			line = longer
			continue
		}
		lines = append(lines, fit(s, space, line))
		line = word
	}
	if line == "" {
		return lines
	}
	return append(lines, fit(s, space, line))
}
