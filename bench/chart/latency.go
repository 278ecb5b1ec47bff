package chart

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// percentiles have a tick and a line of the grid.
var percentiles = []float64{0, 50, 90, 99, 99.9, 99.99}

// listed are the percentiles that the legend has figures of.
var listed = []float64{50, 90, 99, 99.9}

// Latencies returns a chart of latencies: the X of each line are percents of events,
// such as "messages", the Y the milliseconds that this share took at most. The axis has as
// much space for 90 to 99 % as for 99 to 99.9 %. Latencies that span decades are
// on a logarithmic axis.
func Latencies(title, measured, events string, lines ...Line) Chart {
	c := Chart{
		Title: title, Measured: measured, percentiles: true, Y: "latency, ms",
		X: "share of " + events + " that took at most this long",
	}
	for _, p := range listed {
		c.Columns = append(c.Columns, percent(p))
	}
	for _, l := range lines {
		l.Figures = nil
		for _, p := range listed {
			l.Figures = append(l.Figures, l.at(p))
		}
		c.Lines = append(c.Lines, l)
	}
	if _, y := spans(c.drawable()); y.decades() {
		c.Y += " (logarithmic)"
	}
	return c
}

// at returns the latency at a percentile, "-" where there is none.
func (l Line) at(percent float64) string {
	for _, p := range l.points() {
		if p.X == percent {
			return Millis(p.Y)
		}
	}
	return "-"
}

// Millis returns milliseconds to about three digits, with their unit.
func Millis(ms float64) string {
	digits := 0
	for d := 3; d > 0; d-- {
		if math.Abs(ms) < math.Pow10(3-d) {
			digits = d
			break
		}
	}
	return label(ms, digits) + " ms"
}

// nines returns 1 for 90 %, 2 for 99 %, 3 for 99.9 %.
func nines(percent float64) float64 { return -math.Log10(1 - percent/100) }

func percentTicks() (ticks []plot.Tick) {
	for _, p := range percentiles {
		ticks = append(ticks, plot.Tick{Value: nines(p), Label: percent(p)})
	}
	return ticks
}

func percent(p float64) string { return strconv.FormatFloat(p, 'g', -1, 64) + " %" }

// isPercentTick reports whether there is a tick at this place.
func isPercentTick(x float64) bool {
	for _, p := range percentiles {
		if math.Abs(x-nines(p)) < 1e-9 {
			return true
		}
	}
	return false
}
