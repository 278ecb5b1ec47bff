package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// TestTraceCommand: stanzas are shown as they come, until Ctrl-C, the end of the time or of
// the session.
func TestTraceCommand(t *testing.T) {
	dir := t.TempDir()
	if _, err := runUser(t, "romeo@localhost,secret\n", "import", "-", "--create", "--data", dir); err != nil {
		t.Fatal(err)
	}
	_, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", dir)
	romeo := loginTo(t, regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting), "localhost", "AHJvbWVvAHNlY3JldA==", "a")
	run := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append(append([]string{"trace"}, args...), "--data", dir)...)
		if got != code || !regexp.MustCompile(want).MatchString(stdout+stderr) {
			t.Errorf("%q: %d, %q, %q; want %d and %s", args, got, stdout, stderr, code, want)
		}
	}
	run(cli.ExitUsage, "is not the JID of a session", "localhost")
	run(cli.ExitUsage, "--for must be above 0 and at most 1h", "romeo@localhost", "--for", "61m")
	run(cli.ExitUsage, "--for must be above 0", "romeo@localhost", "--for", "0s")
	run(cli.ExitFailure, "there is no session romeo@localhost/b", "romeo@localhost/b")
	run(0, `^\d\d:\d\d:\d\d\.\d{3} romeo@localhost/a is traced until \d\d:\d\d:\d\d; text is hidden\n\d\d:\d\d:\d\d\.\d{3} the time is up\n$`, "romeo@localhost", "--for", "1ms")
	run(0, `text is shown\n`, "romeo@localhost/a", "--for", "1ms", "--bodies")

	const stanza = "<message to='romeo@localhost/a' type='chat'><body>a\n\u009bb</body></message>"
	begin := func(args ...string) (next func() string, interrupt func()) {
		t.Helper()
		cmd := cmdtest.Program(nil, append(append([]string{"trace", "romeo@localhost/a"}, args...), "--data", dir)...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		lines := bufio.NewReader(out)
		next = func() string {
			t.Helper()
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%v after %q", err, line)
			}
			return line
		}
		return next, func() {
			t.Helper()
			_ = cmd.Process.Signal(os.Interrupt)
			rest, _ := io.ReadAll(lines)
			if err := cmd.Wait(); err != nil || len(rest) > 0 {
				t.Errorf("%v, %q", err, rest)
			}
		}
	}
	next, interrupt := begin()
	next()
	romeo.ask(stanza, "</message>")
	for _, want := range []string{`^\d\d:\d\d:\d\d\.\d{3} C:     \d\d <message to='romeo@localhost/a' type='chat'><body>…</body></message>\n$`, ` S:  +\d+ <message .*<body>…</body></message>\n$`} {
		if line := next(); !regexp.MustCompile(want).MatchString(line) {
			t.Errorf("%q, want %s", line, want)
		}
	}
	interrupt()

	next, interrupt = begin("--bodies")
	next()
	romeo.ask(stanza, "</message>")
	if line := next(); !strings.HasSuffix(line, "<body>a↵?b</body></message>\n") {
		t.Errorf("%q", line)
	}
	next()
	interrupt()

	next, _ = begin("--json")
	var l api.TraceLine
	if err := json.Unmarshal([]byte(next()), &l); err != nil || l.Kind != api.TraceBegin || l.JID != "romeo@localhost/a" {
		t.Errorf("%+v %v", l, err)
	}
	romeo.ask("</stream:stream>", "</stream:stream>")
	for l.Kind != api.TraceEnd {
		if err := json.Unmarshal([]byte(next()), &l); err != nil {
			t.Fatal(err)
		}
	}
	if l.Reason != "closed" {
		t.Errorf("%+v", l)
	}
}

// TestTraceLines: what is written for people about losses, ends and what cannot be shown.
func TestTraceLines(t *testing.T) {
	f := func(want string, l api.TraceLine) {
		t.Helper()
		var b strings.Builder
		if err := new(traceCmd).write(&b, &l); err != nil {
			t.Fatal(err)
		}
		got := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3} `).ReplaceAllString(b.String(), "")
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("1,234 missing here: this command was too slow\nS:      9 <a/>\n", api.TraceLine{Kind: api.TraceSent, Bytes: 9, XML: "<a/>", Lost: 1234})
	f("C:  12345 (not shown: it cannot be parsed)\n", api.TraceLine{Kind: api.TraceReceived, Bytes: 12345})
	f("C:      4 a↵b↵c d?\n", api.TraceLine{Kind: api.TraceReceived, Bytes: 4, XML: "a\r\nb\nc\td\x1b"})
	for reason, want := range map[string]string{
		api.TraceTimeUp: "the time is up\n", "lost": "the session has ended: its connection was lost\n", "slow-reader": "the session has ended: the client did not read what was sent to it\n",
		"closed": "the session has ended: the client has closed it\n", "policy-violation": "the session has ended with the stream error policy-violation\n",
	} {
		f(want, api.TraceLine{Kind: api.TraceEnd, Reason: reason})
	}
}
