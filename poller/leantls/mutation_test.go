//go:build mutation

package leantls

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// slow matches the tests of package poller that are run for each mutation.
const slow = "^Test(Lean(Go|Exp|Ref|FIPS|Ran|Ver|After|Ends|Key|Con)|KeyCache|Std|Stall|Early|TLS|Hello|Nothing|SwitchLeaves|Rejected|PausedWhen|Start|CutIn|Late|Part|Large|Queued|ClosedIn|ClosedBefore|Silent|EndIn|Trunc|HalfClosed)"

// TestMutations applies each mutation in an overlay, so that the sources stay unchanged,
// and runs the tests of this package and then those of package poller on it.
func TestMutations(t *testing.T) {
	for _, args := range [][]string{{"."}, {"-run", slow, ".."}} {
		if out, err := exec.Command("go", append([]string{"test", "-count=1"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("without a mutation: %v\n%s", err, out)
		}
	}
	for _, m := range mutations {
		name := filepath.Base(m.file) + ": " + strings.Join(strings.Fields(m.old), " ") + " -> " + strings.Join(strings.Fields(m.new), " ")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(src), m.old); n == 0 {
				t.Fatalf("%s has no such text: update the list", m.file)
			}
			path, err := filepath.Abs(m.file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			mutant := filepath.Join(dir, "mutant.go")
			if err := os.WriteFile(mutant, []byte(strings.Replace(string(src), m.old, m.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			list, _ := json.Marshal(map[string]map[string]string{"Replace": {path: mutant}})
			overlay := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(overlay, list, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"."}, {"-run", slow, ".."}} {
				cmd := exec.Command("go", append([]string{"test", "-vet=off", "-failfast", "-timeout", "60s", "-overlay", overlay}, args...)...)
				out, err := cmd.CombinedOutput()
				if strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]") {
					t.Fatalf("the mutant does not compile:\n%s", out)
				}
				if err != nil {
					return // detected
				}
			}
			t.Error("no test fails")
		})
	}
}
