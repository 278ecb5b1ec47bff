package main

import (
	"encoding/json"
	"testing"
	"time"

	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// TestDrainCommand: a drain is scheduled, begun, shown and aborted; on a terminal there is
// its progress, and Ctrl-C ends the command only; with --exit the server ends.
func TestDrainCommand(t *testing.T) {
	server, dir, addr := servingAccounts(t, "romeo@localhost")
	romeo := loginTo(t, addr, "localhost", "AHJvbWVvAHNlY3JldA==", "a")
	command := runner(t, dir)
	run := func(code int, want string, args ...string) string {
		t.Helper()
		return command(code, want, append([]string{"drain"}, args...)...)
	}
	run(cli.ExitFailure, "no drain since", "--status")
	run(cli.ExitFailure, "there is no drain", "--abort")
	run(cli.ExitUsage, "take no other flags", "--abort", "--over", "1h")
	run(cli.ExitUsage, "--over", "--over", "-1h")
	run(cli.ExitUsage, "cannot be used together", "--at", "22:00", "--in", "1h")
	run(cli.ExitUsage, "is not a time such as", "--at", "noon")
	run(cli.ExitFailure, `--to: "a b" is not a host`, "--to", "a b")

	run(0, `^scheduled: clients begin to leave at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\n$`, "--in", "2h", "--over", "10m", "--back-after", "1h", "--to", "127.0.0.1:5222", "--say", "Moving.")
	run(cli.ExitFailure, "scheduled already", "--at", "22:00")
	run(0, "^aborted: the server accepts clients; 0 have left\n$", "--abort")

	p := cmdtest.OnTerminal(t, "drain", "--over", "24h", "--data", dir)
	p.Until("draining: 0 of 1 clients have left, 1 remain (until ")
	p.Types("\x03")
	p.Until("the drain goes on")
	p.Ends(cli.ExitFailure)
	var d api.Drain
	if err := json.Unmarshal([]byte(run(0, "", "--status", "--json")), &d); err != nil || d.State != api.DrainRunning || d.OverSeconds != 86400 {
		t.Errorf("%+v %v", d, err)
	}
	run(0, "^aborted: the server accepts clients; 0 have left\n$", "--abort")

	run(0, "^drained: 1 of 1 clients have left, 0 remain\n$", "--wait")
	romeo.ask("", "<system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
	run(0, "^aborted: the server accepts clients; 1 have left\n$", "--abort")
	loginTo(t, addr, "localhost", "AHJvbWVvAHNlY3JldA==", "b")
	run(0, "^drained: ", "--wait", "--exit", "--say", "Good night.")
	if err := server.Wait(); err != nil {
		t.Errorf("the server ends with %v", err)
	}
}

// TestDrainBegin: when a drain begins.
func TestDrainBegin(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 30, 0, 0, time.FixedZone("", 3600))
	f := func(c drainCmd, want string) {
		t.Helper()
		at, err := c.begin(now)
		got := "now"
		if at != nil {
			got = at.Format(time.RFC3339)
		}
		if err != nil || got != want {
			t.Errorf("%+v: %s %v, want %s", c, got, err, want)
		}
	}
	f(drainCmd{}, "now")
	f(drainCmd{In: 90 * time.Minute}, "2026-03-01T14:00:00+01:00")
	f(drainCmd{At: "12:31"}, "2026-03-01T12:31:00+01:00")
	f(drainCmd{At: "12:29"}, "2026-03-02T12:29:00+01:00")
	f(drainCmd{At: "2026-03-01T22:00:00Z"}, "2026-03-01T22:00:00Z")
}
