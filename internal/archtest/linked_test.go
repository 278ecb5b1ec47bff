package archtest

import (
	"slices"
	"strings"
	"testing"
)

// measuring are modules that only measurements need.
var measuring = []string{"gonum.org/v1/plot", "github.com/HdrHistogram/hdrhistogram-go"}

// TestServerWithoutMeasurements: the server's program contains no code for measurements
// or tests, and no module that only such code needs. Like the other tests of this
// package, it follows the imports in the sources.
func TestServerWithoutMeasurements(t *testing.T) {
	all := sources(t, "../..", false)
	linked := closure(all, "cmd/roost")
	for name := range linked {
		if measures(name) {
			t.Errorf("cmd/roost links %s", name)
		}
	}
	for _, s := range all {
		if !linked[s.pkg()] {
			continue
		}
		for _, imported := range s.imports() {
			if slices.ContainsFunc(measuring, func(module string) bool { return imported == module || strings.HasPrefix(imported, module+"/") }) {
				t.Errorf("%s: cmd/roost links %s through this file", s.name, imported)
			}
		}
	}
	// The check finds the measurements in the other program.
	other := closure(all, "cmd/roost-bench")
	for _, name := range []string{"bench", "bench/chart", "bench/parsebench"} {
		if !other[name] || !measures(name) {
			t.Errorf("the test no longer works: it does not find that cmd/roost-bench links %s", name)
		}
	}
	if !linked["poller"] || !linked["store/sqlite"] {
		t.Errorf("the test no longer works: cmd/roost links %v", linked)
	}
}

// measures reports whether a package is for measurements or tests.
func measures(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return first == "bench" || first == "test" || slices.Contains([]string{
		"internal/cmdtest", "internal/mariatest", "internal/memnet", "internal/memnodes", "internal/pgtest", "internal/teststores", "internal/xmpptest",
		"store/faultstore", "store/memstore", "store/storetest",
	}, name)
}
