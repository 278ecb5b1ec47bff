package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// TestBlockCommands: networks and accounts are blocked, listed and unblocked.
func TestBlockCommands(t *testing.T) {
	dir := t.TempDir()
	if _, err := runUser(t, "romeo@localhost,secret\n", "import", "-", "--create", "--data", dir); err != nil {
		t.Fatal(err)
	}
	_, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", dir)
	romeo := loginTo(t, regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting), "localhost", "AHJvbWVvAHNlY3JldA==", "a")
	run := func(code int, want string, args ...string) string {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append(args, "--data", dir)...)
		if got != code || !regexp.MustCompile(want).MatchString(stdout+stderr) {
			t.Errorf("%q: %d, %q, %q; want %d and %s", args, got, stdout, stderr, code, want)
		}
		return stdout
	}
	run(0, `^BLOCKED +END +BY +SINCE +REASON\n$`, "block", "list")
	run(0, `^192\.0\.2\.0/24 is blocked until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d; connections ended: 0\n$`, "block", "192.0.2.1/24", "--for", "1h", "--reason", "spam")
	run(0, `^romeo@localhost is blocked without an end; connections ended: 1\n$`, "block", "add", "Romeo@localhost")
	romeo.ask("", "This account is blocked.</text></stream:error></stream:stream>")
	run(0, `(?s)\n192\.0\.2\.0/24 +20\d\d.* spam\nromeo@localhost +none +`, "block", "list")
	lines := strings.Split(strings.TrimSuffix(run(0, "", "block", "list", "--json"), "\n"), "\n")
	var b api.Block
	if len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &b) != nil || b.Target != "192.0.2.0/24" || b.Until == nil || b.Actor == "" {
		t.Errorf("%q", lines)
	}
	run(cli.ExitFailure, "not a network, an address or an account", "block", "example.org")
	run(cli.ExitFailure, "too large", "block", "0.0.0.0/0")
	run(cli.ExitUsage, "--for", "block", "192.0.2.0/24", "--for", "-1h")
	run(cli.ExitUsage, "target", "block")
	run(0, `^192\.0\.2\.0/24 is not blocked any more\n$`, "unblock", "192.0.2.0/24")
	run(cli.ExitFailure, `192\.0\.2\.0/24 is not blocked`, "unblock", "192.0.2.0/24")
	run(0, `"target": "romeo@localhost"`, "unblock", "romeo@localhost", "--json")
	run(0, `^BLOCKED +END +BY +SINCE +REASON\n$`, "block", "list")
}
