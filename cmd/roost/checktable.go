package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"

	"roost/capacity"
)

// The columns of the table, 80 characters in total.
const (
	checkWidth  = 80
	checkIndent = "        " // below a title: two spaces, the mark, two spaces
	titleWidth  = 29
	foundWidth  = 21
)

// checkAreas are the headings, by area.
var checkAreas = map[string]string{
	"files": "Open files", "network": "Network", "memory": "Memory", "cpu": "CPU",
	"tls": "Certificates", "store": "Data",
}

// checkColors are the colors of the marks on a terminal.
var checkColors = map[capacity.Status]string{
	capacity.OK: "\x1b[32m", capacity.Warn: "\x1b[33m", capacity.Fail: "\x1b[1;31m",
}

// writeTable writes the report for people.
func (r *checkReport) writeTable(w io.Writer, color bool) error {
	t := &checkTable{color: color}
	with := "with TLS"
	if !r.TLS {
		with = "without TLS"
	}
	t.line("Can this machine hold %s sessions %s?", humanize.Comma(int64(r.Sessions)), with)
	area := ""
	for i := range r.Checks {
		if c := &r.Checks[i]; c.Area != area {
			area = c.Area
			t.heading(checkAreas[area], i == 0)
		}
		t.check(&r.Checks[i])
	}
	t.line("")
	if bytes.Contains(t.Bytes(), []byte("fix: sysctl ")) {
		t.line("sysctl settings are lost at reboot; deploy/90-roost.conf makes them permanent.\n")
	}
	t.line("%s", r.verdict())
	_, err := w.Write(t.Bytes())
	return err
}

// verdict returns the table's last line.
func (r *checkReport) verdict() string {
	answer := map[capacity.Status]string{
		capacity.OK: "Yes.", capacity.Warn: "Yes, but see the checks marked warn.", capacity.Fail: "No: fix the checks marked fail.",
	}[r.Status]
	if r.MaxSessions != nil {
		answer += fmt.Sprintf(" As configured, this machine holds %s sessions; the first limit: %s.", humanize.Comma(*r.MaxSessions), r.limitTitle)
	}
	return strings.Join(wrap(answer, checkWidth), "\n")
}

// checkTable is a table being written.
type checkTable struct {
	bytes.Buffer
	color bool
}

func (t *checkTable) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.WriteString(strings.TrimRight(text, " ") + "\n")
}

func (t *checkTable) heading(title string, first bool) {
	t.line("")
	if first {
		t.line("%-*s%-*s%s", len(checkIndent)+titleWidth, title, foundWidth, "found", "needs")
		return
	}
	t.line("%s", title)
}

func (t *checkTable) check(c *capacity.Check) {
	mark := fmt.Sprintf("%-4s", c.Status)
	if t.color {
		mark = checkColors[c.Status] + mark + "\x1b[0m"
	}
	t.line("  %s  %-*s%-*s%s", mark, titleWidth, c.Title+" ", foundWidth, c.Found+" ", c.Needs)
	for _, d := range c.Detail {
		for _, l := range wrap(d, checkWidth-len(checkIndent)) {
			t.line("%s%s", checkIndent, l)
		}
	}
	for _, m := range c.Fix {
		// Commands are never wrapped, so that they can be copied.
		t.line("%sfix: %s", checkIndent, m)
	}
}

// wrap breaks a text into lines of the given width, between words where possible. It
// keeps spaces that align text.
func wrap(text string, width int) (lines []string) {
	for len(text) > width {
		cut := strings.LastIndexByte(text[:width+1], ' ')
		if cut <= 0 {
			if cut = strings.IndexByte(text, ' '); cut < 0 {
				break
			}
		}
		lines = append(lines, strings.TrimRight(text[:cut], " "))
		text = strings.TrimLeft(text[cut:], " ")
	}
	return append(lines, text)
}
