package chart

import (
	"image/color"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The background is opaque: the text is dark, and the page may be dark, too.
var (
	background = color.RGBA{255, 255, 255, 255}
	ink        = color.RGBA{32, 32, 32, 255}
	faint      = color.RGBA{96, 96, 96, 255}
	gridColor  = color.RGBA{212, 212, 212, 255}
)

// colors are those of the Okabe-Ito palette that contrast with white. They are
// distinguishable with color blindness; the shapes are for monochrome vision.
var colors = []color.RGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}}

var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}}

// stroke and glyph are the styles of the i-th line.
func stroke(i int) draw.LineStyle {
	return draw.LineStyle{Color: colors[i%len(colors)], Width: 1.5}
}

func glyph(i int) draw.GlyphStyle {
	return draw.GlyphStyle{Color: colors[i%len(colors)], Radius: 3, Shape: shapes[i%len(shapes)]}
}

// letters is a text style, in points.
func letters(size vg.Length, c color.Color) text.Style {
	return text.Style{
		Color: c, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size),
		XAlign: draw.XLeft, YAlign: draw.YTop, Handler: plot.DefaultTextHandler,
	}
}

var (
	titleStyle    = bold(letters(14, ink))
	measuredStyle = letters(9, faint)
	legendStyle   = letters(10, ink)
	headingStyle  = letters(9, faint)
	axisStyle     = letters(10, ink)
	tickStyle     = letters(10, ink)
)

func bold(s text.Style) text.Style {
	s.Font.Weight = xfont.WeightBold
	return s
}

// fit truncates text to a width.
func fit(s text.Style, space vg.Length, words string) string {
	if s.Width(words) <= space {
		return words
	}
	letters := []rune(words)
	for len(letters) > 0 && s.Width(string(letters)+"…") > space {
		letters = letters[:len(letters)-1]
	}
	return string(letters) + "…"
}
