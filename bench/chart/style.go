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

// The background is solid: the text is dark, and a page may be, too.
var (
	background = color.RGBA{255, 255, 255, 255}
	ink        = color.RGBA{32, 32, 32, 255}
	faint      = color.RGBA{96, 96, 96, 255}
	gridColor  = color.RGBA{212, 212, 212, 255}
)

// colors are those of Okabe and Ito that stand out from white. People who see fewer
// colours tell them apart; the shapes are for those who see none.
var colors = []color.RGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}}

var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}}

// stroke and glyph are the looks of the i-th line.
func stroke(i int) draw.LineStyle {
	return draw.LineStyle{Color: colors[i%len(colors)], Width: 1.5}
}

func glyph(i int) draw.GlyphStyle {
	return draw.GlyphStyle{Color: colors[i%len(colors)], Radius: 3, Shape: shapes[i%len(shapes)]}
}

// letters is a style of text, in points.
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

// fit cuts text that is wider than there is space.
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
