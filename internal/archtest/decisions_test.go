package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDecisions checks that the pages of docs/decisions have different numbers,
// that each begins with its number and has a status and the usual headings, and that
// README.md lists all of them.
func TestDecisions(t *testing.T) {
	const dir = "../../docs/decisions"
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	index := indexEntries(t, filepath.Join(dir, "README.md"))
	last := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		// Pages are written at the same time, so numbers may be missing for a while.
		var number int
		if _, err := fmt.Sscanf(name, "%04d-", &number); err != nil || number <= last {
			t.Errorf("%s: its number must be larger than %d", name, last)
		}
		last = number
		heading, _, _ := strings.Cut(string(text), "\n")
		if want := fmt.Sprintf("# %d. ", number); !strings.HasPrefix(heading, want) {
			t.Errorf("%s does not begin with %q", name, want)
		}
		for _, problem := range pageProblems(string(text)) {
			t.Errorf("%s: %s", name, problem)
		}
		want := fmt.Sprintf("- [%s](%s): ", strings.TrimPrefix(heading, "# "), name)
		if !slices.ContainsFunc(index, func(entry string) bool { return strings.HasPrefix(entry, want) && entry != want }) {
			t.Errorf("docs/decisions/README.md needs a line that begins with %q and summarizes the decision", want)
		}
	}
	if len(index) > len(files) {
		t.Errorf("docs/decisions/README.md has %d entries for %d pages", len(index), len(files))
	}
}

// TestDecisionProblems: the check finds violations.
func TestDecisionProblems(t *testing.T) {
	f := func(page, want string) {
		t.Helper()
		if got := strings.Join(pageProblems(page), "; "); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%q: %q, want %q", page, got, want)
		}
	}
	const sections = "\n## Problem\n\n## Decision\n\n## Rejected\n"
	f("# 1. X\n\nStatus: accepted.\n"+sections, "")
	f("# 1. X\n\nStatus: replaced by [2](0002-y.md).\n"+sections, "")
	f("# 1. X\n\nStatus: accepted.\n\n## Problem\n\n## Decision\n\n## Measurements\n\n## Rejected\n\n## Consequences\n", "")
	f("# 1. X\n"+sections, "status")
	f("# 1. X\n\nStatus: new.\n"+sections, "status")
	f("# 1. X\n\nStatus: accepted.\n\n## The problem\n\n## Decision\n\n## Rejected\n", "headings")
	f("# 1. X\n\nStatus: accepted.\n\n## Problem\n\n## Decision\n", "headings")
	f("# 1. X\n\nStatus: accepted.\n"+sections+"\n## Measurements\n", "headings")
}

// The status, after the title, and the headings of a page.
var (
	status   = regexp.MustCompile(`\A# .*\n\nStatus: (accepted|replaced by \[\d+\]\(\S+\.md\))\.\n`)
	sections = regexp.MustCompile(`^Problem,Decision,(Measurements,)?Rejected(,Consequences)?$`)
)

// pageProblems returns what is wrong with the status and the headings of a page.
func pageProblems(page string) (problems []string) {
	if !status.MatchString(page) {
		problems = append(problems, "no status after the title: see docs/decisions/README.md")
	}
	var headings []string
	for _, line := range strings.Split(page, "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			headings = append(headings, heading)
		}
	}
	if got := strings.Join(headings, ","); !sections.MatchString(got) {
		problems = append(problems, "the headings are "+got+": see docs/decisions/README.md")
	}
	return problems
}

// indexEntries returns the list items of a page.
func indexEntries(t *testing.T, file string) (entries []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "- ") {
			entries = append(entries, line)
		}
	}
	return entries
}
