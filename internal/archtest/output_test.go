package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// main is the package that may write to stdout and stderr.
const main = "cmd/roost"

// serving are files of it that may not: their output while the server runs must use the
// queue of internal/logqueue.
var serving = []string{main + "/serve.go", main + "/profile.go"}

// direct are functions that write to stdout or stderr directly, by package: a stalled
// reader would stop the server. They include the functions of log/slog without a logger,
// because a library must use the logger of its Config.
var direct = map[string][]string{
	"os":                    {"Stdout", "Stderr"},
	"syscall":               {"Stdout", "Stderr"},
	"golang.org/x/sys/unix": {"Stdout", "Stderr"},
	"fmt":                   {"Print", "Printf", "Println"},
	"runtime/debug":         {"PrintStack"},
	"net/http":              {"ListenAndServe", "ListenAndServeTLS", "Serve", "ServeTLS"}, // errors go to package log
	"log/slog": {"Default", "Debug", "DebugContext", "Info", "InfoContext", "Warn", "WarnContext",
		"Error", "ErrorContext", "Log", "LogAttrs", "With"},
}

// TestOutput: in the program, only cmd/roost writes to stdout or stderr.
func TestOutput(t *testing.T) {
	all := sources(t, "../..", false)
	linked := closure(all, main)
	checked := 0
	for _, s := range all {
		if !linked[s.pkg()] {
			continue
		}
		checked++
		for _, v := range outputs(s) {
			t.Error(v)
		}
	}
	if !linked["poller"] || !linked["store/sqlite"] || checked < 100 {
		t.Errorf("%d files of %d packages were read: the test no longer finds them", checked, len(linked))
	}
}

// TestOutputIsSeen: the check finds each kind of violation.
func TestOutputIsSeen(t *testing.T) {
	imports := "import (\"fmt\"; \"net/http\"; \"os\"; std \"os\"; \"log/slog\")\n"
	f := func(name, body, want string) {
		t.Helper()
		s := source{name: name, set: token.NewFileSet()}
		var err error
		if s.file, err = parser.ParseFile(s.set, name, "package p\n"+body, 0); err != nil {
			t.Fatal(err)
		}
		got := outputs(s)
		if want == "" && len(got) != 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	f("router/x.go", imports+"func f() { fmt.Fprintln(os.Stderr) }", "router/x.go:3: os.Stderr")
	f("router/x.go", imports+"func f() { fmt.Fprintln(std.Stdout) }", "os.Stdout")
	f("router/x.go", imports+"func f() { fmt.Printf(\"\") }", "fmt.Printf")
	f("router/x.go", imports+"func f() { slog.Info(\"\") }", "log/slog.Info")
	f("router/x.go", imports+"var s = http.Server{}", "ErrorLog")
	f("router/x.go", imports+"var s = &http.Server{ErrorLog: nil}", "")
	f("router/x.go", "func f() { println() }", "println")
	f("router/x.go", "import \"log\"", "log")
	f("router/x.go", "import l \"log\"", "log")
	f("router/x.go", imports+"func f(os struct{ Stderr int }) { _ = os.Stderr }", "")
	f("cmd/roost/x.go", imports+"func f() { fmt.Fprintln(os.Stderr) }", "")
	f("cmd/roost/x.go", "import \"log\"", "log")
	f("cmd/roost/serve.go", imports+"func f() { fmt.Println() }", "fmt.Println")
}

// closure returns the package from and the packages of this module that it imports,
// directly or indirectly.
func closure(all []source, from string) map[string]bool {
	linked := map[string]bool{from: true}
	for grown := true; grown; {
		grown = false
		for _, s := range all {
			if !linked[s.pkg()] {
				continue
			}
			for _, imported := range s.imports() {
				if p, ours := strings.CutPrefix(imported, "roost/"); ours && !linked[p] {
					linked[p], grown = true, true
				}
			}
		}
	}
	return linked
}

// outputs returns the forbidden writes to stdout or stderr in a file.
func outputs(s source) (found []string) {
	imports := s.imports()
	free := s.pkg() == main && !slices.Contains(serving, s.name)
	for _, spec := range s.file.Imports {
		if spec.Path.Value == `"log"` {
			found = append(found, s.at(spec)+": package log; use the *slog.Logger of the Config")
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			pkg, name := selected(n, imports)
			if slices.Contains(direct[pkg], name) && !(free && pkg != "net/http") {
				found = append(found, fmt.Sprintf("%s: %s.%s; return an error or use the *slog.Logger of the Config", s.at(n), pkg, name))
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Obj == nil && (id.Name == "print" || id.Name == "println") {
				found = append(found, fmt.Sprintf("%s: %s writes to stderr", s.at(n), id.Name))
			}
		case *ast.CompositeLit:
			if pkg, name := selected(n.Type, imports); pkg == "net/http" && name == "Server" && !hasKey(n, "ErrorLog") {
				found = append(found, s.at(n)+": http.Server without ErrorLog writes to package log")
			}
		}
		return true
	})
	return found
}

func hasKey(lit *ast.CompositeLit, key string) bool {
	return slices.ContainsFunc(lit.Elts, func(x ast.Expr) bool {
		kv, ok := x.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		id, ok := kv.Key.(*ast.Ident)
		return ok && id.Name == key
	})
}
