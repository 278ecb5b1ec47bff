package server

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFail2ban: fail2ban finds the failed logins in both formats of the log, with the
// networks that they are from, and is not misled by what clients choose.
func TestFail2ban(t *testing.T) {
	program, err := exec.LookPath("fail2ban-regex")
	if err != nil {
		t.Skip(err)
	}
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var log lockedLog
		s := startServer(t, func(c *Config) {
			c.ProxyProtocol = []string{"127.0.0.0/8"}
			c.Logger = slog.New(handler(&log))
		})
		for user, proxied := range map[string]string{
			"romeo":                     "TCP4 192.0.2.10 198.51.100.1",
			"nobody":                    "TCP6 2001:db8::10 2001:db8::1",
			"x network=203.0.113.9":     "TCP4 192.0.2.11 198.51.100.1",
			"\"\n network=203.0.113.9 ": "TCP4 192.0.2.12 198.51.100.1",
		} {
			p := connect(t, s)
			if _, err := fmt.Fprintf(p.conn, "PROXY %s 4711 5222\r\n", proxied); err != nil {
				t.Fatal(err)
			}
			p.ask(testHeader, "</stream:features>")
			p.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00wrong"))+"</auth>", "</failure>")
		}
		file := filepath.Join(t.TempDir(), "log")
		text := log.String()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "--out", "ip", file, "../deploy/fail2ban/roost.conf").CombinedOutput()
		got := strings.Fields(string(out))
		want := strings.Count(text, "login failed")
		if err != nil || want < 2 || len(got) != want {
			t.Errorf("%s: %v; %q of\n%s", name, err, got, text)
		}
		for _, network := range []string{"192.0.2.10", "2001:db8::/64"} {
			if !strings.Contains(string(out), network) {
				t.Errorf("%s: %s is not in %q", name, network, got)
			}
		}
		if strings.Contains(string(out), "203.0.113.9") {
			t.Errorf("%s: a client has named another network: %q", name, got)
		}
		if found := inJournal(t, program, text); !slices.Equal(found, got) {
			t.Errorf("%s: in the journal, fail2ban finds %q, in a file %q", name, found, got)
		}
	}
}

// readsJournal gives lines of the journal to the filter of fail2ban, in the form that fail2ban makes
// of its entries (FilterSystemd.formatJournalEntry): the jail in deploy reads the journal, which no
// test has.
const readsJournal = `
import configparser, sys, time
from fail2ban.server.filter import Filter
conf = configparser.RawConfigParser()
conf.read(sys.argv[1])
f = Filter(None)
for pattern in conf["Definition"]["failregex"].splitlines():
    f.addFailRegex(pattern.strip())
for line in sys.stdin:
    for failure in f.processLine(("", "", "example roost[42]: " + line.rstrip("\n")), time.time()):
        print(failure[1])
`

// inJournal returns the networks that fail2ban finds in lines of the journal.
func inJournal(t *testing.T, program, log string) []string {
	t.Helper()
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	python := strings.Fields(strings.TrimPrefix(first, "#!")) // it has the modules of fail2ban
	cmd := exec.Command(python[0], append(python[1:], "-c", readsJournal, "../deploy/fail2ban/roost.conf")...)
	cmd.Stdin = strings.NewReader(log)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Fields(string(out))
}
