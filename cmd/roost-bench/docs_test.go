package main

import (
	"testing"

	"github.com/alecthomas/kong"

	"roost/internal/cmdtest"
)

// TestDocumentedFlags: every flag on the page about benchmarks exists, except on lines
// with commands of the server.
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
			t.Errorf("flag --%s does not exist", flag)
		}
	}
	if len(named) < 10 {
		t.Errorf("only %d flags were found: the test no longer finds them", len(named))
	}
}

// TestDocumentedCommands: every command in the documents exists.
func TestDocumentedCommands(t *testing.T) {
	cmdtest.DocumentedCommands(t, "(?:./)?roost-bench", 6, func() (*kong.Kong, error) { return newParser(new(grammar)) }, nil)
}

// TestLicensesOfProgram: docs/licenses.md lists the modules in this program.
func TestLicensesOfProgram(t *testing.T) { cmdtest.Licenses(t, "roost-bench") }
