package chart

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// percentiles have a tick and a grid line.
var percentiles = []float64{0, 50, 90, 99, 99.9, 99.99}

// listed are the percentiles in the legend.
var listed = []float64{50, 90, 99, 99.9}

// Latencies returns a chart of latencies. The X values of each line are percentages of
// events, the Y values the latencies in milliseconds that these shares did not exceed.
// The range from 90 to 99 % has as much space as the range from 99 to 99.9 %. Latencies
// that span decades are on a logarithmic axis. events names the events, such as
// "messages".
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

// at returns the latency at a percentile, or "-".
func (l Line) at(percent float64) string {
	for _, p := range l.points() {
		if p.X == percent {
			return Millis(p.Y)
		}
	}
	return "-"
}

// Millis formats milliseconds with about three digits and the unit.
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

// isPercentTick reports whether there is a tick at this position.
func isPercentTick(x float64) bool {
	for _, p := range percentiles {
		if math.Abs(x-nines(p)) < 1e-9 {
			return true
		}
	}
	return false
}
