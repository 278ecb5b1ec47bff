package main

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"roost/admin/api"
	"roost/internal/cmdtest"
	"roost/internal/loglevel"
	"roost/internal/xmpptest"
	"roost/server"
)

// reloading is a server with a config file.
type reloading struct {
	t         *testing.T
	dir, file string
	cmd       *exec.Cmd
	addr      string
	log       *os.File
}

// configure writes the config file.
func (r *reloading) configure(lines ...string) {
	r.t.Helper()
	text := "c2s = \"127.0.0.1:0\"\nc2s-tls = \"off\"\nallow-plaintext = true\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reloading) start(args ...string) {
	r.t.Helper()
	var err error
	if r.log, err = os.Create(filepath.Join(r.dir, "log")); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.log.Close() })
	r.cmd = cmdtest.Program(nil, append([]string{"serve", "--config", r.file, "--data", filepath.Join(r.dir, "data")}, args...)...)
	r.cmd.Stderr = r.log
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = r.cmd.Process.Kill(); _ = r.cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C"); {
		if addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(lines.Text()); addr != "" && r.addr == "" {
			r.addr = addr
		}
	}
}

// logged waits for a text in the log.
func (r *reloading) logged(want string) {
	r.t.Helper()
	xmpptest.Eventually(r.t, "the log to have: "+want, func() bool {
		text, err := os.ReadFile(r.log.Name())
		return err == nil && strings.Contains(string(text), want)
	})
}

// roost runs a command for the server.
func (r *reloading) roost(args ...string) (code int, stdout, stderr string) {
	r.t.Helper()
	return cmdtest.Result(r.t, nil, append(args, "--data", filepath.Join(r.dir, "data"))...)
}

func newReloading(t *testing.T) *reloading {
	dir := t.TempDir()
	return &reloading{t: t, dir: dir, file: filepath.Join(dir, "roost.toml")}
}

// TestReload: roost reload says what has changed and what needs a restart, in a table and as
// JSON; the client that is connected stays. With a mistake nothing changes, each is named
// with its place, and the exit status is 1.
func TestReload(t *testing.T) {
	r := newReloading(t)
	if code, _, stderr := r.roost("reload"); code != 1 || !strings.Contains(stderr, "no server runs") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("without a server: %d %q", code, stderr)
	}
	if _, err := runUser(t, "romeo@localhost,secret\n", "import", "-", "--create", "--data", filepath.Join(r.dir, "data")); err != nil {
		t.Fatal(err)
	}
	r.configure("max-resources = 5", "workers = 7")
	r.start("--max-failures", "4")
	client := loginTo(t, r.addr, "localhost", "AHJvbWVvAHNlY3JldA==", "phone")
	if code, stdout, stderr := r.roost("reload"); code != 0 || stdout != "No setting has changed. The certificates were read again.\n" || stderr != "" {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
	r.configure("max-resources = 6", "workers = 8", "domain = [\"localhost\", \"example.org\"]", "max-failures = 9", "log-level = \"debug\"", "idle-timeout = \"off\"", "drain-timeout = \"3s\"")
	code, stdout, stderr := r.roost("reload")
	want := regexp.MustCompile(`^SETTING +OLD +NEW *
domain +localhost +localhost,example.org *
max-resources +5 +6 +new sessions
idle-timeout +24h +off *
drain-timeout +20s +3s *
log-level +INFO +DEBUG *
workers +7 +8 +the workers start with the server
1 of them need a restart; until then the old value is in use: workers
$`)
	if code != 0 || !want.MatchString(stdout) || stderr != "" {
		t.Errorf("%d, %q\n%s", code, stderr, stdout)
	}
	r.logged(`setting=max-resources old=5 new=6`)
	client.ask("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
	loginTo(t, r.addr, "localhost", "AHJvbWVvAHNlY3JldA==", "laptop")
	r.logged(`level=DEBUG`)
	var st api.Status
	if _, stdout, _ := r.roost("status", "--json"); json.Unmarshal([]byte(stdout), &st) != nil || len(st.Domains) != 2 {
		t.Errorf("the domain was not added: %s", stdout)
	}

	// What needs a restart is reported again, and hot changes are not.
	var done api.Reload
	code, stdout, _ = r.roost("reload", "--json")
	if err := json.Unmarshal([]byte(stdout), &done); code != 0 || err != nil || len(done.Changed) != 0 || len(done.NeedRestart) != 1 || done.NeedRestart[0] != (api.Change{Name: "workers", Old: "7", New: "8", Note: "the workers start with the server"}) {
		t.Errorf("%d, %s: %+v %v", code, stdout, done, err)
	}

	r.configure("max-resources = 0", "wrokers = 1", "outbox = \"lots\"", "linger = \"soon\"", "domain = \"example.net\"")
	code, stdout, stderr = r.roost("reload")
	if code != 1 || stdout != "" {
		t.Errorf("%d, %q", code, stdout)
	}
	for _, want := range []string{"nothing was reloaded", r.file + `:5: unknown key "wrokers"; did you mean workers?`, r.file + ":6: --outbox: ", r.file + ":7: --linger: "} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in:\n%s", want, stderr)
		}
	}
	if n := strings.Count(stderr, "\n"); n != 4 {
		t.Errorf("%d lines, want 4: one for each mistake\n%s", n, stderr)
	}
	r.configure("max-resources = 0", "max-stanza = \"2MiB\"")
	if code, _, stderr := r.roost("reload"); code != 1 || !strings.Contains(stderr, r.file+":4: --max-resources must be") || !strings.Contains(stderr, "must hold the largest stanza") {
		t.Errorf("%d, %q", code, stderr)
	}
	r.configure("tls-cert = \"/none.crt\"", "tls-key = \"/none.key\"")
	if code, _, stderr := r.roost("reload"); code != 1 || !strings.Contains(stderr, r.file+":4: --tls-cert: ") || !strings.Contains(stderr, "/none.crt") {
		t.Errorf("%d, %q", code, stderr)
	}
	r.logged("was not reloaded")
	if _, stdout, _ := r.roost("status", "--json"); json.Unmarshal([]byte(stdout), &st) != nil || len(st.Domains) != 2 {
		t.Errorf("a reload that has failed changed the domains: %s", stdout)
	}

	// SIGHUP does the same.
	r.configure("max-resources = 8")
	_ = r.cmd.Process.Signal(syscall.SIGHUP)
	r.logged("setting=max-resources old=6 new=8")
	client.ask("<iq type='get' id='q' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='q'")
}

// TestShowRunning: what the server uses is shown with where it comes from, also after a
// reload.
func TestShowRunning(t *testing.T) {
	r := newReloading(t)
	r.configure("max-resources = 5")
	r.start("--max-failures", "4")
	show := func(want ...string) {
		t.Helper()
		code, stdout, stderr := r.roost("config", "show", "--running")
		for _, w := range want {
			if code != 0 || !regexp.MustCompile(`(?m)^`+w+`$`).MatchString(stdout) {
				t.Errorf("%d, %q: no %q in\n%s", code, stderr, w, stdout)
			}
		}
	}
	show(`SETTING +VALUE +FROM`, `max-resources +5 +`+regexp.QuoteMeta(r.file)+`:4`, `max-failures +4 +command line`, `workers +32 +default`, `tls-cert +- +default`)
	r.configure("", "max-resources = 6")
	if code, _, stderr := r.roost("reload"); code != 0 {
		t.Errorf("%d %s", code, stderr)
	}
	show(`max-resources +6 +` + regexp.QuoteMeta(r.file) + `:5`)
	code, stdout, _ := r.roost("config", "show", "--running", "--json")
	var cfg api.Config
	if err := json.Unmarshal([]byte(stdout), &cfg); code != 0 || err != nil || len(cfg.Settings) < 40 {
		t.Errorf("%d %v\n%s", code, err, stdout)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "none")); err == nil {
		t.Fatal("there is such a directory")
	}
	if code, _, stderr := cmdtest.Result(t, nil, "config", "show", "--running", "--data", filepath.Join(r.dir, "none")); code != 1 || !strings.Contains(stderr, "no server runs") {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestReloadCredentials: a reload that changes nothing says so, also if certificates are
// credentials of the systemd unit.
func TestReloadCredentials(t *testing.T) {
	first, dir := t.TempDir(), t.TempDir()
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", first)
	cert, key := server.SelfSignedFiles(first)
	env := []string{"CREDENTIALS_DIRECTORY=" + first}
	serving(t, env, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir, "--tls-cert", "cred:"+filepath.Base(cert), "--tls-key", "cred:"+filepath.Base(key))
	runner(t, dir)(0, `^No setting has changed\. The certificates were read again\.\n$`, "reload")
}

// TestReloadReopensAudit: after its file was renamed, the audit log goes on in a new file.
func TestReloadReopensAudit(t *testing.T) {
	dir := t.TempDir()
	audit := filepath.Join(t.TempDir(), "audit.log")
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir, "--audit", audit)
	if err := os.Rename(audit, audit+".1"); err != nil {
		t.Fatal(err)
	}
	runner(t, dir)(0, "", "reload")
	if text, err := os.ReadFile(audit); err != nil || !strings.Contains(string(text), `"action":"config.reload"`) {
		t.Errorf("%q %v", text, err)
	}
}

// TestReloadMemoryLimit: without --memory-limit, the limit that the process has had at its
// start applies again, also after several reloads.
func TestReloadMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	l, wrong := readLaunch([]string{"serve"})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	const start = 3 << 30
	r := &reloader{log: slog.New(slog.DiscardHandler), level: new(loglevel.Level), memoryLimit: start, running: l}
	for range 2 {
		for args, want := range map[string]int64{"": start, "--memory-limit=2GiB": 2 << 30} {
			next, wrong := readLaunch(append([]string{"serve"}, strings.Fields(args)...))
			if len(wrong) > 0 {
				t.Fatal(wrong)
			}
			if r.take(next); debug.SetMemoryLimit(-1) != want {
				t.Errorf("%q: the limit is %d, want %d", args, debug.SetMemoryLimit(-1), want)
			}
		}
	}
}
