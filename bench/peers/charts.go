package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"

	"roost/bench/chart"
)

// charts draws, for each scenario with such results, the memory of the servers over their
// sessions, and latencies. It adds the files to the page.
func (p *page) charts(b *bytes.Buffer) error {
	for _, s := range scenarios(p.options) {
		var results []result
		for _, name := range compared {
			results = append(results, p.results[s.name][name])
		}
		for _, c := range []chart.Chart{memoryChart(s, results), latencyChart(s, results)} {
			if len(c.Lines) == 0 {
				continue
			}
			file := p.chartName(c.Title)
			if err := c.Write(filepath.Join(filepath.Dir(p.out), file)); err != nil {
				return err
			}
			fmt.Fprintf(b, "\n![%s](%s)\n", c.Title, file)
		}
	}
	return nil
}

// chartName returns the name of a chart's file, in the directory of the page.
func (p *page) chartName(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return r != '.' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.TrimSuffix(filepath.Base(p.out), ".md") + "-" + strings.Join(words, "-") + ".svg"
}

func memoryChart(s scenario, results []result) chart.Chart {
	c := chart.Chart{
		Title: title(s.name), Measured: measured(results), X: "clients online", Y: "memory of the server, MiB",
		Columns: []string{"clients", "memory at rest", "per client"},
	}
	for _, r := range results {
		l := line(r, r["growth"], "sessions", "rss", 1<<20)
		if len(l.X) == 0 {
			continue
		}
		l.Figures = []string{figure(r, "sessions"), megabytes(r["server_rss"]), figure(r, "server_rss_bytes_per_session") + " B"}
		c.Lines = append(c.Lines, l)
	}
	return c
}

func latencyChart(s scenario, results []result) chart.Chart {
	var lines []chart.Line
	for _, r := range results {
		took, _ := r["latency"].(map[string]any)
		if l := line(r, took["curve"], "percent", "us", 1000); len(l.X) > 0 && s.latency != "" {
			lines = append(lines, l)
		}
	}
	return chart.Latencies(title(s.latency), measured(results), "messages", lines...)
}

// title capitalizes the first letter.
func title(words string) string {
	return strings.ToUpper(words[:min(1, len(words))]) + words[min(1, len(words)):]
}

// line returns a chart's line for a list of points from JSON.
func line(r result, points any, x, y string, unit float64) chart.Line {
	name, _ := r["server"].(string)
	l := chart.Line{Name: name}
	all, _ := points.([]any)
	for _, v := range all {
		point, _ := v.(map[string]any)
		at, _ := point[x].(float64)
		value, _ := point[y].(float64)
		l.X = append(l.X, at)
		l.Y = append(l.Y, value/unit)
	}
	return l
}

// measured describes when, where and how the results were measured.
func measured(results []result) string {
	return fmt.Sprintf("Measured %s at commit %s on %s, by %s", strings.Join(distinct("date", results), ", "), strings.Join(distinct("commit", results), ", "),
		strings.Join(distinct("machine", results), "; "), strings.Join(distinct("command", results), "; "))
}

func megabytes(v any) string {
	n, ok := v.(float64)
	if !ok {
		return "-"
	}
	return humanize.Comma(int64(n/(1<<20)+0.5)) + " MiB"
}
