package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestLogFields: the names of log fields in the sources are those of docs/logging.md, so
// that filters of a log need only one name for each.
func TestLogFields(t *testing.T) {
	doc, err := os.ReadFile("../../docs/logging.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	_, table, found := strings.Cut(string(doc), "\n## Fields\n")
	if !found {
		t.Fatal("docs/logging.md has no section Fields")
	}
	for _, row := range strings.Split(table, "\n") {
		if cells := strings.Split(row, "|"); len(cells) > 2 {
			for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				documented[name[1]] = true
			}
		}
	}
	used := make(map[string]bool)
	for _, dir := range []string{"cmd/roost", "server", "poller", "poller/leantls", "session", "router", "xep", "store", "store/sqlite", "store/postgres", "acme", "capacity", "admin", "cluster", "internal/logqueue", "internal/panics"} {
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no sources in %s: %v", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, f := range logFields(t, file) {
				used[f.key] = true
				if !documented[f.key] {
					t.Errorf("%s: the log field %q is not in docs/logging.md", f.at, f.key)
				}
			}
		}
	}
	if len(used) < 5 {
		t.Errorf("only %d fields were found: the test no longer finds them", len(used))
	}
}

// TestAccountEvents: the lines that extensions log at info level, which clients trigger,
// are the account events of docs/logging.md, with the documented fields.
func TestAccountEvents(t *testing.T) {
	doc, err := os.ReadFile("../../docs/logging.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(doc), "\n## Account events\n")
	if !found {
		t.Fatal("docs/logging.md has no section Account events")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	documented := make(map[string]string) // fields by line
	row := regexp.MustCompile("(?m)^\\| `([a-z ]+)` \\| ([a-z_`, ]+) \\|")
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		documented[m[1]] = strings.ReplaceAll(m[2], "`", "")
	}
	files, err := filepath.Glob("../../xep/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	logged := make(map[string]bool)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, l := range logLines(t, file) {
			if l.level != "Info" {
				continue
			}
			logged[l.text] = true
			if fields, ok := documented[l.text]; !ok || fields != strings.Join(l.keys, ", ") {
				t.Errorf("%s: the line %q with the fields %v is not among the account events in docs/logging.md", l.at, l.text, l.keys)
			}
		}
	}
	for line := range documented {
		if !logged[line] {
			t.Errorf("docs/logging.md has the account event %q, which is not logged", line)
		}
	}
	if len(logged) == 0 {
		t.Error("no line was found: the test no longer works")
	}
}

// logLine is one call of a logger.
type logLine struct {
	at    token.Position
	level string // the method's name
	text  string // "" unless it is a literal
	keys  []string
}

type logField struct {
	at  token.Position
	key string
}

// logFields returns the literal keys of slog calls in a file.
func logFields(t *testing.T, file string) (all []logField) {
	t.Helper()
	for _, l := range logLines(t, file) {
		for _, key := range l.keys {
			all = append(all, logField{l.at, key})
		}
	}
	return all
}

// logLines returns the slog calls in a file.
func logLines(t *testing.T, file string) (all []logLine) {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The number of arguments before the first key.
	front := map[string]int{"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "With": 0}
	ast.Inspect(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		skip, ok := front[method.Sel.Name]
		if !ok || !isLogger(method.X) {
			return true
		}
		l := logLine{at: set.Position(call.Pos()), level: method.Sel.Name}
		if skip > 0 && len(call.Args) > 0 {
			l.text = literal(t, call.Args[0])
		}
		for i := skip; i < len(call.Args); i += 2 {
			if key := literal(t, call.Args[i]); key != "" {
				l.keys = append(l.keys, key)
			}
		}
		all = append(all, l)
		return true
	})
	return all
}

// literal returns the value of a string literal, "" for any other expression.
func literal(t *testing.T, x ast.Expr) string {
	t.Helper()
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// isLogger guesses from its name whether an expression is a *slog.Logger.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.EqualFold(x.Name, "log") || strings.EqualFold(x.Name, "logger") || x.Name == "slog"
	case *ast.SelectorExpr:
		return strings.EqualFold(x.Sel.Name, "log") || strings.EqualFold(x.Sel.Name, "logger")
	case *ast.CallExpr:
		if f, ok := x.Fun.(*ast.SelectorExpr); ok {
			return strings.EqualFold(f.Sel.Name, "logger") || f.Sel.Name == "With" && isLogger(f.X)
		}
	}
	return false
}
