package dashboard

import (
	"fmt"
	"math"
	"time"

	"github.com/dustin/go-humanize"

	"roost/internal/human"
)

// formats are functions of the templates: how values are shown to people.
var formats = map[string]any{
	"comma": comma, "total": total, "bytes": bytesText, "age": human.Age, "printable": printable, "stamp": stamp, "clock": clock, "protection": protection, "transport": transport,
}

// unknown is shown where a value is not known.
const unknown = "–"

func comma(n int64) string { return humanize.Comma(n) }

func total(n uint64) string { return comma(int64(n)) }

func bytesText(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

// meter is how much of something is done.
type meter struct{ Done, Total int64 }

// Max and Value are those of a progress bar, which cannot be 0 long. That of nothing is full.
func (m meter) Max() int64   { return max(m.Total, 1) }
func (m meter) Value() int64 { return m.Max() - m.Total + m.Done }

// rateText is a number per second.
func rateText(v float64) string {
	switch {
	case math.IsNaN(v):
		return unknown
	case v == 0:
		return "0"
	case v < 0.1:
		return "< 0.1"
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return comma(int64(math.Round(v)))
}

// secondsText is a short time.
func secondsText(v float64) string {
	switch {
	case math.IsNaN(v):
		return unknown
	case v < 0.0001:
		return "< 0.1 ms"
	case v < 0.01:
		return fmt.Sprintf("%.1f ms", v*1000)
	case v < 1:
		return fmt.Sprintf("%.0f ms", v*1000)
	}
	return fmt.Sprintf("%.1f s", v)
}

// cpuText is a number of CPUs, in percent of one.
func cpuText(v float64) string {
	switch {
	case math.IsNaN(v):
		return unknown
	case v < 0.1:
		return fmt.Sprintf("%.1f %%", v*100)
	}
	return comma(int64(math.Round(v*100))) + " %"
}

// countText is a number of things.
func countText(v float64) string {
	if math.IsNaN(v) {
		return unknown
	}
	return comma(int64(math.Round(v)))
}

// sizeText is a number of bytes.
func sizeText(v float64) string {
	if math.IsNaN(v) {
		return unknown
	}
	return bytesText(int64(v))
}

// stamp is a time for the attribute datetime.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// clock is a time of day. A script shows it in the browser's time zone.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") + " UTC" }

// printable makes a text, parts of which clients choose, fit for a page.
func printable(text string) string { return human.Printable(text, '\ufffd') }
