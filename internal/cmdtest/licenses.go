package cmdtest

import (
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// Licenses compares docs/licenses.md with the modules linked into this test binary, and
// therefore into the program.
func Licenses(t *testing.T, program string) {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok || len(info.Deps) == 0 {
		t.Fatal("the binary does not say which modules it contains")
	}
	page, err := os.ReadFile("../../docs/licenses.md")
	if err != nil {
		t.Fatal(err)
	}
	places := make(map[string][]string)
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+\.\S+/\S+) \|[^|]*\| ([^|]*) \|$`).FindAllStringSubmatch(string(page), -1) {
		places[m[1]] = strings.Split(m[2], ", ")
	}
	linked := make(map[string]bool)
	for _, m := range info.Deps {
		linked[m.Path] = true
		if !slices.Contains(places[m.Path], program) && !slices.Contains(places[m.Path], "tests") {
			t.Errorf("docs/licenses.md: %s is in %s; add it there", m.Path, program)
		}
	}
	for name, where := range places {
		if slices.Contains(where, program) && !linked[name] {
			t.Errorf("docs/licenses.md: %s is not in %s; delete it there", name, program)
		}
	}
}
