package main

import (
	"testing"

	"github.com/alecthomas/kong"

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

// TestDocumentedCommands: the documents name no command that does not exist.
func TestDocumentedCommands(t *testing.T) {
	cmdtest.DocumentedCommands(t, "(?:./)?roost-bench", 6, func() (*kong.Kong, error) { return newParser(new(grammar)) }, nil)
}

// TestLicensesOfProgram: docs/licenses.md says which modules this program contains.
func TestLicensesOfProgram(t *testing.T) { cmdtest.Licenses(t, "roost-bench") }
