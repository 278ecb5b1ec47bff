package main

import (
	"bufio"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// TestLogLevelCommand: the level of a running server's log is shown and changed for a
// limited time, also across a reload.
func TestLogLevelCommand(t *testing.T) {
	dir := t.TempDir()
	f := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append([]string{"log", "level", "--data", dir}, args...)...)
		if got != code || !regexp.MustCompile(want).MatchString(stdout+stderr) {
			t.Errorf("%q: %d, %q, %q; want %d and %s", args, got, stdout, stderr, code, want)
		}
	}
	f(cli.ExitFailure, "no server runs", "debug")
	f(cli.ExitUsage, "must be one of", "loud")
	f(cli.ExitUsage, "--for must be above 0", "debug", "--for", "0s")
	f(cli.ExitUsage, "at most 24h", "debug", "--for", "25h")

	cmd := cmdtest.Program(nil, "serve", "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stderr = w
	addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(started(t, cmd))
	w.Close()
	lines := bufio.NewScanner(r)
	next := func(parts ...string) {
		t.Helper()
		for lines.Scan() {
			line := lines.Text()
			if strings.Contains(line, "session ended") || strings.Contains(line, "the level of the log") {
				for _, part := range parts {
					if !strings.Contains(line, part) {
						t.Errorf("%s; want %s", line, part)
					}
				}
				return
			}
		}
		t.Fatalf("the log has ended: %v", lines.Err())
	}
	f(0, "^log level info\n$")
	visit(t, addr) // not logged
	f(0, `^log level debug until \d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d, then info\n$`, "debug", "--for", "1h")
	next("the level of the log was changed", "log_level=debug", "actor=")
	visit(t, addr)
	next("session ended")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && !strings.Contains(lines.Text(), "reloaded") {
	}
	f(0, "^log level debug until ")
	f(0, `"level": "info",\s+"configured": "info",\s+"until": "`, "info", "--for", "100ms", "--json")
	next("the level of the log was changed", "log_level=info")
	next("the configured one again")
	f(0, "^log level info\n$")
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
}
