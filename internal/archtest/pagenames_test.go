package archtest

import (
	"go/ast"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goName matches words that must be names in a program: a selector such as Config.Outbox,
// or a word with an inner capital letter, such as readAll.
var goName = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9]*)+|[a-z]+[A-Z][A-Za-z0-9]*|[A-Z][a-z]+[A-Z][A-Za-z0-9]*)(?:\(\))?$`)

// foreign are names from elsewhere: Go's standard library, Smack, the kernel, files, OpenAPI, certbot.
var foreign = []string{"RawToken", "setCACerts", "vm.swappiness", "admin.sock", "users.acl", "operationId", "fullchain.pem"}

// TestNamedInPrograms: types, fields and functions that pages name exist in the sources.
func TestNamedInPrograms(t *testing.T) {
	known := make(map[string]bool)
	for _, s := range slices.Concat(sources(t, "../..", false), sources(t, "../..", true)) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				known[id.Name] = true
			}
			return true
		})
		known[path.Base(s.pkg())] = true
	}
	checked := 0
	for _, p := range pages(t) {
		for _, m := range quoted.FindAllStringSubmatch(p.text, -1) {
			if !goName.MatchString(m[1]) || fileName.MatchString(m[1]) || slices.Contains(foreign, m[1]) {
				continue
			}
			checked++
			for _, word := range strings.Split(strings.TrimSuffix(m[1], "()"), ".") {
				if !known[word] {
					t.Errorf("%s: %s: the sources have no %s", p.name, m[1], word)
				}
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d names were found: the test no longer finds them", checked)
	}
}

var (
	benchFlag  = regexp.MustCompile("[ `(]-bench '?([^'` ]+)'?([^`\n]*)")
	makeTarget = regexp.MustCompile("(?m)(?:`|^ +)make ([a-z][a-z0-9-]*)")
	benchFunc  = regexp.MustCompile(`(?m)^func (Benchmark[A-Za-z0-9_]*)\(`)
	packageArg = regexp.MustCompile(`\./[a-z/]+`)
)

// TestNamedBenchmarks: a command in a page that runs benchmarks matches at least one, in
// its package if it names one.
func TestNamedBenchmarks(t *testing.T) {
	functions := make(map[string][]string) // by package
	for _, name := range files(t, "../..") {
		if strings.HasSuffix(name, "_test.go") {
			functions[path.Dir(name)] = append(functions[path.Dir(name)], matches(t, benchFunc, "../../"+name)...)
		}
	}
	checked := 0
	for _, p := range pages(t) {
		for _, m := range benchFlag.FindAllStringSubmatch(p.text, -1) {
			checked++
			// The first level of the pattern, without the escapes of tables.
			top, _, _ := strings.Cut(strings.ReplaceAll(m[1], `\|`, "|"), "/")
			pattern, err := regexp.Compile(top)
			if err != nil {
				t.Errorf("%s: -bench %s: %v", p.name, m[1], err)
				continue
			}
			in := strings.TrimPrefix(packageArg.FindString(m[2]), "./")
			found := false
			for pkg, names := range functions {
				found = found || (in == "" || pkg == in) && slices.ContainsFunc(names, pattern.MatchString)
			}
			if !found {
				t.Errorf("%s: go test -bench %s %s runs no benchmark", p.name, m[1], in)
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d commands were found: the test no longer finds them", checked)
	}
}

// TestNamedTargets: make targets that pages name exist in the Makefile.
func TestNamedTargets(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, p := range pages(t) {
		for _, m := range makeTarget.FindAllStringSubmatch(p.text, -1) {
			checked++
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s: make %s: no such target", p.name, m[1])
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d targets were found: the test no longer finds them", checked)
	}
}
