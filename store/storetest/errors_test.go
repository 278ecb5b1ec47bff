package storetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"roost/store"
)

// TestFailuresAreComplete: the table has exactly the errors that the documentation of
// store.Store names, method by method, and every predeclared error of a store is in it.
func TestFailuresAreComplete(t *testing.T) {
	documented, declared := storeErrors(t)
	tested, names := make(map[string]bool), make(map[string]bool)
	for _, f := range failures {
		tested[f.method+" "+f.name], names[f.name] = true, true
	}
	if !maps.Equal(tested, documented) {
		t.Errorf("the table has the errors\n%q, the documentation has\n%q", slices.Sorted(maps.Keys(tested)), slices.Sorted(maps.Keys(documented)))
	}
	if !maps.Equal(names, declared) {
		t.Errorf("the table has the errors\n%q, package store declares\n%q", slices.Sorted(maps.Keys(names)), slices.Sorted(maps.Keys(declared)))
	}
}

// storeErrors reads the source of package store: the errors that the documentation of
// methods names, as "method error", and the errors that store.go declares.
func storeErrors(t *testing.T) (documented, declared map[string]bool) {
	t.Helper()
	methods := make(map[string]bool)
	for m := range reflect.TypeFor[store.Store]().Methods() {
		methods[m.Name] = true
	}
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	documented, declared = make(map[string]bool), make(map[string]bool)
	isError := regexp.MustCompile(`\bErr[A-Z]\w*`)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field: // a method of an interface has a name and a function type
				if _, ok := n.Type.(*ast.FuncType); ok && len(n.Names) == 1 && methods[n.Names[0].Name] {
					for _, e := range isError.FindAllString(n.Doc.Text(), -1) {
						documented[n.Names[0].Name+" "+e] = true
					}
				}
			case *ast.ValueSpec:
				for _, id := range n.Names {
					if filepath.Base(name) == "store.go" && isError.MatchString(id.Name) {
						declared[id.Name] = true
					}
				}
			}
			return true
		})
	}
	return documented, declared
}
