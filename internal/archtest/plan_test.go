package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFloorPlanPage: docs/architecture.md describes every package on its own line, and
// lists the allowed imports between them.
func TestFloorPlanPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range allowed {
		if !strings.Contains(string(page), "\n"+name+" ") {
			t.Errorf("docs/architecture.md does not name %s", name)
		}
	}
	drawn := arrows(string(page))
	for name, imports := range allowed {
		want := ours(imports)
		if got := drawn[name]; !slices.Equal(got, want) {
			t.Errorf("docs/architecture.md: %s imports %q; allowed are %q", name, got, want)
		}
		delete(drawn, name)
	}
	for name := range drawn {
		t.Errorf("docs/architecture.md: imports of %s, which is not in the list of archtest", name)
	}
}

// TestArrowsAreUsed: a package uses all imports of this module that it is allowed, so
// that the page shows the actual structure.
func TestArrowsAreUsed(t *testing.T) {
	used := make(map[string][]string)
	for _, s := range sources(t, "../..", false) {
		for _, imported := range s.imports() {
			used[s.pkg()] = append(used[s.pkg()], imported)
		}
	}
	for name, imports := range allowed {
		for _, imported := range imports {
			if !slices.ContainsFunc(used[name], func(u string) bool {
				return u == imported || !strings.HasPrefix(imported, "roost/") && strings.HasPrefix(u, imported+"/")
			}) {
				t.Errorf("%s may import %s but does not: delete the permission", name, imported)
			}
		}
	}
}

var arrow = regexp.MustCompile(`(?m)^([a-z/-]+) +-> (.+)$`)

// arrows returns the lines "package -> package, package" of a page.
func arrows(page string) map[string][]string {
	all := make(map[string][]string)
	for _, m := range arrow.FindAllStringSubmatch(page, -1) {
		names := strings.Split(m[2], ", ")
		slices.Sort(names)
		all[m[1]] = names
	}
	return all
}

// ours returns the imports that are packages of this module, in order.
func ours(imports []string) (names []string) {
	for _, imported := range imports {
		if name, found := strings.CutPrefix(imported, "roost/"); found {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
