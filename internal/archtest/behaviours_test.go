package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// namedTest finds what docs/behaviours.md names: dialogues by their file, tests
// by their room and name.
var namedTest = regexp.MustCompile("`([a-z/]+/testdata/[^`]+\\.txt|[a-z/]+\\.Test[A-Za-z0-9_]+)`")

// TestBehaviours: every test that docs/behaviours.md names exists, every line
// names one, and no dialogue of streams and routing is left out.
func TestBehaviours(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "docs", "behaviours.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	lines := 0
	for _, line := range strings.Split(string(page), "\n") {
		if !regexp.MustCompile(`^\| \d+ \|`).MatchString(line) {
			continue
		}
		lines++
		tests := namedTest.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 {
			t.Errorf("no test is named for: %s", line)
		}
		for _, m := range tests {
			named[m[1]] = true
		}
	}
	if lines == 0 {
		t.Fatal("the page has no lines")
	}
	for name := range named {
		if !testExists(t, root, name) {
			t.Errorf("docs/behaviours.md names %s, which does not exist", name)
		}
	}
	for _, room := range []string{"session", "router"} {
		files, err := filepath.Glob(filepath.Join(root, room, "testdata", "*.txt"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no dialogues of %s: %v", room, err)
		}
		for _, file := range files {
			if name := room + "/testdata/" + filepath.Base(file); !named[name] {
				t.Errorf("docs/behaviours.md does not name %s", name)
			}
		}
	}
}

// testExists reports whether there is a dialogue, or a test function, of this
// name.
func testExists(t *testing.T, root, name string) bool {
	t.Helper()
	if strings.HasSuffix(name, ".txt") {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	}
	room, function, _ := strings.Cut(name, ".")
	files, err := filepath.Glob(filepath.Join(root, room, "*_test.go"))
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

// TestMissingTest: the test above finds what it is there to find.
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
