package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLeakChecks: every package with tests has a TestMain that fails if a test leaks a
// goroutine.
func TestLeakChecks(t *testing.T) {
	checked := regexp.MustCompile(`func TestMain\(m \*testing\.M\) \{[^\x00]*goleak\.VerifyTestMain\(`)
	withTests := make(map[string]bool)
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		dir := filepath.Dir(path)
		withTests[dir] = withTests[dir] || checked.Match(source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range withTests {
		if !ok {
			t.Errorf("%s has no TestMain with goleak.VerifyTestMain", strings.TrimPrefix(dir, "../../"))
		}
	}
	if len(withTests) < 10 {
		t.Errorf("only %d packages with tests were found: the test no longer finds them", len(withTests))
	}
}
