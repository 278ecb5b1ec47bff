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
	"runtime"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"roost/bench/chart"
)

// page is what is written at the end. What was measured is kept beside it as
// JSON, so that a run of a part renews that part.
type page struct {
	options
	results map[string]map[string]result // by scenario and server
}

// load reads what was measured before, if anything was.
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
	r["command"] = "go run ./bench/peers " + strings.Join(os.Args[1:], " ")
	p.results[s.name][server] = r
	fmt.Fprintf(os.Stderr, "  %s %s\n", figure(r, s.value), s.unit)
}

// figure is one number of a result.
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

func (p *page) write() error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# roost beside other servers\n\n"+
		"Made by `make bench-peers`, %s, %d CPUs, %s; the date, commit and command of each figure are in [%s](%s).\n\n",
		cpu(), runtime.NumCPU(), runtime.Version(), filepath.Base(p.json()), filepath.Base(p.json()))
	b.WriteString("Memory is the growth of the server's RSS between two numbers of sessions (2,000 and 15,000 unless the command says otherwise) that are\n" +
		"logged in, bound and available, then left alone, divided by their difference; nothing was forced. CPU is that of the server's process, user and\n" +
		"system. Every scenario starts its server anew. Configurations: [bench/peers](../peers). Take times as ratios: the machine is shared.\n\n")
	p.servers = []string{"roost", "prosody", "ejabberd"}
	b.WriteString("| |")
	for _, s := range p.servers {
		fmt.Fprintf(&b, " %s |", version(s))
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(p.servers)) + "\n")
	for _, s := range scenarios(p.options) {
		if p.results[s.name] == nil {
			continue
		}
		p.row(&b, s.name+", "+s.unit, func(r result) string { return figure(r, s.value) }, s)
		if _, ok := p.results[s.name][p.servers[0]]["server_idle_cpu_percent"]; ok {
			p.row(&b, "CPU while they idle, each with a ping per minute, % of one CPU", func(r result) string { return figure(r, "server_idle_cpu_percent") }, s)
		}
		if _, ok := p.results[s.name][p.servers[0]]["latency"]; ok {
			p.row(&b, "… per second", func(r result) string { return figure(r, "per_second") }, s)
		}
	}
	if err := os.MkdirAll(filepath.Dir(p.out), 0o755); err != nil {
		return err
	}
	if err := p.pictures(&b); err != nil {
		return err
	}
	all, err := json.MarshalIndent(p.results, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.json(), append(all, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(p.out, b.Bytes(), 0o644)
}

// pictures draws the memory of the servers over their sessions, and latencies, for
// each scenario that has them.
func (p *page) pictures(b *bytes.Buffer) error {
	for _, s := range scenarios(p.options) {
		memory := chart.Graph{Title: s.name, X: "clients online", Y: "memory of the server, MiB"}
		var latency []chart.Line
		for _, name := range p.servers {
			r := p.results[s.name][name]
			if l := line(version(name), r["growth"], "sessions", "rss", 1<<20); len(l.X) > 1 {
				memory.Lines = append(memory.Lines, l)
			}
			took, _ := r["latency"].(map[string]any)
			if l := line(version(name), took["curve"], "percent", "us", 1000); len(l.X) > 1 && s.latency != "" {
				latency = append(latency, l)
			}
		}
		for _, g := range []chart.Graph{memory, chart.Latencies(s.latency, latency...)} {
			if len(g.Lines) == 0 {
				continue
			}
			file := strings.TrimSuffix(filepath.Base(p.out), ".md") + "-" + strings.Join(strings.FieldsFunc(strings.ToLower(g.Title), notWord), "-")
			if err := g.Write(filepath.Join(filepath.Dir(p.out), file)); err != nil {
				return err
			}
			fmt.Fprintf(b, "\n![%s](%s.svg)\n", g.Title, file)
		}
	}
	return nil
}

// line is a line of a picture, from a list of points as JSON has them.
func line(name string, points any, x, y string, unit float64) chart.Line {
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

func notWord(r rune) bool { return r != '.' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }

func (p *page) row(b *bytes.Buffer, title string, f func(result) string, s scenario) {
	fmt.Fprintf(b, "| %s |", title)
	for _, name := range p.servers {
		fmt.Fprintf(b, " %s |", f(p.results[s.name][name]))
	}
	b.WriteString("\n")
}

// version is a server's name with its version.
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

// cpu is the processor's name.
func cpu() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}
