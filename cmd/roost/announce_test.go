package main

import (
	"encoding/json"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// TestAnnounceCommand: an announcement is sent, shown and aborted; on a terminal there is
// its progress, and Ctrl-C has the server abort it.
func TestAnnounceCommand(t *testing.T) {
	_, dir, addr := servingAccounts(t, "romeo@localhost")
	romeo := loginTo(t, addr, "localhost", "AHJvbWVvAHNlY3JldA==", "a")
	romeo.ask("<presence/>", "<presence from=")
	command := runner(t, dir)
	run := func(code int, want string, args ...string) string {
		t.Helper()
		return command(code, want, append([]string{"announce"}, args...)...)
	}
	run(cli.ExitFailure, "no announcement since", "--status")
	run(cli.ExitUsage, "give the text")
	run(cli.ExitUsage, "take no text", "x", "--abort")
	run(cli.ExitUsage, "--rate", "x", "--rate", "-1")
	run(cli.ExitFailure, "not a domain of this server", "x", "--domain", "example.com")

	run(0, "^done: sent to 1 of 1 clients\n$", "Hello, world.", "--subject", "News", "--domain", "localhost", "--wait")
	romeo.ask("", "<subject>News</subject><body>Hello, world.</body>")
	var a api.Announce
	if err := json.Unmarshal([]byte(run(0, "", "--status", "--json")), &a); err != nil || a.State != api.JobDone || !strings.HasPrefix(a.Text, "Hello") {
		t.Errorf("%+v %v", a, err)
	}
	run(0, `^running: sent to 0 of 1 clients \(0.001 a second\)`+"\n$", "x", "--rate", "0.001")
	run(cli.ExitFailure, "another announcement", "x")
	run(0, "^aborted: sent to 0 of 1 clients\n$", "--abort")
	run(cli.ExitFailure, "no announcement is being sent", "--abort")

	p := cmdtest.OnTerminal(t, "announce", "x", "--rate", "0.001", "--data", dir)
	p.Until("running: sent to 0 of 1 clients (0.001 a second)")
	p.Types("\x03")
	p.Until("aborted: sent to 0 of 1 clients\r\n")
	p.Ends(0)
}

// TestAnnounceLine: the total is never less than what has been sent: clients that come
// meanwhile get the announcement, too.
func TestAnnounceLine(t *testing.T) {
	f := func(want string, a api.Announce) {
		t.Helper()
		if got := announceLine(&a); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("done: sent to 6,701 of 6,702 clients, 1 have too much to read already", api.Announce{State: api.JobDone, Sent: 6701, Skipped: 1, Clients: 6559})
	f("running: sent to 1 of 2,000 clients (2,000 a second)", api.Announce{State: api.JobRunning, Sent: 1, Clients: 2000, Rate: 2000})
}
