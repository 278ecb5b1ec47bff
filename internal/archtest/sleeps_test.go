package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// sleeps are the functions that may call time.Sleep, with the reasons. Others must wait
// for an event. In a bubble of testing/synctest, where time is virtual, time.Sleep is
// always allowed.
var sleeps = map[string]string{
	"internal/xmpptest/wait.go Eventually":               "the interval at which a condition is asked for that no event tells",
	"poller/testserver_test.go eventually":               "the same for the poller, whose tests also run under QEMU and are kept free of other packages",
	"poller/random_test.go Data":                         "a pause of random length; no check depends on it",
	"poller/random_test.go randomClient":                 "random pace of a client that fills sockets; no check depends on it",
	"poller/tlssoak_test.go TestLeanSoak":                "the pace that was asked for by a flag; no check depends on it",
	"capacity/cost_timing_test.go BenchmarkKernelSocket": "benchmark: memory settles before it is read",
	"bench/cluster_timing_test.go idle":                  "benchmark: memory settles before it is read",
	"bench/density_timing_test.go density":               "benchmark: memory settles before it is read",
	"bench/relay_timing_test.go quiet":                   "benchmark: both servers are idle before they are measured by turns",
	"test/interop/acme_test.go awaitLine":                "asks the log of another process until it has a line",
	"bench/servers/servers.go wait":                      "asks another program's port until it is open",
}

// TestSleeps: calls of time.Sleep are listed above with a reason, and all listed
// functions exist.
func TestSleeps(t *testing.T) {
	unused := make(map[string]bool)
	for place := range sleeps {
		unused[place] = true
	}
	for _, s := range slices.Concat(sources(t, "../..", true), sources(t, "../..", false)) {
		for _, place := range sleeping(s) {
			delete(unused, place.function)
			if sleeps[place.function] == "" {
				t.Errorf("%s: time.Sleep in %q: wait for an event, or use testing/synctest", place.at, place.function)
			}
		}
	}
	for place := range unused {
		t.Errorf("%q no longer sleeps", place)
	}
}

// TestSleepIsSeen: the check finds violations.
func TestSleepIsSeen(t *testing.T) {
	const text = `package p
import ("testing/synctest"; "time")
func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }
func TestB(t *testing.T) { t.Run("", func(t *testing.T) { time.Sleep(1) }) }
func TestC(t *testing.T) { wait := time.Sleep; wait(1) }
`
	s := source{name: "p/p_test.go", set: token.NewFileSet()}
	var err error
	if s.file, err = parser.ParseFile(s.set, s.name, text, 0); err != nil {
		t.Fatal(err)
	}
	want := []sleep{{"p/p_test.go TestB", "p/p_test.go:4"}, {"p/p_test.go TestC", "p/p_test.go:5"}}
	if got := sleeping(s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// sleep is a use of time.Sleep: file and function as in the list, and the line.
type sleep struct{ function, at string }

// sleeping returns the uses of time.Sleep in a file outside synctest.Test.
func sleeping(s source) (all []sleep) {
	imports := s.imports()
	for _, decl := range s.file.Decls {
		name := "a variable"
		if f, ok := decl.(*ast.FuncDecl); ok {
			name = f.Name.Name
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				pkg, f := selected(call.Fun, imports)
				return pkg != "testing/synctest" || f != "Test"
			}
			if x, ok := n.(*ast.SelectorExpr); ok {
				if pkg, f := selected(x, imports); pkg == "time" && f == "Sleep" {
					all = append(all, sleep{s.name + " " + name, s.at(x)})
				}
			}
			return true
		})
	}
	return all
}
