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

// TestAnnounceCommand: an announcement is sent, shown and aborted; on a terminal there is
// its progress, and Ctrl-C has the server abort it.
func TestAnnounceCommand(t *testing.T) {
	dir := t.TempDir()
	if _, err := runUser(t, "romeo@localhost,secret\n", "import", "-", "--create", "--data", dir); err != nil {
		t.Fatal(err)
	}
	_, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", dir)
	romeo := loginTo(t, regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting), "localhost", "AHJvbWVvAHNlY3JldA==", "a")
	romeo.ask("<presence/>", "<presence from=")
	run := func(code int, want string, args ...string) string {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append(append([]string{"announce"}, args...), "--data", dir)...)
		if got != code || !regexp.MustCompile(want).MatchString(stdout+stderr) {
			t.Errorf("%q: %d, %q, %q; want %d and %s", args, got, stdout, stderr, code, want)
		}
		return stdout
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
