package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRenamedFlags: --rest, now --keepalive-batch, still works on the command line, in
// the environment and in the config file; the help does not show it.
func TestRenamedFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "roost.toml")
	parse := func(args ...string) (time.Duration, error) {
		t.Helper()
		var c grammar
		parser, err := newParser(&c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parser.Parse(append([]string{"serve"}, args...))
		return c.Serve.KeepaliveBatch, err
	}
	f := func(want time.Duration, args ...string) {
		t.Helper()
		if got, err := parse(args...); got != want || err != nil {
			t.Errorf("%q: %v, %v, want %v", args, got, err, want)
		}
	}
	f(50 * time.Millisecond)
	f(7*time.Millisecond, "--rest", "7ms")
	f(7*time.Millisecond, "--rest=7ms")
	f(8*time.Millisecond, "--config", write(t, file, "rest", "8ms"))
	t.Setenv("ROOST_REST", "9ms")
	f(9 * time.Millisecond)
	f(9*time.Millisecond, "--config", write(t, file, "rest", "8ms")) // the environment takes precedence over the file
	f(7*time.Millisecond, "--keepalive-batch", "7ms")
	t.Setenv("ROOST_KEEPALIVE_BATCH", "10ms")
	f(10 * time.Millisecond) // the current name takes precedence over the former one
	parser, err := newParser(new(grammar))
	if err != nil {
		t.Fatal(err)
	}
	if unknown := unknownEnv(parser.Model.Node, []string{"ROOST_REST=1ms"}); len(unknown) != 0 {
		t.Errorf("unknown: %q", unknown)
	}

	if err := os.WriteFile(file, []byte("rest = \"1ms\"\nkeepalive-batch = \"2ms\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := parse("--config", file); err == nil || !strings.Contains(err.Error(), `"rest" is the former name of "keepalive-batch"`) {
		t.Errorf("both names: %v", err)
	}
	help, err := os.ReadFile("testdata/help.txt")
	if err != nil {
		t.Fatal(err)
	}
	if text := string(help); strings.Contains(text, "--rest") || strings.Contains(text, "ROOST_REST") || !strings.Contains(text, "--keepalive-batch") {
		t.Error("the help contains a former name, or lacks the current one")
	}
}
