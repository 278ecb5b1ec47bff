package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	docTest  = regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9_]*)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9_]*)\(`)
)

// TestNamedTests: every test that a page in docs names without its package exists.
func TestNamedTests(t *testing.T) {
	const root = "../.."
	exist := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range matches(t, testFunc, path) {
			exist[m] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, page := range pages {
		for _, name := range matches(t, docTest, page) {
			if !exist[name] {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
	}
}

// matches returns the first group of each match in a file.
func matches(t *testing.T, re *regexp.Regexp, file string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range re.FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}
