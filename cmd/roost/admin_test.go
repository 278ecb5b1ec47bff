package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// servingAccounts starts a server with accounts, all with the password secret. addr is its
// address for clients without TLS.
func servingAccounts(t *testing.T, accounts ...string) (server *exec.Cmd, dir, addr string) {
	t.Helper()
	dir = t.TempDir()
	var lines strings.Builder
	for _, a := range accounts {
		lines.WriteString(a + ",secret\n")
	}
	if _, err := runUser(t, lines.String(), "import", "-", "--create", "--data", dir); err != nil {
		t.Fatal(err)
	}
	server, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", dir)
	return server, dir, regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting)
}

// runner returns a function that runs a command for the server of a data directory, checks
// its exit status and output (want is a regular expression), and returns its stdout.
func runner(t *testing.T, dir string) func(code int, want string, args ...string) string {
	return func(code int, want string, args ...string) string {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append(args, "--data", dir)...)
		if got != code || !regexp.MustCompile(want).MatchString(stdout+stderr) {
			t.Errorf("%q: %d, %q, %q; want %d and %s", args, got, stdout, stderr, code, want)
		}
		return stdout
	}
}

// TestStatus: a table for people, JSON for programs, and one line without a server.
func TestStatus(t *testing.T) {
	dir := t.TempDir()
	code, stdout, stderr := cmdtest.Result(t, nil, "status", "--data", dir)
	if code != cli.ExitFailure || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "no server runs on the data directory "+dir) {
		t.Errorf("without a server: %d, %q, %q", code, stdout, stderr)
	}
	cmd, _ := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
	code, stdout, stderr = cmdtest.Result(t, nil, "status", "--data", dir)
	for _, want := range []string{"serving, up for", "domains        localhost\n", "online         0 clients of 0 accounts", "XMPP clients (STARTTLS): 127.0.0.1:", "localhost, 127.0.0.1, ::1: self-signed, expires in"} {
		if code != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%d, %q; no %q in\n%s", code, stderr, want, stdout)
		}
	}
	code, stdout, _ = cmdtest.Result(t, nil, "status", "--data", dir, "--json")
	var s api.Status
	if err := json.Unmarshal([]byte(stdout), &s); code != 0 || err != nil || s.PID != cmd.Process.Pid {
		t.Errorf("%d, %v, %s", code, err, stdout)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	if code, _, stderr = cmdtest.Result(t, nil, "status", "--data", dir); code != cli.ExitFailure || !strings.Contains(stderr, "no server runs") {
		t.Errorf("after its end: %d, %q", code, stderr)
	}
}

func TestAdminURL(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, _, stderr := cmdtest.Result(t, nil, append([]string{"status"}, args...)...)
		if code != cli.ExitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q: %d, %q, want %q", args, code, stderr, want)
		}
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("--admin-url needs --admin-token-file", "--admin-url", "http://127.0.0.1:1")
	f("no such file", "--admin-url", "http://127.0.0.1:1", "--admin-token-file", file+"x")
	f("is not a URL such as", "--admin-url", "127.0.0.1:1", "--admin-token-file", file)
}

func TestTokenCommands(t *testing.T) {
	dir := t.TempDir()
	f := func(code int, want string, args ...string) string {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append([]string{"admin", "token"}, args...)...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q: %d, %q, %q; want %d and %q", args, got, stdout, stderr, code, want)
		}
		return stdout
	}
	if token := f(0, "shown only now", "add", "a", "--scope", "read", "--data", dir); !regexp.MustCompile(`^roost_[A-Za-z0-9_-]{43}\n$`).MatchString(token) {
		t.Errorf("%q is no token", token)
	}
	f(0, "read   a\n", "list", "--data", dir)
	f(0, `[{"name":"a","scope":"read"}]`, "list", "--json", "--data", dir)
	f(cli.ExitFailure, "there is a token a already", "add", "a", "--scope", "write", "--data", dir)
	f(0, "removed", "remove", "a", "--data", dir)
	f(cli.ExitFailure, "no token of this name", "remove", "a", "--data", dir)
	f(cli.ExitUsage, "--scope", "add", "a", "--data", dir)
	f(cli.ExitUsage, "--scope", "add", "a", "--scope", "all", "--data", dir)
	f(cli.ExitUsage, "no data directory", "list", "--data", filepath.Join(dir, "none"))

	// The first token may be made before the server has run, as it would make the directory.
	first := filepath.Join(dir, "new", "data")
	f(cli.ExitUsage, "no data directory "+first+": name the server's with --data, or create it with roost admin token add --create", "add", "a", "--scope", "read", "--data", first)
	f(0, "shown only now", "add", "a", "--scope", "read", "--data", first, "--create")
	if info, err := os.Stat(first); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}

	audit := filepath.Join(t.TempDir(), "audit")
	f(0, "shown only now", "add", "b", "--scope", "write", "--data", dir, "--audit", audit)
	f(0, "removed", "remove", "b", "--data", dir, "--audit", audit)
	f(cli.ExitFailure, "no token of this name", "remove", "b", "--data", dir, "--audit", audit)
	f(cli.ExitFailure, "audit log", "add", "c", "--scope", "write", "--data", dir, "--audit", filepath.Join(audit, "none"))
	f(0, `[]`, "list", "--json", "--data", dir)
	var got []string
	for _, e := range readAudit(t, audit) {
		got = append(got, fmt.Sprint(e.From, " ", e.Action, " ", e.Object, " ", e.Params["scope"], " ", e.Result))
	}
	want := []string{"roost admin token.add b write ok", "roost admin token.remove b <nil> ok", "roost admin token.remove b <nil> internal"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestDocumentedAdministration runs the commands of docs/admin.md, docs/metrics.md and
// docs/configuration.md as they are written, but for the data directory, the config file and
// the port, against a server.
func TestDocumentedAdministration(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	work, bin := t.TempDir(), t.TempDir()
	dir := filepath.Join(work, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nROOST_TEST_AS_PROGRAM=1 exec '" + os.Args[0] + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "roost"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	_, token, _ := cmdtest.Result(t, nil, "admin", "token", "add", "test", "--scope", "write", "--data", dir)
	if err := os.WriteFile(filepath.Join(work, "monitoring.token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := runUser(t, "romeo@example.org,secret\n", "import", "-", "--create", "--data", dir); err != nil {
		t.Fatal(err)
	}
	_, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--domain", "example.org", "--data", dir, "--admin", "127.0.0.1:0")
	c2s := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting)
	for _, resource := range []string{"phone", "laptop"} {
		loginTo(t, c2s, "example.org", "AHJvbWVvAHNlY3JldA==", resource)
	}
	addr := regexp.MustCompile(`administration +(\S+)`).FindStringSubmatch(greeting)
	if addr == nil {
		t.Fatalf("no address in %s", greeting)
	}
	ran := 0
	file := filepath.Join(work, "roost.toml")
	if err := os.WriteFile(file, []byte("domain = \"example.org\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	local := api.Local(filepath.Join(dir, api.SocketName))
	defer local.Close()
	var text strings.Builder
	documents := cmdtest.Documents(t)
	for _, name := range administrationPages {
		text.WriteString(documents[name])
	}
	for _, m := range administrationCommand.FindAllStringSubmatch(text.String(), -1) {
		ran++
		line := strings.NewReplacer("/var/lib/roost", dir, "/etc/roost/roost.toml", file, "127.0.0.1:5280", addr[1]).Replace(m[1])
		line = strings.Replace(line, "curl ", "curl --silent --show-error --fail-with-body ", 1)
		sh := exec.Command("/bin/sh", "-c", line)
		sh.Dir = work
		sh.Env = append(cmdtest.Program(nil).Env, "PATH="+bin+":"+os.Getenv("PATH"), "TOKEN="+strings.TrimSpace(token))
		var out []byte
		var err error
		if liveCommands.MatchString(m[1]) {
			out, err = runLive(sh, func() {
				loginTo(t, c2s, "example.org", "AHJvbWVvAHNlY3JldA==", "events")
				_ = local.Do(t.Context(), "DELETE", strings.Replace(api.PathAccount, "{jid}", "probe@example.org", 1), nil, nil, nil)
			})
		} else {
			out, err = sh.CombinedOutput()
		}
		if err != nil || len(out) == 0 {
			t.Errorf("%s: %v\n%s", m[1], err, out)
		}
	}
	if ran < 49 {
		t.Errorf("only %d commands were found", ran)
	}
}

// administrationPages are those whose commands TestDocumentedAdministration runs.
var administrationPages = []string{"docs/admin.md", "docs/metrics.md", "docs/configuration.md"}

// administrationCommand matches such a command.
var administrationCommand = regexp.MustCompile(`(?m)^    ((?:echo \S+ \| )?(?:curl|roost) .*)$`)

// liveCommands are documented commands that run until they are interrupted.
var liveCommands = regexp.MustCompile(`^roost (events|top --json)|/v1/events`)

// runLive runs a command until it has written something, and interrupts it. It calls cause
// again and again, which causes what the command waits for.
func runLive(sh *exec.Cmd, cause func()) (out []byte, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	sh.Stdout, sh.Stderr = w, w
	sh.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = sh.Start()
	_ = w.Close()
	if err != nil {
		return nil, err
	}
	read := make(chan []byte)
	go func() {
		first := make([]byte, 1000)
		n, _ := r.Read(first)
		read <- first[:n]
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for out == nil {
		select {
		case out = <-read:
		case <-tick.C:
			cause()
		}
	}
	_ = syscall.Kill(-sh.Process.Pid, syscall.SIGINT)
	var exit *exec.ExitError
	if err = sh.Wait(); errors.As(err, &exit) && !exit.Exited() {
		err = nil // curl does not handle the signal
	}
	return out, err
}
