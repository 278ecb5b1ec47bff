package main

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"roost/internal/cli"
	"roost/internal/cmdtest"
)

var namedVariable = regexp.MustCompile(`\bROOST_[A-Z0-9_]+`)

// otherFlags are flags of other programs in the documents: apt-get, sysctl,
// systemd-run, useradd and systemctl.
var otherFlags = []string{"no-install-recommends", "system", "pipe", "wait", "home-dir", "shell", "now"}

// testVariables are read by tests.
var testVariables = []string{"ROOST_CROWD", "ROOST_CUT_STEP"}

// TestDocumentedFlags: every flag and every variable of the environment that the
// documents name exists. Flags of roost-bench are tested there.
func TestDocumentedFlags(t *testing.T) {
	parser, err := newParser(new(grammar))
	if err != nil {
		t.Fatal(err)
	}
	flags := cmdtest.Flags(t, parser)
	named := 0
	for name, text := range cmdtest.Documents(t) {
		for _, v := range namedVariable.FindAllString(text, -1) {
			flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(v, "ROOST_"), "_", "-"))
			if !flags[flag] && !slices.Contains(testVariables, v) {
				t.Errorf("%s: there is no flag for %s", name, v)
			}
		}
		if name == cmdtest.BenchmarkingPage {
			continue
		}
		for _, flag := range cmdtest.NamedFlags(cmdtest.WithoutCommands(text, "(?:./)?roost-bench")) {
			named++
			if !flags[flag] && !slices.Contains(otherFlags, flag) {
				t.Errorf("%s: there is no flag --%s", name, flag)
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d flags were found: the test has become blind", named)
	}
}

// TestDocumentedCommands: the commands that the documents give are accepted as they
// are written. In a sentence, a command may lack its arguments.
func TestDocumentedCommands(t *testing.T) {
	tried := 0
	for name, text := range cmdtest.Documents(t) {
		for _, c := range cmdtest.Commands(text, "roost") {
			tried++
			parser, err := newParser(new(grammar))
			if err != nil {
				t.Fatal(err)
			}
			parser.Exit = func(int) {} // after help
			parser.Stdout = io.Discard
			_, err = parser.Parse(cli.CommandOf(c.Args))
			if err != nil && !(c.Part && strings.HasPrefix(err.Error(), "expected ")) {
				t.Errorf("%s: roost %s: %v", name, strings.Join(c.Args, " "), err)
			}
			if c.Args[0] == "bench" {
				t.Errorf("%s: roost %s: measurements are in roost-bench", name, strings.Join(c.Args, " "))
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d commands were found: the test has become blind", tried)
	}
}

// TestLicensesOfProgram: docs/licenses.md says which modules this program contains.
func TestLicensesOfProgram(t *testing.T) { cmdtest.Licenses(t, "roost") }
