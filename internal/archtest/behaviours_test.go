package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// namedTest matches the names in docs/internals/behaviours.md: the file of a dialogue, or the
// package and name of a test.
var namedTest = regexp.MustCompile("`([a-z/]+/testdata/[^`]+\\.txt|[a-z/]+\\.Test[A-Za-z0-9_]+)`")

// TestBehaviours checks that every test named in docs/internals/behaviours.md exists, that every
// row names a test, and that the page names every dialogue of session and router.
func TestBehaviours(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "docs", "internals", "behaviours.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	rows := 0
	for _, line := range strings.Split(string(page), "\n") {
		if !regexp.MustCompile(`^\| \d+ \|`).MatchString(line) {
			continue
		}
		rows++
		tests := namedTest.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 {
			t.Errorf("row without a test: %s", line)
		}
		for _, m := range tests {
			named[m[1]] = true
		}
	}
	if rows == 0 {
		t.Fatal("docs/internals/behaviours.md has no rows")
	}
	for name := range named {
		if !testExists(t, root, name) {
			t.Errorf("docs/internals/behaviours.md names %s, which does not exist", name)
		}
	}
	for _, pkg := range []string{"session", "router"} {
		files, err := filepath.Glob(filepath.Join(root, pkg, "testdata", "*.txt"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no dialogues of %s: %v", pkg, err)
		}
		for _, file := range files {
			if name := pkg + "/testdata/" + filepath.Base(file); !named[name] {
				t.Errorf("docs/internals/behaviours.md does not name %s", name)
			}
		}
	}
}

// testExists reports whether a dialogue or a test function has this name.
func testExists(t *testing.T, root, name string) bool {
	t.Helper()
	if strings.HasSuffix(name, ".txt") {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	}
	pkg, function, _ := strings.Cut(name, ".")
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+function+"(t *testing.T) {") {
			return true
		}
	}
	return false
}

// TestMissingTest checks that testExists finds what exists and nothing else.
func TestMissingTest(t *testing.T) {
	for name, want := range map[string]bool{
		"internal/archtest.TestMissingTest":       true,
		"internal/archtest.TestThatNobodyWrote":   false,
		"router/testdata/51-offline.txt":          true,
		"router/testdata/99-nothing-of-that.txt":  false,
		"router.TestDialogues":                    true,
		"router/testdata/51-offline.txt.TestFile": false,
	} {
		if got := testExists(t, "../..", name); got != want {
			t.Errorf("%s exists: %v, want %v", name, got, want)
		}
	}
}
