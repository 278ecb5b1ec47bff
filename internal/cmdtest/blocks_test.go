package cmdtest

import (
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a test leaks a goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestBlocks: a block is found whatever it is in, with the heading before it.
func TestBlocks(t *testing.T) {
	const page = "# A\n\n    roost a\n      b\n\n## B\n\ntext\n```sh\n# no heading\n    c\n```\n\n    d\n\n    e\n"
	want := []Block{{"A", "", "roost a\n  b\n"}, {"B", "sh", "# no heading\n    c\n"}, {"B", "", "d\n"}, {"B", "", "e\n"}}
	if got := Blocks(page); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := want[0].First(); got != "roost a" {
		t.Errorf("%q", got)
	}
}
