package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
	"roost/jid"
	"roost/store"
)

// userStep is a command with its standard input, and what comes of it.
type userStep struct {
	stdin string
	args  string
	code  int
	want  string // regular expression for both outputs
}

var userSteps = []userStep{
	{"secret", "add Juliet@localhost --password-stdin", 0, `^added juliet@localhost\n$`},
	{"secret", "add juliet@localhost --password-stdin", cli.ExitFailure, `^roost: juliet@localhost exists already: change its password with: .*user passwd juliet@localhost --data DIR\n$`},
	{"", "add romeo@localhost --password-stdin", cli.ExitFailure, `^roost: the password is empty\n$`},
	{"\U0001f511", "add romeo@localhost --password-stdin", cli.ExitFailure, `^roost: the password has an emoji or another character that is too new: passwords can only have characters of Unicode 3.2 \(RFC 4013\)\n$`},
	{"a\xff", "add romeo@localhost --password-stdin", cli.ExitFailure, `^roost: the password is not in UTF-8\n$`},
	{strings.Repeat("x", 1024), "add romeo@localhost --password-stdin", cli.ExitFailure, `^roost: the password is longer than 1023 bytes\n$`},
	{"secret", "add romeo@example.com --password-stdin", cli.ExitFailure, `^roost: romeo@example.com not added: its domain is not served \(served: localhost\); add --domain example.com to roost serve, or use --any-domain\n$`},
	{"secret", "add romeo@example.com --password-stdin --any-domain", 0, `^added romeo@example.com\n$`},
	{"", "list", 0, `^romeo@example.com\njuliet@localhost\n$`},
	{"", "list --domain LOCALHOST", 0, `^juliet@localhost\n$`},
	{"", "list --domain example.org", 0, `^$`},
	{"", "list --lacking scram-sha-256", 0, `^$`},
	{"", "list --lacking MD5", cli.ExitUsage, `"MD5" is not a mechanism with keys: use SCRAM-SHA-256 or SCRAM-SHA-1`},
	{"better", "passwd juliet@localhost --password-stdin --iterations 4096", 0, `^changed the password of juliet@localhost\n$`},
	{"\U0001f511", "passwd juliet@localhost --password-stdin", cli.ExitFailure, `^roost: the password has an emoji`},
	{"nurse@localhost,\U0001f511\n", "import - --iterations 4096", cli.ExitFailure, `^-:1: nurse@localhost: the password has an emoji`},
	{"better", "passwd nurse@localhost --password-stdin", cli.ExitFailure, `^roost: there is no account nurse@localhost: add it with: .*user add nurse@localhost --data DIR\n$`},
	{"", "disable juliet@localhost", 0, `^disabled juliet@localhost\n$`},
	{"", "disable nurse@localhost", cli.ExitFailure, `^roost: there is no account nurse@localhost\n$`},
	{"", "list", 0, `^romeo@example.com\njuliet@localhost\tdisabled\n$`},
	{"", "list --json --domain localhost", 0, `^\{"jid":"juliet@localhost","created":"[^"]+","disabled":true,"sessions":0\}\n$`},
	{"", "show juliet@localhost", 0, `(?s)^account +juliet@localhost\ncreated +20.*\nmay log in +no: it is disabled\nonline +0 sessions\nwaiting +0 messages\nkeys +SCRAM-SHA-256, 4,096 iterations\nkeys +SCRAM-SHA-1, 4,096 iterations\n$`},
	{"", "tokens juliet@localhost", 0, `^CLIENT +SOFTWARE +DEVICE +USED +EXPIRES\n$`},
	{"", "tokens juliet@localhost --json", 0, `^$`},
	{"", "tokens nurse@localhost", cli.ExitFailure, `^roost: there is no account nurse@localhost\n$`},
	{"", "revoke juliet@localhost", cli.ExitUsage, `name one client, or use --all`},
	{"", "revoke juliet@localhost x --all", cli.ExitUsage, `name one client, or use --all`},
	{"", "revoke juliet@localhost x", cli.ExitFailure, `^roost: juliet@localhost has no client x with a token: list them with: .*user tokens juliet@localhost --data DIR\n$`},
	{"", "revoke juliet@localhost --all", 0, `^revoked 0 tokens of juliet@localhost; sessions ended: 0\n$`},
	{"", "revoke juliet@localhost --all --json", 0, `"clients": 0,`},
	{"", "revoke nurse@localhost --all", cli.ExitFailure, `^roost: there is no account nurse@localhost\n$`},
	{"", "enable juliet@localhost", 0, `^enabled juliet@localhost\n$`},
	{"", "disable juliet@localhost --json", 0, `(?s)^\{\n  "jid": "juliet@localhost",\n.*"disabled": true`},
	{"best", "passwd juliet@localhost --password-stdin --json", 0, `"disabled": true`},
	{"", "enable juliet@localhost --json", 0, `"disabled": false`},
	{"", "show juliet@localhost --json", 0, `"disabled": false`},
	{"", "show nurse@localhost", cli.ExitFailure, `^roost: there is no account nurse@localhost\n$`},
	{"nurse@localhost,secret\nbad\n", "import - --iterations 4096", cli.ExitFailure, `^-:2: the line has 1 field .*\nadded 1 account, skipped 0 existing, rejected 1 line; .*\nroost: 1 line not imported; correct the source`},
	{"nurse@localhost,better\nparis@localhost,better\njuliet@localhost,better", "import - --iterations 4096", 0, `^added 1 account, skipped 2 existing; `},
	{"nurse@localhost,best\n", "import - --iterations 4096 --update --keep-sessions --json", 0, `(?s)^\{\n  "file": "-",\n  "created": 0,\n  "existing": 1,\n  "rejected": 0,\n.*"mistakes": \[\]\n\}\n$`},
	{"a@localhost,secret\na@example.org,secret\n", "import - --json", cli.ExitFailure, `(?s)^-:2: its domain is not served \(served: localhost\)\n.*"rejected": 1,\n.*"mistakes": \[\n    \{\n      "line": 2,\n      "error": "its domain is not served \(served: localhost\)"`},
	{"a@example.com,secret\n", "import - --any-domain --iterations 4096", 0, `^added 1 account, skipped 0 existing; `},
	{"", "list", 0, `^a@example.com\nromeo@example.com\na@localhost\njuliet@localhost\nnurse@localhost\nparis@localhost\n$`},
	{"", "del juliet@localhost", 0, `^deleted juliet@localhost\n$`},
	{"", "del juliet@localhost", cli.ExitFailure, `^roost: there is no account juliet@localhost\n$`},
	{"", "list --domain localhost", 0, `^a@localhost\nnurse@localhost\nparis@localhost\n$`},
	{"", "show localhost", cli.ExitUsage, `must look like user@domain`},
}

// runSteps runs commands on a data directory and returns what they have written.
func runSteps(t *testing.T, env []string, dir string) (all []string) {
	t.Helper()
	for _, s := range userSteps {
		cmd := cmdtest.Program(env, append(append([]string{"user"}, strings.Fields(s.args)...), "--data", dir)...)
		cmd.Stdin = strings.NewReader(s.stdin)
		out, _ := cmd.CombinedOutput()
		text := strings.ReplaceAll(string(out), dir, "DIR")
		if code := cmd.ProcessState.ExitCode(); code != s.code || !regexp.MustCompile(s.want).MatchString(text) {
			t.Errorf("%s: %d, %s; want %d and %s", s.args, code, text, s.code, s.want)
		}
		all = append(all, regexp.MustCompile(`20\d\d-[^ "\n]*|; \S+s, \d+ accounts/s|"seconds": [^,]*`).ReplaceAllString(text, "TIME"))
	}
	return all
}

// readAudit reads an audit log, in which no password is.
func readAudit(t *testing.T, name string) (all []admin.AuditEntry) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "secret") || strings.Contains(string(text), "better") {
		t.Errorf("a password is in the audit log:\n%s", text)
	}
	for line := range bytes.Lines(text) {
		var e admin.AuditEntry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// TestUserWithAndWithoutServer: commands for accounts have the same results, and write the
// same, whether a server runs or not. Both ways are audited, without passwords.
func TestUserWithAndWithoutServer(t *testing.T) {
	dir := t.TempDir()
	cmdtest.OpenStore(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "domains"), []byte("localhost\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	audit := filepath.Join(t.TempDir(), "audit")
	stored := runSteps(t, []string{"ROOST_AUDIT=" + audit}, dir)

	served := t.TempDir()
	serverAudit := filepath.Join(t.TempDir(), "audit")
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", served, "--audit", serverAudit)
	unused := filepath.Join(t.TempDir(), "audit")
	for i, text := range runSteps(t, []string{"ROOST_AUDIT=" + unused}, served) {
		if text != stored[i] {
			t.Errorf("%s: with a server %q, without %q", userSteps[i].args, text, stored[i])
		}
	}
	if _, err := os.Stat(unused); err == nil {
		t.Error("the command has an audit log although a server runs")
	}
	byServer, byCommand := readAudit(t, serverAudit), readAudit(t, audit)
	if len(byServer) != len(byCommand) || len(byServer) < 8 {
		t.Fatalf("%+v\n%+v", byServer, byCommand)
	}
	for i, e := range byCommand {
		s := byServer[i]
		if e.Action != s.Action || e.Object != s.Object || e.Result != s.Result || e.Actor != s.Actor || e.Actor == "" || e.From != "roost user" || s.From != "" {
			t.Errorf("%+v, by the server %+v", e, s)
		}
	}
}

// TestAuditOfImport: each batch of an import is an entry with the addresses, without
// passwords and keys.
func TestAuditOfImport(t *testing.T) {
	dir := t.TempDir()
	audit := filepath.Join(t.TempDir(), "audit")
	if _, err := runUser(t, "romeo@localhost,secret\nlocalhost,secret\n", "import", "-", "--create", "--data", dir, "--audit", audit); err == nil {
		t.Error("a wrong line is imported")
	}
	all := readAudit(t, audit)
	if len(all) != 1 || all[0].Action != "account.import" || fmt.Sprint(all[0].Params["accounts"]) != "[map[jid:romeo@localhost]]" || all[0].Result != "ok" {
		t.Errorf("%+v", all)
	}
	// Without the audit log nothing is done.
	if _, err := runUser(t, "nurse@localhost,secret\n", "import", "-", "--data", dir, "--audit", filepath.Join(audit, "none")); err == nil || !strings.Contains(err.Error(), "audit log") {
		t.Errorf("%v", err)
	}
	if out, err := runUser(t, "", "list", "--data", dir); out != "romeo@localhost\n" || err != nil {
		t.Errorf("%q %v", out, err)
	}
}

// TestUserElsewhere: a server on another machine is asked with a token, and a database that
// is named is changed although a server runs on the data directory.
func TestUserElsewhere(t *testing.T) {
	dir := t.TempDir()
	var tokens []string
	for _, scope := range []string{"read", "write"} {
		code, token, stderr := cmdtest.Result(t, nil, "admin", "token", "add", scope, "--scope", scope, "--data", dir)
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(token), 0o600); code != 0 || err != nil {
			t.Fatal(stderr, err)
		}
		tokens = append(tokens, file)
	}
	_, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir, "--admin", "127.0.0.1:0")
	addr := regexp.MustCompile(`administration +(\S+)`).FindStringSubmatch(greeting)[1]
	elsewhere := "sqlite:" + filepath.Join(t.TempDir(), "other.db")
	f := func(code int, want, stdin string, args ...string) {
		t.Helper()
		cmd := cmdtest.Program(nil, append([]string{"user"}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
			t.Errorf("%q: %d, %s; want %d and %q", args, got, out, code, want)
		}
	}
	remote := func(token string, args ...string) []string {
		return append(args, "--data", filepath.Join(dir, "none"), "--admin-url", "http://"+addr, "--admin-token-file", token)
	}
	f(0, "added romeo@localhost", "x", remote(tokens[1], "add", "romeo@localhost", "--password-stdin")...)
	f(cli.ExitFailure, "romeo@example.com not added: its domain is not served (served: localhost)", "x", remote(tokens[1], "add", "romeo@example.com", "--password-stdin")...)
	f(0, "romeo@localhost\n", "", remote(tokens[0], "list")...)
	f(cli.ExitFailure, "has the scope read, and this request needs write", "", remote(tokens[0], "disable", "romeo@localhost")...)
	f(cli.ExitFailure, "has the scope read, and this request needs write", "new@localhost,x", remote(tokens[0], "import", "-")...)
	f(cli.ExitFailure, "-:1: its domain is not served (served: localhost)", "romeo@example.com,x", remote(tokens[1], "import", "-")...)
	f(0, "added 0 accounts, skipped 1 existing", "romeo@localhost,x", remote(tokens[1], "import", "-")...)
	f(0, "logged out romeo@localhost: 0 sessions, 0 tokens revoked", "", remote(tokens[1], "logout", "romeo@localhost")...)
	f(cli.ExitFailure, "there is no account nurse@localhost", "", "logout", "nurse@localhost", "--data", dir)
	f(cli.ExitFailure, "no server runs", "", "logout", "nurse@localhost", "--data", filepath.Join(dir, "none"))
	f(0, "added nurse@localhost", "x", "add", "nurse@localhost", "--password-stdin", "--data", dir, "--store", elsewhere, "--create")
	f(0, "nurse@localhost\n", "", "list", "--data", dir, "--store", elsewhere)
	f(0, "romeo@localhost\n", "", "list", "--data", dir)
	var a api.Account
	_, out, _ := cmdtest.Result(t, nil, append([]string{"user"}, remote(tokens[0], "list", "--json")...)...)
	if err := json.Unmarshal([]byte(out), &a); err != nil || a.JID != "romeo@localhost" {
		t.Errorf("%s %v", out, err)
	}
}

// TestPasswordOfAnotherAccount: an account that was deleted and created again while the
// command asked for the password does not get it, with and without a server.
func TestPasswordOfAnotherAccount(t *testing.T) {
	served, stored := t.TempDir(), t.TempDir()
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", served)
	client := api.Local(filepath.Join(served, api.SocketName))
	t.Cleanup(client.Close)
	s := cmdtest.OpenStore(t, stored)
	for name, a := range map[string]accounts{"server": onServer{client}, "store": onStore{Store: s}} {
		j := jid.MustParse("romeo@localhost")
		add := func(password string) {
			t.Helper()
			if _, err := a.add(t.Context(), j, &api.AccountCreate{JID: j.String(), Password: password, Iterations: store.MinIterations}); err != nil {
				t.Error(err)
			}
		}
		add("old")
		c := userPasswdCmd{JID: accountArg{j}}
		c.Iterations = store.MinIterations
		err := c.change(t.Context(), a, func(context.Context) (string, error) {
			if err := a.remove(t.Context(), j, admin.UseRule{}); err != nil {
				t.Error(err)
			}
			add("new")
			return "late", nil
		})
		if err == nil || !strings.Contains(err.Error(), "romeo@localhost has changed in the meantime; nothing was done: run the command again") {
			t.Errorf("%s: %v", name, err)
		}
	}
	logins(t, s, map[string]string{"romeo@localhost": "new"})
	logins(t, cmdtest.OpenStore(t, served), map[string]string{"romeo@localhost": "new"})
}
