package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFuzzTimeOver: go test may report the end of the fuzzing time as a failure. That does
// not fail the run, and the remaining targets still run. Real findings fail it.
func TestFuzzTimeOver(t *testing.T) {
	targets := t.TempDir()
	source := "package x\n\nfunc FuzzFirst(f *testing.F) {}\n\nfunc FuzzSecond(f *testing.F) {}\n"
	if err := os.WriteFile(filepath.Join(targets, "x_test.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	const late = "    context deadline exceeded\n"
	f := func(output string, fails bool) {
		t.Helper()
		dir, env := programs(t, map[string]string{
			"go": `echo "$@" >>"$DIR/calls"; cat "$DIR/output"; [ ! -s "$DIR/output" ]` + "\n",
		})
		if err := os.WriteFile(filepath.Join(dir, "output"), []byte(output), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("./fuzz.sh", targets)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if (err != nil) != fails || !strings.Contains(string(out), output) {
			t.Errorf("%v with the output\n%s", err, out)
		}
		calls, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		want := 2
		if fails {
			want = 1
		}
		if n := strings.Count(string(calls), "-fuzz ^Fuzz"); n != want {
			t.Errorf("%d targets were run, want %d:\n%s", n, want, calls)
		}
	}
	f("", false)
	f("--- FAIL: FuzzFirst (20.10s)\n"+late+"FAIL\n", false)
	f("--- FAIL: FuzzFirst (3.10s)\n    --- FAIL: FuzzFirst (0.00s)\n        x_test.go:3: wrong\n\n    Failing input written to testdata/fuzz/FuzzFirst/1\n", true)
	f("--- FAIL: FuzzFirst (20.10s)\n"+late+"    Failing input written to testdata/fuzz/FuzzFirst/1\n", true)
	f("    x_test.go:3: context deadline exceeded\n", true)
	f("x_test.go:3: syntax error\n", true)
}
