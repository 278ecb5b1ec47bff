package main

import (
	"io"
	"strings"
	"testing"

	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// TestDocumentedFlags: every flag that the page about benchmarks names exists, lines
// with commands of the server left aside.
func TestDocumentedFlags(t *testing.T) {
	parser, err := newParser(new(grammar))
	if err != nil {
		t.Fatal(err)
	}
	flags := cmdtest.Flags(t, parser)
	page := cmdtest.WithoutCommands(cmdtest.Documents(t)[cmdtest.BenchmarkingPage], "roost")
	named := cmdtest.NamedFlags(page)
	for _, flag := range named {
		if !flags[flag] {
			t.Errorf("there is no flag --%s", flag)
		}
	}
	if len(named) < 10 {
		t.Errorf("only %d flags were found: the test has become blind", len(named))
	}
}

// TestDocumentedCommands: the commands that the documents give are accepted as they
// are written. In a sentence, a command may lack its arguments.
func TestDocumentedCommands(t *testing.T) {
	tried := 0
	for name, text := range cmdtest.Documents(t) {
		for _, c := range cmdtest.Commands(text, "(?:./)?roost-bench") {
			tried++
			parser, err := newParser(new(grammar))
			if err != nil {
				t.Fatal(err)
			}
			parser.Exit = func(int) {} // after help
			parser.Stdout = io.Discard
			_, err = parser.Parse(cli.CommandOf(c.Args))
			if missing := err != nil && (strings.HasPrefix(err.Error(), "expected ") || strings.Contains(err.Error(), "FILE")); err != nil && !(c.Part && missing) {
				t.Errorf("%s: roost-bench %s: %v", name, strings.Join(c.Args, " "), err)
			}
		}
	}
	if tried < 6 {
		t.Errorf("only %d commands were found: the test has become blind", tried)
	}
}

// TestLicensesOfProgram: docs/licenses.md says which modules this program contains.
func TestLicensesOfProgram(t *testing.T) { cmdtest.Licenses(t, "roost-bench") }
