package archtest

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	required    = regexp.MustCompile(`(?m)^(?:require )?\t?([a-z0-9.-]+\.[a-z]+/\S+) v\S+`)
	licensed    = regexp.MustCompile(`(?m)^\| ([a-z0-9.-]+\.[a-z]+/\S+) \| (\S[^|]*) \|`)
	permissive  = regexp.MustCompile(`^(MIT|BSD-2-Clause|BSD-3-Clause|Apache-2\.0|ISC|FTL|CC0-1\.0)\b`)
	replacement = regexp.MustCompile(`(?m)^replace|=>`)
)

// exceptions are modules with a license that no other module may have.
var exceptions = map[string]string{
	"github.com/ajstarks/svgo":       "CC-BY-4.0", // only in roost-bench, through gonum.org/v1/plot: docs/decisions has the reasons
	"github.com/go-sql-driver/mysql": "MPL-2.0",   // its terms are for its own files: docs/decisions/0074-mysql-live.md
}

// TestLicenses: docs/licenses.md has exactly one line for each module of go.mod, with a
// license that is compatible with the Apache License.
func TestLicenses(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if replacement.Match(mod) {
		t.Error("go.mod replaces a module: check the license of the replacement, and extend this test")
	}
	page, err := os.ReadFile("../../docs/licenses.md")
	if err != nil {
		t.Fatal(err)
	}
	modules := make(map[string]bool)
	for _, m := range required.FindAllStringSubmatch(string(mod), -1) {
		modules[m[1]] = true
	}
	listed := make(map[string]bool)
	for _, m := range licensed.FindAllStringSubmatch(string(page), -1) {
		if listed[m[1]] {
			t.Errorf("docs/licenses.md has two lines for %s", m[1])
		}
		listed[m[1]] = true
		if !permissive.MatchString(m[2]) && exceptions[m[1]] != strings.Fields(m[2])[0] {
			t.Errorf("docs/licenses.md: %s is under %q: is that compatible with the Apache License?", m[1], m[2])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if !listed[name] {
			t.Errorf("docs/licenses.md has no line for %s: check its license", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("docs/licenses.md has a line for %s, which is not in go.mod", name)
	}
	if len(modules) < 10 {
		t.Errorf("only %d modules were found: the test no longer finds them", len(modules))
	}
}
