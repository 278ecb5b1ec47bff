package chart

import (
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/plot"
)

// roundSteps are the distances between ticks, times a power of ten.
var roundSteps = []float64{1, 2, 2.5, 5, 10}

// linearTicks returns ticks at round values that cover low to high, with at most this
// many intervals.
func linearTicks(low, high float64, intervals int) []plot.Tick {
	low, high = min(low, high), max(low, high)
	if high == low {
		high = low + 1
	}
	power := math.Pow10(int(math.Floor(math.Log10((high - low) / float64(intervals)))))
	for _, round := range roundSteps {
		// Multiples of the step, since sums of steps accumulate rounding errors.
		step := round * power
		first, last := math.Floor(low/step), math.Ceil(high/step)
		if round < 10 && last-first > float64(intervals) {
			continue
		}
		digits := decimals(step)
		var ticks []plot.Tick
		for i := first; i <= last && len(ticks) <= 2*intervals; i++ {
			ticks = append(ticks, plot.Tick{Value: i * step, Label: label(i*step, digits)})
		}
		return ticks
	}
	panic("chart: BUG: no step fits")
}

// manyDecades is the number of decades from which only powers of ten have labels.
const manyDecades = 4

// logTicks returns ticks at multiples of powers of ten that cover low to high, which must
// be positive. The first and last are 1, 2 or 5 times a power of ten; ticks at other
// multiples have no label.
func logTicks(low, high float64) []plot.Tick {
	first, last := int(math.Floor(math.Log10(low))), int(math.Ceil(math.Log10(high)))
	few := last-first < manyDecades
	var ticks []plot.Tick
	for e := first; e <= last; e++ {
		for i := range 9 {
			// Divide if it is less than 1, to get 0.3 instead of 0.30000000000000004.
			t := plot.Tick{Value: float64(i+1) * math.Pow10(max(0, e)) / math.Pow10(max(0, -e))}
			round := i+1 == 1 || i+1 == 2 || i+1 == 5
			if i == 0 || few && round {
				t.Label = label(t.Value, max(0, -e))
			}
			if round && t.Value <= low {
				ticks = nil // the axis begins here or later
			}
			ticks = append(ticks, t)
			if round && t.Value >= high && len(ticks) > 1 {
				return ticks
			}
		}
	}
	return ticks
}

// decimals returns the number of decimal places of a multiple of a step.
func decimals(step float64) int {
	for digits := range 12 {
		if scaled := step * math.Pow10(digits); math.Abs(scaled-math.Round(scaled)) < 1e-9*scaled {
			return digits
		}
	}
	return 12
}

// label formats a number with thousands separators.
func label(v float64, digits int) string {
	if math.Abs(v) >= 1e15 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	text := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	whole, _ := strconv.ParseInt(text[:len(text)-fraction(digits)], 10, 64)
	text = humanize.Comma(whole) + text[len(text)-fraction(digits):]
	if v < 0 {
		return "-" + text
	}
	return text
}

// fraction returns the length of the decimal point and the digits after it.
func fraction(digits int) int {
	if digits == 0 {
		return 0
	}
	return digits + 1
}
