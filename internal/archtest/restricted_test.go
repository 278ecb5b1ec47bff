package archtest

import (
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// restricted lists packages that weaken the guarantees of the compiler, and one whose
// unexported parts are used, with the packages of this module that may import them. Tests
// may import them anywhere.
var restricted = map[string][]string{
	"github.com/cloudwego/netpoll": {"poller/epoll"},
	"reflect":                      {"poller/epoll", "store/storetest", "internal/hot", "cmd/roost", "admin"}, // cmd/roost binds flags to fields (decision 25), admin describes its types (decision 32)
	"unsafe":                       {"poller/epoll", "parser", "jid", "session", "bench/relay"},
}

// linkname is the directive that accesses unexported functions of other packages. Only
// package linknamed may use it.
const (
	linkname  = "//go:linkname "
	linknamed = "poller/epoll"
)

// restrictions returns what a source file at rel in the module uses without permission.
func restrictions(t *testing.T, rel string, source []byte) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), rel, source, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	dir := path.Dir(rel)
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if may, is := restricted[name]; is && !slices.Contains(may, dir) {
			found = append(found, rel+": only "+strings.Join(may, ", ")+" may import "+name)
		}
	}
	if dir != linknamed && strings.Contains(string(source), "\n"+linkname) {
		found = append(found, rel+": only "+linknamed+" may use go:linkname")
	}
	return found
}

// TestRestrictedImports: unsafe, reflect, go:linkname and netpoll are only used where
// that was reviewed.
func TestRestrictedImports(t *testing.T) {
	const root = "../.."
	seen := make(map[string]bool)
	err := filepath.WalkDir(root, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		for _, f := range restrictions(t, filepath.ToSlash(rel), source) {
			t.Error(f)
		}
		seen[path.Dir(filepath.ToSlash(rel))] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, may := range restricted {
		for _, dir := range may {
			if !seen[dir] {
				t.Errorf("%s, which may import %s, has no sources", dir, name)
			}
		}
	}
}

// TestRestriction: the check finds violations.
func TestRestriction(t *testing.T) {
	for _, c := range []struct {
		rel, source string
		want        int
	}{
		{"poller/conn.go", "package poller\nimport \"unsafe\"\n", 1},
		{"poller/conn.go", "package poller\nimport (\n\t\"reflect\"\n\tn \"github.com/cloudwego/netpoll\"\n)\n", 2},
		{"poller/conn.go", "package poller\nimport _ \"strings\"\n\n" + linkname + "f runtime.f\nfunc f()\n", 1},
		{"poller/epoll/x.go", "package epoll\nimport _ \"unsafe\"\n\n" + linkname + "f runtime.f\nfunc f()\n", 0},
		{"router/x.go", "package router\nimport \"unsafe\"\n", 1},
	} {
		if got := restrictions(t, c.rel, []byte(c.source)); len(got) != c.want {
			t.Errorf("%q in %s: %q, want %d", c.source, c.rel, got, c.want)
		}
	}
}
