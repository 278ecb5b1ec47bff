package cli

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

// TestProgramName: under go run, the shell does not find roost, and the binary built by
// go run is deleted.
func TestProgramName(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("PATH", dir)
	installed := filepath.Join(dir, "roost")
	if err := os.WriteFile(installed, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	f := func(self, started, want string) {
		t.Helper()
		if got := (Program{Name: "roost"}).nameOf(self, started); got != want {
			t.Errorf("%s, started as %s: %q, want %q", self, started, got, want)
		}
	}
	f(installed, "roost", "roost")
	f("/elsewhere/roost", "./roost", "./roost")
	f("/else where/roost", "roost", "'/else where/roost'")
	info, _ := debug.ReadBuildInfo()
	f("/tmp/go-build123/b001/exe/roost", "/tmp/go-build123/b001/exe/roost", "go run "+info.Path)
	if err := os.MkdirAll(filepath.Join("cmd", "roost"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("cmd", "roost", "main.go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f("/tmp/go-build123/b001/exe/roost", "/tmp/go-build123/b001/exe/roost", "go run ./cmd/roost")
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{"": "''", "/var/lib/roost": "/var/lib/roost", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'"} {
		if got := quote(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	f := func(a, b string, want int) {
		t.Helper()
		if got := distance(a, b); got != want || distance(b, a) != want {
			t.Errorf("%q, %q: %d, want %d", a, b, got, want)
		}
	}
	f("", "", 0)
	f("", "abc", 3)
	f("workers", "wrokers", 2)
	f("c2s", "c2s-tls", 4)
	f("kitten", "sitting", 3)
}
