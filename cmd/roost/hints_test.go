package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// TestHints: a hint of the server names a command where the server names a request: for all
// requests in the texts of the server.
func TestHints(t *testing.T) {
	literal := regexp.MustCompile(`"[^"\n]*"`)
	begun := regexp.MustCompile(`\b(GET|PUT|POST|DELETE) "$`) // the scan does not find what the rest is
	found := 0
	for _, dir := range []string{"../../admin", "../../server"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range literal.FindAllString(string(text), -1) {
				if begun.MatchString(l) {
					t.Errorf("%s: write the path of the request into the text %s", name, l)
				}
				hint := strings.Trim(l, `"`)
				if !hintedRequest.MatchString(hint) {
					continue
				}
				found++
				var e *api.Error
				if err := inCommands(nil, &api.Error{Message: "x", Hint: hint}); !errors.As(err, &e) || hintedRequest.MatchString(e.Hint) || !strings.Contains(e.Hint, "roost ") {
					t.Errorf("%s: the hint %q is shown by commands as %q", name, hint, e.Hint)
				}
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d hints were found: the test no longer finds them", found)
	}
	for request, command := range requestCommands {
		code, stdout, stderr := cmdtest.Result(t, nil, append(strings.Fields(command)[1:], "--help")...)
		if code != 0 || !strings.HasPrefix(stdout, "Usage: roost ") {
			t.Errorf("%s: %s: %d, %s%s", request, command, code, stdout, stderr)
		}
	}
}

// failures starts a server, and returns its data directory and a function that runs a
// command, which must fail with a message.
func failures(t *testing.T) (dir string, f func(want string, args ...string)) {
	dir = t.TempDir()
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
	return dir, func(want string, args ...string) {
		t.Helper()
		code, _, stderr := cmdtest.Result(t, nil, append(args, "--data", dir)...)
		if code != cli.ExitFailure || stderr != "roost: "+want+"\n" {
			t.Errorf("%q: %d, %q, want %q", args, code, stderr, want)
		}
	}
}

// TestHintsOfCommands: what people see.
func TestHintsOfCommands(t *testing.T) {
	dir, f := failures(t)
	f("there is no session romeo@localhost/x: roost online lists sessions", "session", "show", "romeo@localhost/x")
	f("192.0.2.1/32 is not blocked: roost block list lists blocks; those of block files are not on this list: remove the line and reload", "unblock", "192.0.2.1")
	cmdtest.Result(t, nil, "drain", "--in", "10h", "--data", dir)
	f("a drain is scheduled already: abort it with roost drain --abort", "drain")
}
