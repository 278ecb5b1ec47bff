package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// page is what is written at the end.
type page struct {
	options
	order   []scenario
	results map[string]map[string]result // by scenario and server
}

func (p *page) add(s scenario, server string, r result) {
	if p.results[s.name] == nil {
		p.results[s.name] = map[string]result{}
		p.order = append(p.order, s)
	}
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
		"Made by `%s` (all of it: `make bench-peers`), %s, commit %s, %s, %d CPUs, %s.\n\n", p.command(), time.Now().UTC().Format("2006-01-02"),
		output("git", "rev-parse", "--short", "HEAD"), cpu(), runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(&b, "Memory is the growth of the server's RSS between %s and %s sessions that are logged in, bound and available, then left alone for %s,\n"+
		"divided by their difference; nothing was forced. CPU is that of the server's process, user and system. Every scenario starts its server anew.\n"+
		"Configurations: [bench/peers](../peers). Take times as ratios: the machine is shared.\n\n",
		humanize.Comma(int64(p.base)), humanize.Comma(int64(p.sessions)), p.settle)
	b.WriteString("| |")
	for _, s := range p.servers {
		fmt.Fprintf(&b, " %s |", version(s))
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(p.servers)) + "\n")
	for _, s := range p.order {
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
	return os.WriteFile(p.out, b.Bytes(), 0o644)
}

func (p *page) row(b *bytes.Buffer, title string, f func(result) string, s scenario) {
	fmt.Fprintf(b, "| %s |", title)
	for _, name := range p.servers {
		fmt.Fprintf(b, " %s |", f(p.results[s.name][name]))
	}
	b.WriteString("\n")
}

func (p *page) command() string {
	return "go run ./bench/peers " + strings.Join(os.Args[1:], " ")
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
