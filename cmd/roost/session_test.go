package main

import (
	"encoding/json"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cli"
)

// TestSessionCommands: sessions are listed, shown and ended.
func TestSessionCommands(t *testing.T) {
	_, dir, addr := servingAccounts(t, "romeo@localhost", "nurse@localhost")
	run := runner(t, dir)
	run(0, `^SESSION .*\n0 of 0 sessions\n$`, "online")
	romeo := loginTo(t, addr, "localhost", "AHJvbWVvAHNlY3JldA==", "a")
	loginTo(t, addr, "localhost", "AHJvbWVvAHNlY3JldA==", "b")
	loginTo(t, addr, "localhost", "AG51cnNlAHNlY3JldA==", "c")
	romeo.ask("<presence><priority>5</priority></presence>", "<presence from=")

	run(0, `(?s)^SESSION.*\nnurse@localhost/c +127\.0\.0\.1:\d+ +TCP +none +\d+ s +- +0 B\nromeo@localhost/a +127\.0\.0\.1:\d+ +TCP +none +\d+ s +priority 5 .*romeo@localhost/b .*\n3 of 3 sessions\n$`, "online")
	run(0, `2 of 3 sessions\n$`, "online", "--limit", "2")
	run(0, `1 of 1 sessions\n$`, "online", "--account", "nurse@localhost")
	run(0, `0 of 0 sessions\n$`, "online", "--tls", "lean", "--network", "127.0.0.1", "--domain", "localhost", "--min-idle", "10h", "--sort", "idle")
	lines := strings.Split(strings.TrimSuffix(run(0, "", "online", "--json"), "\n"), "\n")
	var s api.Session
	if len(lines) != 3 || json.Unmarshal([]byte(lines[1]), &s) != nil || s.JID != "romeo@localhost/a" || s.Priority != 5 {
		t.Errorf("%q", lines)
	}
	for _, wrong := range [][]string{{"--limit", "-1"}, {"--min-idle", "-1s"}, {"--tls", "yes"}, {"--sort", "name"}, {"--account", "localhost"}, {"--domain", "a b"}} {
		run(cli.ExitUsage, wrong[0], append([]string{"online"}, wrong...)...)
	}
	run(cli.ExitFailure, "not a network", "online", "--network", "here")

	run(0, `(?s)^session +romeo@localhost/a\n.*presence +priority 5, \d\d bytes\n.*roster requested +no\n`, "session", "show", "romeo@localhost/a")
	if err := json.Unmarshal([]byte(run(0, "", "session", "show", "romeo@localhost/a", "--json")), &s); err != nil || !s.Available {
		t.Errorf("%+v %v", s, err)
	}
	run(cli.ExitUsage, "not the full JID", "session", "show", "romeo@localhost")
	run(cli.ExitFailure, "there is no session romeo@localhost/x", "session", "end", "romeo@localhost/x")
	run(0, "^romeo@localhost/a is ended\n$", "session", "end", "romeo@localhost/a", "--text", "Good night.")
	romeo.ask("", "Good night.</text></stream:error></stream:stream>")
	run(0, `2 of 2 sessions\n$`, "online")
}

// TestSessionTable: the columns of a later page are at least as wide as those before.
func TestSessionTable(t *testing.T) {
	var b strings.Builder
	var table sessionTable
	long := api.Session{JID: "romeo-ä@example.org/balcony", Address: "192.0.2.1:1", Transport: api.TransportWebSocket, TLS: api.TLSNone, Available: true}
	short := api.Session{JID: "r@x/a", Address: "192.0.2.1:1", Transport: api.TransportTCP, TLS: api.TLSLean}
	for _, page := range [][]api.Session{{long}, {short}, nil} {
		if err := table.write(&b, page); err != nil {
			t.Fatal(err)
		}
	}
	const want = "" +
		"SESSION                      ADDRESS      OVER       TLS   IDLE  PRESENCE    UNREAD\n" +
		"romeo-ä@example.org/balcony  192.0.2.1:1  WebSocket  none  0 s   priority 0  0 B\n" +
		"r@x/a                        192.0.2.1:1  TCP        lean  0 s   -           0 B\n"
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}
