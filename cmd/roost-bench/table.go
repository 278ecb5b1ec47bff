package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"roost/bench"
)

// row is one line of a result. A row without a value was not measured and is not shown.
type row struct {
	name  string
	value string // a number with thousands separators
	unit  string
	note  string
}

// table writes a result for people. It aligns decimal points and units.
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

// parts splits a number at its decimal point.
func parts(number string) (whole, fraction string) {
	if i := strings.IndexByte(number, '.'); i >= 0 {
		return number[:i], number[i:]
	}
	return number, ""
}

func letters(s string) int { return utf8.RuneCountInString(s) }

// count returns a row with an integer.
func count(name string, n int64, unit, note string) row {
	return row{name, humanize.Comma(n), unit, note}
}

// measured returns a row with a figure, without a value if there is none.
func measured(name string, v float64, unit, note string) row {
	switch {
	case v == 0:
		return row{}
	case v < 100:
		return row{name, fixed(v, 1), unit, note}
	}
	return row{name, fixed(v, 0), unit, note}
}

// fixed formats a number with this many digits after the decimal point.
func fixed(v float64, digits int) string {
	return humanize.FormatFloat("#,###."+strings.Repeat("#", digits), v)
}

func memoryRow(name string, bytes int64) row {
	return measured(name, float64(bytes)/(1<<20), "MiB", "")
}

// latencyRows use the same number of digits throughout: latencies are recorded in
// microseconds.
func latencyRows(l bench.Latency) []row {
	f := func(name string, us float64) row { return row{"latency, " + name, fixed(us/1000, 3), "ms", ""} }
	return []row{f("median", l.P50), f("90 %", l.P90), f("99 %", l.P99), f("99.9 %", l.P999), f("maximum", l.Max)}
}
