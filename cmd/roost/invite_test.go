package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// TestInviteCommands: invitations are made, listed and withdrawn.
func TestInviteCommands(t *testing.T) {
	dir := t.TempDir()
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", dir, "--invitations", "operators")
	run := runner(t, dir)
	run(0, `^ID +FOR +BY +SINCE +END\n$`, "invite", "list")
	run(0, `^xmpp:localhost\?register;preauth=[a-z0-9]{26}\nValid until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d, for one account\. To withdraw it: .* invite revoke [0-9a-f]{32} --data `+dir+`\n$`, "invite", "create")
	out := run(0, `^xmpp:juliet@localhost\?register;preauth=.*\nValid until .*, for juliet@localhost\.`, "invite", "create", "--user", "Juliet", "--expires", "1h")
	id := regexp.MustCompile(`[0-9a-f]{32}`).FindString(out)
	run(0, `(?m)^`+id+` +juliet@localhost +`, "invite", "list")
	run(0, `20 accounts`, "invite", "create", "--uses", "20")
	var i api.InvitationCreated
	if err := json.Unmarshal([]byte(run(0, "", "invite", "create", "--json")), &i); err != nil || i.URI == "" || i.Page != "" || i.Until.Sub(i.CreatedAt).Hours() != 168 {
		t.Errorf("%+v, %v", i, err)
	}
	run(cli.ExitFailure, "is reserved by another invitation", "invite", "create", "--user", "juliet")
	run(cli.ExitFailure, "--uses|uses must be 1", "invite", "create", "--user", "paris", "--uses", "2")
	run(cli.ExitFailure, "is not served", "invite", "create", "--domain", "example.org")
	run(cli.ExitUsage, "--expires", "invite", "create", "--expires", "-1h")
	run(cli.ExitUsage, "--uses must be 1 or more", "invite", "create", "--uses", "0")
	_, command, _ := strings.Cut(out, "To withdraw it: ")
	args := strings.Fields(command)
	args = args[slices.Index(args, "invite"):]                                                                                  // after the program, which go test has built
	if code, stdout, stderr := cmdtest.Result(t, nil, args...); code != 0 || stdout != "the invitation "+id+" is withdrawn\n" { // as it was shown
		t.Errorf("%q: %d, %s%s", command, code, stdout, stderr)
	}
	run(cli.ExitFailure, "there is no invitation", "invite", "revoke", id)
	run(cli.ExitFailure, "is not the ID of an invitation", "invite", "revoke", "x")
}
