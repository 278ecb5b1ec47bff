package main

import (
	"encoding/json"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cli"
)

// TestBlockCommands: networks and accounts are blocked, listed and unblocked.
func TestBlockCommands(t *testing.T) {
	_, dir, addr := servingAccounts(t, "romeo@localhost")
	romeo := loginTo(t, addr, "localhost", "AHJvbWVvAHNlY3JldA==", "a")
	run := runner(t, dir)
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
