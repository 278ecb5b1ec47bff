package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// liveCommand is a command that runs until it is interrupted.
type liveCommand struct {
	t     *testing.T
	lines chan string
	end   func(code int)
}

// startLive starts a command.
func startLive(t *testing.T, args ...string) *liveCommand {
	t.Helper()
	cmd := cmdtest.Program(nil, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	l := &liveCommand{t: t, lines: make(chan string, 1000)}
	go func() {
		defer close(l.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			l.lines <- lines.Text()
		}
	}()
	l.end = func(code int) {
		t.Helper()
		_ = cmd.Process.Signal(os.Interrupt)
		for range l.lines { // Wait closes the pipe
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("exit code %d, want %d", got, code)
		}
	}
	return l
}

// follows waits until events are followed, by causing some.
func (l *liveCommand) follows(c *api.Client) {
	l.t.Helper()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-l.lines:
			tick.Stop()
			return
		case <-tick.C:
			if err := c.Do(l.t.Context(), "DELETE", strings.Replace(api.PathAccount, "{jid}", "probe@localhost", 1), nil, nil, nil); err == nil {
				l.t.Fatal("there is an account")
			}
		}
	}
}

// await waits for a line that matches, among those that do not.
func (l *liveCommand) await(pattern string) string {
	l.t.Helper()
	for line := range l.lines {
		if regexp.MustCompile(pattern).MatchString(line) {
			return line
		}
		if !strings.Contains(line, "probe") {
			l.t.Errorf("%q before %s", line, pattern)
		}
	}
	l.t.Fatalf("the command has ended before %s", pattern)
	return ""
}

// TestEventsCommand: events are shown as they happen, as lines for people or as JSON; Ctrl-C
// ends the command without an error, the end of the server with one.
func TestEventsCommand(t *testing.T) {
	dir := t.TempDir()
	f := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append([]string{"events", "--data", dir}, args...)...)
		if got != code || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%q: %d, %q, %q; want %d and %s", args, got, stdout, stderr, code, want)
		}
	}
	f(cli.ExitFailure, "no server runs")
	f(cli.ExitUsage, "--kind", "--kind", "logins")
	f(cli.ExitUsage, "--account", "--account", "localhost")
	if _, err := runUser(t, "romeo@localhost,secret\n", "import", "-", "--create", "--data", dir); err != nil {
		t.Fatal(err)
	}
	server, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", dir)
	addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting)
	client := api.Local(filepath.Join(dir, api.SocketName))
	defer client.Close()

	all := startLive(t, "events", "--data", dir)
	some := startLive(t, "events", "--data", dir, "--kind", "end", "--kind", "login-failed,admin", "--json")
	all.follows(client)
	some.follows(client)
	loginTo(t, addr, "localhost", "AHJvbWVvAHNlY3JldA==", "a")
	const when = `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  `
	all.await(when + `login {9}romeo@localhost/a from 127\.0\.0\.1:\d+$`)
	if code, _, stderr := cmdtest.Result(t, nil, "session", "end", "romeo@localhost/a", "--data", dir); code != 0 {
		t.Error(stderr)
	}
	all.await(when + `(end {11}romeo@localhost/a from 127\.0\.0\.1:\d+: policy-violation|admin {9}\S+ \(uid \d+\): session\.end romeo@localhost/a: ok)$`)
	all.await(when + `(end {11}romeo@localhost/a from 127\.0\.0\.1:\d+: policy-violation|admin {9}\S+ \(uid \d+\): session\.end romeo@localhost/a: ok)$`)
	var e api.Event
	line := some.await(`"kind":"end"|"session.end"`)
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time.IsZero() {
		t.Errorf("%s: %v", line, err)
	}
	some.end(0)

	_ = server.Process.Signal(syscall.SIGTERM)
	for line := range all.lines {
		if strings.Contains(line, "login") {
			t.Error(line)
		}
	}
	all.end(cli.ExitFailure)
}

// TestEventLines: each kind of event has a line, which cannot control the terminal.
func TestEventLines(t *testing.T) {
	at := time.Date(2026, 11, 28, 9, 30, 0, 0, time.Local)
	for want, e := range map[string]api.Event{
		"login         romeo@localhost/? from 192.0.2.1:5":             {Kind: api.EventLogin, JID: "romeo@localhost/\x1b", Peer: "192.0.2.1:5"},
		"login-failed  romeo@localhost from 192.0.2.1:5, PLAIN: wrong": {Kind: api.EventLoginFailed, JID: "romeo@localhost", Peer: "192.0.2.1:5", Mechanism: "PLAIN", Reason: "wrong"},
		"login-failed  (no account): wrong":                            {Kind: api.EventLoginFailed, Reason: "wrong"},
		"end           romeo@localhost/a from 192.0.2.1:5: lost: EOF":  {Kind: api.EventEnd, JID: "romeo@localhost/a", Peer: "192.0.2.1:5", Reason: "lost", Cause: "EOF"},
		"account       romeo@localhost created":                        {Kind: api.EventAccount, JID: "romeo@localhost", Action: "created"},
		"admin         token x from 192.0.2.1:5: block.add y: ok":      {Kind: api.EventAdmin, Actor: "token x", Peer: "192.0.2.1:5", Action: "block.add", Object: "y", Result: "ok"},
		"admin         (unknown): config.reload: unauthorized":         {Kind: api.EventAdmin, Action: "config.reload", Result: "unauthorized"},
		"log           warn: careful file=x":                           {Kind: api.EventLog, Level: "warn", Text: "careful", Fields: "file=x"},
		"lost          1,234 events are missing":                       {Kind: api.EventLost, Lost: 1234},
	} {
		e.Time = at
		var b strings.Builder
		writeEvent(&b, &e)
		if got := b.String(); !strings.HasPrefix(got, "2026-11-28 09:30:00  "+want) || !strings.HasSuffix(got, "\n") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
