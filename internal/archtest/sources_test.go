package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// source is a parsed Go file.
type source struct {
	name string // relative to the root of the repository, with slashes
	set  *token.FileSet
	file *ast.File
}

// sources parses all Go files below root, either tests or the others. It reads them
// itself, because the test cache would return stale output of go list.
func sources(t *testing.T, root string, tests bool) (all []source) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") != tests {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		s := source{name: filepath.ToSlash(rel), set: token.NewFileSet()}
		s.file, err = parser.ParseFile(s.set, file, nil, parser.ParseComments)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// pkg returns the directory of the file, which is the name of its package in allowed.
func (s source) pkg() string { return path.Dir(s.name) }

// at returns a position in the file, for messages.
func (s source) at(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.set.Position(n.Pos()).Line)
}

// imports maps the local names of imported packages to their paths.
func (s source) imports() map[string]string {
	names := make(map[string]string)
	for _, spec := range s.file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the compiler reports it
		}
		local := path.Base(name)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		names[local] = name
	}
	return names
}

// selected returns path and name if x is a name of an imported package, such as "os" and
// "Stderr".
func selected(x ast.Expr, imports map[string]string) (pkg, name string) {
	sel, ok := x.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok || id.Obj != nil { // a local variable shadows the package
		return "", ""
	}
	return imports[id.Name], sel.Sel.Name
}
