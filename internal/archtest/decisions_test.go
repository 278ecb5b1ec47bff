package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDecisions checks that the pages of docs/decisions are numbered from 1 on without
// gaps, that each begins with its number, and that README.md lists all of them.
func TestDecisions(t *testing.T) {
	const dir = "../../docs/decisions"
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	index := indexEntries(t, filepath.Join(dir, "README.md"))
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("%s: want number %s", name, want)
		}
		heading, _, _ := strings.Cut(string(text), "\n")
		if want := fmt.Sprintf("# %d. ", i+1); !strings.HasPrefix(heading, want) {
			t.Errorf("%s does not begin with %q", name, want)
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
