package cmdtest

import (
	"slices"
	"testing"
)

// TestWithoutCommands: commands of one program are removed, wherever [Commands] finds them.
func TestWithoutCommands(t *testing.T) {
	const page = "Use `p --a` or `p-bench --b`.\n\n    p --c\n    ./p --d\n    go run ./cmd/p --e # comment\n    p-bench --f\n\n`--g` and `go run ./cmd/p --h`\n"
	if got, want := NamedFlags(WithoutCommands(page, "p")), []string{"b", "f", "g"}; !slices.Equal(got, want) {
		t.Errorf("%q are left, want %q", got, want)
	}
}
