package chart

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/plot"
)

func labels(ticks []plot.Tick) string {
	var all []string
	for _, t := range ticks {
		if !t.IsMinor() {
			all = append(all, t.Label)
		}
	}
	return strings.Join(all, " ")
}

// TestLinearTicks: ticks are round numbers, and few.
func TestLinearTicks(t *testing.T) {
	f := func(low, high float64, n int, want string) {
		t.Helper()
		if got := labels(linearTicks(low, high, n)); got != want {
			t.Errorf("%v to %v: %s, want %s", low, high, got, want)
		}
	}
	f(0, 15000, 7, "0 2,500 5,000 7,500 10,000 12,500 15,000")
	f(0, 690, 7, "0 100 200 300 400 500 600 700")
	f(0, 1, 7, "0.0 0.2 0.4 0.6 0.8 1.0")
	f(0, 0.0025, 7, "0.0000 0.0005 0.0010 0.0015 0.0020 0.0025")
	f(0, 0.3, 3, "0.0 0.1 0.2 0.3")
	f(0, 0.9, 4, "0.00 0.25 0.50 0.75 1.00")
	f(-5, 5, 4, "-5.0 -2.5 0.0 2.5 5.0")
	f(0, 0, 7, "0.0 0.2 0.4 0.6 0.8 1.0")
	f(0, 7, 1, "0 10")
	f(0, 3e15, 3, "0 1e+15 2e+15 3e+15")
	for _, high := range []float64{1, 1.01, 3, 9.99, 47, 333, 1234, 15000, 99999, 1e6, 7.7e9} {
		for n := 1; n <= 8; n++ {
			ticks := linearTicks(0, high, n)
			if len(ticks) > n+1 || len(ticks) < 2 || ticks[len(ticks)-1].Value < high {
				t.Errorf("0 to %v: %s for %d intervals", high, labels(ticks), n)
			}
			step := ticks[1].Value - ticks[0].Value
			mantissa := step / math.Pow10(int(math.Floor(math.Log10(step)+1e-9)))
			if r := strconv.FormatFloat(mantissa, 'g', 4, 64); r != "1" && r != "2" && r != "2.5" && r != "5" {
				t.Errorf("0 to %v: a step of %v is not round", high, step)
			}
		}
	}
}

// TestLogTicks: labels are powers of ten, and also 2 and 5 times those if there is space.
// The axis ends near the largest value.
func TestLogTicks(t *testing.T) {
	f := func(low, high float64, want string, first, last float64) {
		t.Helper()
		ticks := logTicks(low, high)
		if got := labels(ticks); got != want || ticks[0].Value != first || ticks[len(ticks)-1].Value != last {
			t.Errorf("%v to %v: %s from %v to %v, want %s from %v to %v", low, high, got, ticks[0].Value, ticks[len(ticks)-1].Value, want, first, last)
		}
	}
	f(0.04, 110, "0.1 1 10 100", 0.02, 200)
	f(0.3, 30, "0.2 0.5 1 2 5 10 20 50", 0.2, 50)
	f(1, 10, "1 2 5 10", 1, 10)
	f(0.001, 60000, "0.001 0.01 0.1 1 10 100 1,000 10,000 100,000", 0.001, 100000)
}

// TestFitting: the number of ticks depends on the space for their labels. Without space,
// there is one interval.
func TestFitting(t *testing.T) {
	wide, narrow, none := fitting(0, 15000, 600), fitting(0, 15000, 160), fitting(0, 15000, 1)
	if labels(wide) != "0 2,500 5,000 7,500 10,000 12,500 15,000" || labels(narrow) != "0 10,000 20,000" || labels(none) != "0 20,000" {
		t.Errorf("%s; %s; %s", labels(wide), labels(narrow), labels(none))
	}
}

// TestLabels: thousands are separated, and the number of digits is as requested.
func TestLabels(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f(label(1234567.5, 1), "1,234,567.5")
	f(label(-1234.25, 2), "-1,234.25")
	f(label(0.999, 0), "1")
	f(Millis(0.0421), "0.042 ms")
	f(Millis(3.456), "3.46 ms")
	f(Millis(43.11), "43.1 ms")
	f(Millis(12345.6), "12,346 ms")
}
