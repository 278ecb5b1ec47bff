package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"roost/bench"
)

// row is one figure of a result for people. A row without a value is not shown: it was
// not measured.
type row struct {
	name  string
	value string // a number with separators of thousands
	unit  string
	note  string
}

// table writes a result for people. The points of numbers are below each other, and so
// are units.
func table(w io.Writer, title string, rows []row) {
	name, whole, fraction, unit := 0, 0, 0, 0
	for _, r := range rows {
		if r.value == "" {
			continue
		}
		before, after := parts(r.value)
		name, unit = max(name, letters(r.name)), max(unit, letters(r.unit))
		whole, fraction = max(whole, len(before)), max(fraction, len(after))
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, r := range rows {
		if r.value == "" {
			continue
		}
		before, after := parts(r.value)
		line := fmt.Sprintf("  %-*s  %*s%-*s  %-*s  %s", name, r.name, whole, before, fraction, after, unit, r.unit, r.note)
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// parts divides a number before its point.
func parts(number string) (whole, fraction string) {
	if i := strings.IndexByte(number, '.'); i >= 0 {
		return number[:i], number[i:]
	}
	return number, ""
}

func letters(s string) int { return utf8.RuneCountInString(s) }

// count is a row with a whole number.
func count(name string, n int64, unit, note string) row {
	return row{name, humanize.Comma(n), unit, note}
}

// measured is a row with a figure, without a value if there is none.
func measured(name string, v float64, unit, note string) row {
	switch {
	case v == 0:
		return row{}
	case v < 100:
		return row{name, fixed(v, 1), unit, note}
	}
	return row{name, fixed(v, 0), unit, note}
}

// fixed is a number with this many digits after its point.
func fixed(v float64, digits int) string {
	return humanize.FormatFloat("#,###."+strings.Repeat("#", digits), v)
}

func memoryRow(name string, bytes int64) row {
	return measured(name, float64(bytes)/(1<<20), "MiB", "")
}

// latencyRows have as many digits each: latencies are recorded to the microsecond.
func latencyRows(l bench.Latency) []row {
	f := func(name string, us float64) row { return row{"latency, " + name, fixed(us/1000, 3), "ms", ""} }
	return []row{f("median", l.P50), f("90 %", l.P90), f("99 %", l.P99), f("99.9 %", l.P999), f("worst", l.Max)}
}
