package dashboard

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// unit is what a chart's axis has.
type unit string

// The units, with the names that the script knows.
const (
	unitCount   unit = "count"
	unitRate    unit = "rate"    // per second
	unitSeconds unit = "seconds" // a short time
	unitBytes   unit = "bytes"
	unitCPU     unit = "cpu" // CPUs, shown in percent of one
)

// text shows a value.
func (u unit) text(v float64) string {
	switch u {
	case unitRate:
		return rateText(v)
	case unitSeconds:
		return secondsText(v)
	case unitBytes:
		return sizeText(v)
	case unitCPU:
		return cpuText(v)
	}
	return countText(v)
}

// chart is one picture.
type chart struct {
	Title string
	Unit  unit
	Lines []line
}

// line is a line in a chart.
type line struct {
	Name   string // in history.json
	Label  string
	Latest string
	Text   string // what the line shows, for who cannot see it

	series series
}

// charts are the pictures of the overview.
var charts = []chart{
	{"Clients online", unitCount, []line{{series: seriesOnline, Label: "clients"}}},
	{"Logins per second", unitRate, []line{{series: seriesLogins, Label: "logins"}}},
	{"Messages per second", unitRate, []line{{series: seriesMessages, Label: "messages"}}},
	{"Delays", unitSeconds, []line{
		{series: seriesLoops, Label: "event loops"}, {series: seriesStore, Label: "database"}, {series: seriesLogin, Label: "99 % of logins"}}},
	{"Memory", unitBytes, []line{{series: seriesMemory, Label: "used"}, {series: seriesExpected, Label: "expected for idle clients"}}},
	{"CPU, 100 % is one core", unitCPU, []line{{series: seriesCPU, Label: "used"}, {series: seriesLoginCPU, Label: "expected for logins"}}},
}

// drawn returns the charts of a span of the history. A line of which nothing is known is
// left out, and so is a chart without lines.
func drawn(samples []sample, s span) (all []chart) {
	for _, c := range charts {
		lines := c.Lines
		c.Lines = nil
		for _, l := range lines {
			low, high, last := math.Inf(1), math.Inf(-1), math.NaN()
			for i := range samples {
				if v := float64(samples[i].values[l.series]); !math.IsNaN(v) {
					low, high, last = min(low, v), max(high, v), v
				}
			}
			if math.IsNaN(last) && len(samples) > 1 {
				continue
			}
			l.Name, l.Latest = seriesInfo[l.series].name, c.Unit.text(last)
			if math.IsNaN(last) {
				l.Text = l.Label + ": not known yet"
			} else {
				l.Text = fmt.Sprintf("%s: now %s, between %s and %s in the last %s", l.Label, l.Latest, c.Unit.text(low), c.Unit.text(high), spanNames[s])
			}
			c.Lines = append(c.Lines, l)
		}
		if len(c.Lines) > 0 {
			all = append(all, c)
		}
	}
	return all
}

var spanNames = map[span]string{hour: "hour", day: "24 hours"}

// tableRow is what the charts show of an interval, as text.
type tableRow struct {
	At    time.Time // its end
	Cells []string
}

// table returns the samples as a table of a dozen or two rows, the newest first, with a
// column for each line of the charts.
func table(samples []sample, s span, charts []chart) (rows []tableRow) {
	interval := int64(300)
	if s == day {
		interval = 3600
	}
	for end := len(samples); end > 0; {
		begin := end
		for begin > 0 && samples[begin-1].at/interval == samples[end-1].at/interval {
			begin--
		}
		row := tableRow{At: time.Unix(samples[end-1].at, 0)}
		for _, c := range charts {
			for _, l := range c.Lines {
				row.Cells = append(row.Cells, c.Unit.text(combine(samples[begin:end], l.series)))
			}
		}
		rows = append(rows, row)
		end = begin
	}
	return rows
}

// combine is the mean of a series, or the largest value where that is what matters.
func combine(samples []sample, i series) float64 {
	sum, high, n := 0.0, math.Inf(-1), 0
	for k := range samples {
		if v := float64(samples[k].values[i]); !math.IsNaN(v) {
			sum, high, n = sum+v, max(high, v), n+1
		}
	}
	switch {
	case n == 0:
		return math.NaN()
	case seriesInfo[i].worst:
		return high
	}
	return sum / float64(n)
}

// history serves the samples of a span as JSON, column by column. With since, only the
// newer ones.
func (d *Dashboard) history(v *visit) error {
	after := int64(0)
	if text := v.URL.Query().Get("since"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return badInput("since is not a Unix time")
		}
		after = n
	}
	text, err := json.Marshal(columns(d.cfg.History.since(v.span(), after)))
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	if v.Method != http.MethodHead {
		_, _ = v.w.Write(text)
	}
	return nil
}

// columns returns the samples by series; the key "t" has the times. Unknown values are null.
func columns(samples []sample) map[string][]any {
	all := map[string][]any{"t": make([]any, len(samples))}
	for i := range seriesInfo {
		column := make([]any, len(samples))
		for k := range samples {
			if v := samples[k].values[i]; v == v { // not NaN
				column[k] = v
			}
		}
		all[seriesInfo[i].name] = column
	}
	for k := range samples {
		all["t"][k] = samples[k].at
	}
	return all
}

// span is the part of the history that a request is for.
func (v *visit) span() span {
	if span(v.URL.Query().Get("span")) == day {
		return day
	}
	return hour
}
