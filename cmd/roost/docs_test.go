package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// documents are the files that tell people how to use the program, by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "docs/decisions/*.md", "deploy/*", "test/interop/*.md"} {
		names, err := filepath.Glob("../../" + pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no files: %v", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[strings.TrimPrefix(name, "../../")] = string(text)
		}
	}
	return all
}

var (
	namedFlag     = regexp.MustCompile("(?:^|[\\s`(])--([a-z][a-z0-9-]*)")
	namedVariable = regexp.MustCompile(`\bROOST_[A-Z0-9_]+`)
)

// otherFlags are flags of other programs in the documents: apt-get, sysctl,
// systemd-run, useradd and systemctl.
var otherFlags = []string{"no-install-recommends", "system", "pipe", "wait", "home-dir", "shell", "now"}

// testVariables are read by tests.
var testVariables = []string{"ROOST_CROWD", "ROOST_CUT_STEP"}

// TestDocumentedFlags: every flag and every variable of the environment that the
// documents name exists.
func TestDocumentedFlags(t *testing.T) {
	flags := make(map[string]bool)
	parser, err := newParser(new(cli))
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok {
			flags[f.Name] = true
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for name, text := range documents(t) {
		for _, m := range namedFlag.FindAllStringSubmatch(text, -1) {
			named++
			if !flags[m[1]] && !slices.Contains(otherFlags, m[1]) {
				t.Errorf("%s: there is no flag --%s", name, m[1])
			}
		}
		for _, v := range namedVariable.FindAllString(text, -1) {
			flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(v, "ROOST_"), "_", "-"))
			if !flags[flag] && !slices.Contains(testVariables, v) {
				t.Errorf("%s: there is no flag for %s", name, v)
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d flags were found: the test has become blind", named)
	}
}

var (
	namedCommand = regexp.MustCompile("(?m)^    (?:go run \\./cmd/)?roost ([^#|\n]*[^#|\\s])")
	inText       = regexp.MustCompile("`roost ([a-z][^`|\n]*)")
)

// TestDocumentedCommands: the commands that the documents give are accepted as they
// are written; where text follows in brackets, it is left out. In a sentence, a command
// may lack its arguments.
func TestDocumentedCommands(t *testing.T) {
	tried := 0
	for name, text := range documents(t) {
		whole := namedCommand.FindAllStringSubmatch(text, -1)
		for i, m := range slices.Concat(whole, inText.FindAllStringSubmatch(text, -1)) {
			line, _, _ := strings.Cut(m[1], "[")
			line = strings.NewReplacer("$!", "1", "…", "", " &", "", "/etc/roost/roost.toml", "../../deploy/roost.toml").Replace(line)
			args := commandOf(strings.Fields(line))
			tried++
			parser, err := newParser(new(cli))
			if err != nil {
				t.Fatal(err)
			}
			parser.Exit = func(int) {} // after help
			parser.Stdout = io.Discard
			_, err = parser.Parse(args)
			if err != nil && i >= len(whole) && strings.HasPrefix(err.Error(), "expected ") {
				err = nil
			}
			if err != nil {
				t.Errorf("%s: roost %s: %v", name, line, err)
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d commands were found: the test has become blind", tried)
	}
}
