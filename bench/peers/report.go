package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"roost/bench/chart"
)

// compared are the names of the servers compared, in the order of the page.
var compared = []string{"roost", "prosody", "ejabberd"}

// page is the content of the page. The measurements are kept beside it as JSON, so that a
// partial run updates only its part, and the page and charts can be written again without
// measuring.
type page struct {
	options
	results map[string]map[string]result // by scenario and server
}

// load reads previous measurements, if there are any.
func (p *page) load() error {
	b, err := os.ReadFile(p.json())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, &p.results)
}

func (p *page) json() string { return strings.TrimSuffix(p.out, ".md") + ".json" }

func (p *page) add(s scenario, server string, r result) {
	if p.results[s.name] == nil {
		p.results[s.name] = map[string]result{}
	}
	r["date"] = time.Now().UTC().Format("2006-01-02")
	r["commit"] = output("git", "rev-parse", "--short", "HEAD")
	r["command"] = strings.TrimSpace("go run ./bench/peers " + strings.Join(os.Args[1:], " "))
	r["machine"] = chart.Machine()
	r["server"] = version(server)
	p.results[s.name][server] = r
	fmt.Fprintf(os.Stderr, "  %s %s\n", figure(r, s.value), s.unit)
}

// figure returns one number of a result.
func figure(r result, name string) string {
	v, ok := r[name].(float64)
	switch {
	case !ok:
		return "-"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return humanize.Comma(int64(v + 0.5))
}

// save writes the measurements.
func (p *page) save() error {
	all, err := json.MarshalIndent(p.results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(p.json(), append(all, '\n'), 0o644)
}

// write creates the page and its charts from the measurements only.
func (p *page) write() error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# roost beside other servers\n\n"+
		"Made by `make bench-peers`, %s; the date, commit and command of each figure are in [%s](%s).\n"+
		"`make charts` draws the charts, and writes this page, again.\n\n",
		strings.Join(p.all("machine"), "; "), filepath.Base(p.json()), filepath.Base(p.json()))
	b.WriteString("Memory is the growth of the server's RSS between two numbers of sessions (2,000 and 15,000 unless the command says otherwise) that are\n" +
		"logged in, bound and available, then left alone, divided by their difference; nothing was forced. CPU is that of the server's process, user and\n" +
		"system. Every scenario starts its server anew. Configurations: [bench/peers](../peers). Take times as ratios: the machine is shared.\n\n")
	b.WriteString("| |")
	for _, name := range compared {
		fmt.Fprintf(&b, " %s |", strings.Join(p.distinct("server", name), ", "))
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(compared)) + "\n")
	for _, s := range scenarios(p.options) {
		if p.results[s.name] == nil {
			continue
		}
		p.row(&b, s.name+", "+s.unit, func(r result) string { return figure(r, s.value) }, s)
		if _, ok := p.results[s.name][compared[0]]["server_idle_cpu_percent"]; ok {
			p.row(&b, "CPU while they idle, each with a ping per minute, % of one CPU", func(r result) string { return figure(r, "server_idle_cpu_percent") }, s)
		}
		if _, ok := p.results[s.name][compared[0]]["latency"]; ok {
			p.row(&b, "… per second", func(r result) string { return figure(r, "per_second") }, s)
		}
	}
	if err := os.MkdirAll(filepath.Dir(p.out), 0o755); err != nil {
		return err
	}
	if err := p.charts(&b); err != nil {
		return err
	}
	return os.WriteFile(p.out, b.Bytes(), 0o644)
}

func (p *page) row(b *bytes.Buffer, title string, f func(result) string, s scenario) {
	fmt.Fprintf(b, "| %s |", title)
	for _, name := range compared {
		fmt.Fprintf(b, " %s |", f(p.results[s.name][name]))
	}
	b.WriteString("\n")
}

// all returns the distinct values of a text field of all results.
func (p *page) all(field string) []string { return p.distinct(field, compared...) }

// distinct returns the distinct values of a text field of the results of some servers, in
// the order of the page.
func (p *page) distinct(field string, names ...string) []string {
	var results []result
	for _, s := range scenarios(p.options) {
		for _, name := range names {
			results = append(results, p.results[s.name][name])
		}
	}
	return distinct(field, results)
}

// distinct returns the distinct values of a text field.
func distinct(field string, results []result) (values []string) {
	for _, r := range results {
		if v, ok := r[field].(string); ok && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// version returns a server's name with its version.
func version(name string) string {
	switch name {
	case "prosody", "ejabberd":
		v, _, _ := strings.Cut(output("dpkg-query", "-W", "-f", "${Version}", name), "-")
		return map[string]string{"prosody": "Prosody", "ejabberd": "ejabberd"}[name] + " " + v
	}
	return name
}

func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
