package main

import (
	"bytes"
	"os"
	"testing"

	"roost/internal/cli"
)

// TestCommandReference: docs/commands.md has each command with its flags.
func TestCommandReference(t *testing.T) {
	const name = "../../docs/commands.md"
	parser, err := newParser(new(grammar))
	if err != nil {
		t.Fatal(err)
	}
	want := append([]byte("<!-- go test ./cmd/roost -update writes this page -->\n\n"), cli.Markdown(parser.Model.Node)...)
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the commands say: run go test ./cmd/roost -update (%v)", name, err)
	}
}
