package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strings"
	"testing"
)

// groups are the groups of files in package session, identified by the prefix of the file
// name, with the other groups whose declarations each may use. Files without a group form
// the core, "".
var groups = map[string][]string{
	"":       {"stream", "table", "exec", "ack"}, // Manager combines all groups
	"ack":    {},
	"exec":   {""},
	"table":  {"", "exec"},
	"stream": {"", "exec", "table"},
}

// TestSessionGroups: the files of package session use only declarations of the groups
// that they may use.
func TestSessionGroups(t *testing.T) {
	var files []*ast.File
	set := token.NewFileSet()
	seen := make(map[string]bool)
	for _, s := range sources(t, "../..", false) {
		if s.pkg() != "session" {
			continue
		}
		file, err := parser.ParseFile(set, "../../"+s.name, nil, 0) // in one set, as go/types requires
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		seen[groupOf(s.name)] = true
	}
	for _, use := range groupUses(set, files) {
		t.Errorf("%s: move one of them, or see the list of files in session/doc.go", use)
	}
	for group := range groups {
		if !seen[group] {
			t.Errorf("group %q has no files", group)
		}
	}
}

// TestGroupUseIsSeen: the check finds violations.
func TestGroupUseIsSeen(t *testing.T) {
	set := token.NewFileSet()
	var files []*ast.File
	for name, text := range map[string]string{
		"session.go":      "package p\ntype Session struct{ n negotiation; q queue }\nfunc (s *Session) both() { s.negotiate(); s.run() }",
		"stream_a.go":     "package p\nimport \"sync\"\ntype negotiation struct{ tries int; mu sync.Mutex }\nfunc (s *Session) negotiate() { s.run(); s.mu() }\nfunc (s *Session) mu() { s.n.mu.Lock() }",
		"exec_queue.go":   "package p\ntype queue []int\nfunc (s *Session) run() { s.both() }\nfunc bad(s *Session) {\n\ts.n.tries++\n\ts.negotiate()\n\t_ = lookup\n}",
		"table_lookup.go": "package p\nfunc lookup(s *Session) { s.run()\n\tf := s.negotiate; f() }",
	} {
		file, err := parser.ParseFile(set, name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	want := []string{
		"exec_queue.go:5 uses tries of stream_a.go", "exec_queue.go:6 uses negotiate of stream_a.go",
		"exec_queue.go:7 uses lookup of table_lookup.go", "table_lookup.go:3 uses negotiate of stream_a.go",
	}
	if got := groupUses(set, files); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// groupOf returns the group of a file.
func groupOf(file string) string {
	prefix, _, found := strings.Cut(path.Base(file), "_")
	if _, known := groups[prefix]; found && known {
		return prefix
	}
	return ""
}

// groupUses returns the forbidden uses of other groups in the files of a package.
func groupUses(set *token.FileSet, files []*ast.File) (found []string) {
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	cfg := types.Config{Importer: noImports{}, Error: func(error) {}} // imported packages are irrelevant
	pkg, _ := cfg.Check("session", set, files, info)
	for id, obj := range info.Uses {
		if obj.Pkg() != pkg || obj.Parent() != nil && obj.Parent() != pkg.Scope() {
			continue
		}
		at := set.Position(id.Pos())
		from, to := groupOf(at.Filename), groupOf(set.Position(obj.Pos()).Filename)
		if from != to && !slices.Contains(groups[from], to) {
			found = append(found, fmt.Sprintf("%s:%d uses %s of %s", at.Filename, at.Line, obj.Name(), path.Base(set.Position(obj.Pos()).Filename)))
		}
	}
	slices.Sort(found)
	return found
}

// noImports returns an empty package for each import.
type noImports struct{}

func (noImports) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}
