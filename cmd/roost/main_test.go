package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"roost/internal/cmdtest"
	"roost/internal/pgtest"
	"roost/internal/redistest"
)

func TestMain(m *testing.M) {
	if cmdtest.IsProgram() {
		code := run(os.Args[1:])
		if os.Getenv("ROOST_TEST_DUMPABLE") != "" {
			n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
			fmt.Println("dumpable:", n, err)
		}
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// TestMistakes: errors are one clear line, with exit code 2, or 1 if the command line is
// not the cause.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	config := func(text string) string {
		name := filepath.Join(dir, "roost.toml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	f := func(env []string, code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, env, args...)
		if got != code || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%q: exit code %d, error %q, output %q; want %d and one line with %q", args, got, stderr, stdout, code, want)
		}
	}
	f(nil, 2, "--bogus", "serve", "--bogus")
	f(nil, 2, "fish", "fish")
	f(nil, 1, "go run ./cmd/roost-bench", "bench")
	f(nil, 1, "go run ./cmd/roost-bench", "bench", "--help")
	f(nil, 1, "go run ./cmd/roost-bench", "bench", "idle", "--sessions", "5", "--json")
	f(nil, 2, "--max-stanza", "serve", "--max-stanza", "lots")
	f(nil, 2, "--max-stanza must be 10000 to 64MiB, not 5000", "serve", "--max-stanza", "5000")
	f(nil, 2, "--log-format", "serve", "--log-format", "xml")
	f(nil, 2, "--idle-timeout", "serve", "--idle-timeout", "soon")
	f(nil, 2, "is not a domain", "serve", "--domain", "not a domain")
	f(nil, 2, "needs its key", "serve", "--tls-cert", config(""))
	f(nil, 2, "no address", "serve", "--c2s", "", "--c2s-tls", "")
	f(nil, 2, "not a loopback address", "serve", "--pprof", "0.0.0.0:6060")
	f(nil, 2, "not a loopback address", "serve", "--pprof", ":6060")
	f(nil, 2, "not a loopback address", "serve", "--pprof", "localhost.example:6060")
	f(nil, 2, "not host:port", "serve", "--pprof", "6060")
	f(nil, 2, "missing port", "serve", "--c2s", "nonsense")
	f(nil, 2, "no such port", "serve", "--c2s-tls", ":99999")
	f(nil, 2, "--pollers must be 1 to 1024, not -1", "serve", "--pollers", "-1")
	f(nil, 2, "not -5; --workers must be 1 to 10000, not 0", "serve", "--max-resources", "-5", "--workers", "0")
	f(nil, 2, "--max-per-address must be 1 to 1000000000, or off, not 0", "serve", "--max-per-address", "0")
	f(nil, 2, "--offline-quota must be 1 to 1000000000, or off, not -2", "serve", "--offline-quota=-2")
	f(nil, 2, "--outbox must be 10000 to 1GiB, not 0", "serve", "--outbox", "0")
	f(nil, 2, "--linger must be 1ms to 8760h, not 0s", "serve", "--linger", "0s")
	f(nil, 2, "--idle-timeout must be 1ms to 8760h, or off, not -5s", "serve", "--idle-timeout", "-5s")
	f(nil, 2, "--keepalive-batch must be 1ns to 1s, or off, not 2s", "serve", "--keepalive-batch", "2s")
	f([]string{"ROOST_HANDSHAKES=0"}, 2, "--handshakes (ROOST_HANDSHAKES) must be", "serve")
	f(nil, 2, "roost.toml:1) must be 0s to", "serve", "--config", config("drain-timeout = \"-1s\""))
	f([]string{"ROOST_POLLERS=many"}, 2, "--pollers", "serve")
	f(nil, 2, `roost.toml:1: unknown key "fish"; keys are flag names`, "serve", "--config", config("fish = 1"))
	f(nil, 2, `roost.toml:3: unknown key "wrokers"; did you mean workers?`, "serve", "--config", config("# workers\n\nwrokers = 1"))
	f(nil, 2, "roost.toml:2: [server] is a table", "serve", "--config", config("c2s = \":0\"\n[server]\nc2s-tls = \"\""))
	f(nil, 2, "roost.toml:2: unexpected EOF; expected value", "serve", "--config", config("register = true\nc2s = "))
	f(nil, 2, "--max-stanza (", "serve", "--config", config("max-stanza = \"lots\""))
	f(nil, 2, "roost.toml:2): \"lots\" is not a size", "serve", "--config", config("\nmax-stanza = \"lots\""))
	f(nil, 2, "roost.toml:1) must be 1 to 10000, not 0", "serve", "--config", config("workers = 0"))
	f(nil, 2, "--workers must be 1 to 10000, not 0", "serve", "--config", config("workers = 5"), "--workers=0")
	f([]string{"ROOST_WORKERS=0"}, 2, "--workers (ROOST_WORKERS) must be", "serve", "--config", config("workers = 5"))
	f(nil, 2, "--domain must name a domain", "serve", "--domain", "")
	f([]string{"ROOST_DOMAIN="}, 2, "--domain (ROOST_DOMAIN) must name a domain", "serve")
	f(nil, 2, "roost.toml:1) must name a domain", "serve", "--config", config("domain = []"))
	f(nil, 2, "must name a domain", "check", "--domain=")
	f(nil, 2, "--domain: the domain example.org is given twice", "serve", "--domain", "example.org", "--domain", "EXAMPLE.org")
	f(nil, 2, "--memory-limit must be 32MiB to 1TiB, or off, not 1KiB", "serve", "--memory-limit", "1KiB")
	f(nil, 2, `--store: there is no kind of store "mysql": it must begin with one of postgres:, postgresql:, sqlite:`, "serve", "--store", "mysql://u:hunter2@host/db")
	f([]string{"ROOST_STORE=roost.db"}, 2, "--store (ROOST_STORE): the store's URL has no scheme", "user", "list")
	f(nil, 2, "--store: the store sqlite://host/db: a database is a local file", "check", "--store", "sqlite://host/db")
	f(nil, 1, "there is no database "+dir+"/none.db: name the server's database with --store", "user", "list", "--store", "sqlite:"+dir+"/none.db")
	f([]string{"ROOST_DATA="}, 2, "--data (ROOST_DATA): no data directory is given", "serve")
	f([]string{"ROOST_DATA="}, 2, "--data (ROOST_DATA) must name a directory", "user", "list")
	f(nil, 2, "see: ", "serve", "--bogus")
	f(nil, 2, " serve --help", "serve", "--bogus")
	f(nil, 2, " user add --help", "user", "add")
	f(nil, 2, `did you mean "--workers"`, "serve", "--wrokers", "3")
	f(nil, 2, "fish", "help", "fish")
	f(nil, 2, "roost.toml", "serve", "--config", config("c2s = "))
	f(nil, 2, "none.toml", "serve", "--config", filepath.Join(dir, "none.toml"))
	f(nil, 1, "this machine has no such address", "serve", "--c2s", "192.0.2.1:1", "--c2s-tls", "off", "--data", filepath.Join(dir, "data"))
	f(nil, 1, "/none.crt", "serve", "--c2s", "127.0.0.1:0", "--tls-cert", "/none.crt", "--tls-key", "/none.key", "--data", filepath.Join(dir, "data"))
}

// serving starts the server and returns its output up to the last line of its greeting.
func serving(t *testing.T, env []string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := cmdtest.Program(env, append([]string{"serve"}, args...)...)
	return cmd, started(t, cmd)
}

// started starts a server and returns its greeting.
func started(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Stderr == nil {
		cmd.Stderr = io.Discard
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var text strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C") {
			return text.String()
		}
	}
	t.Fatalf("the server ended: %s", text.String())
	return ""
}

// TestServe: the greeting names the addresses, the data directory and the next step; a
// signal ends the server cleanly.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		cmd, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "127.0.0.1:0", "--data", dir)
		for _, want := range []string{"localhost", "127.0.0.1:", dir, " user add romeo@localhost", "selfsigned.crt"} {
			if !strings.Contains(greeting, want) {
				t.Errorf("no %q in the greeting:\n%s", want, greeting)
			}
		}
		if strings.Contains(greeting, "127.0.0.1:0\n") {
			t.Errorf("the greeting does not have the actual port:\n%s", greeting)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

// TestServeNode: the greeting of a node of a cluster names it.
func TestServeNode(t *testing.T) {
	db, redis := pgtest.Shared(t).URL(t), redistest.Start(t).URL()
	cmd, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "off", "--data", t.TempDir(), "--store", db, "--cluster", redis, "--node", "verona")
	if !regexp.MustCompile(`(?m)^  node of a cluster +verona$`).MatchString(greeting) {
		t.Errorf("the greeting does not name the node:\n%s", greeting)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestNotDumpable: the memory of a server, which contains the keys of TLS sessions, is
// excluded from core dumps and inaccessible to other processes of its user.
func TestNotDumpable(t *testing.T) {
	cmd := cmdtest.Program([]string{"ROOST_TEST_DUMPABLE=1"}, "serve", "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if last = lines.Text(); strings.Contains(last, "Ctrl-C") {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := cmd.Wait(); err != nil || last != "dumpable: 0 <nil>" {
		t.Errorf("%v: %s", err, last)
	}
}

// TestTLSLean: the lean record layer is on by default, and the flag turns it off.
func TestTLSLean(t *testing.T) {
	for _, c := range []struct {
		args []string
		want bool
	}{{nil, false}, {[]string{"--tls-lean=false"}, true}, {[]string{"--no-tls-lean"}, true}, {[]string{"--tls-lean"}, false}} {
		var g grammar
		parser, err := newParser(&g)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"serve"}, c.args...)); err != nil {
			t.Fatal(err)
		}
		if got := g.Serve.serverConfig(nil).Poller.StdTLS; got != c.want {
			t.Errorf("%v: crypto/tls keeps its sessions: %v", c.args, got)
		}
	}
}

// TestPrecedence: flag before environment before config file before default.
func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "roost.toml")
	text := "domain = [\"file.example\", \"other.example\"]\nc2s = \"127.0.0.1:0\"\nc2s-tls = \"\"\nallow-plaintext = true\nmax-stanza = \"20000\"\nworkers = 3\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(env []string, want string, args ...string) {
		t.Helper()
		args = append([]string{"--data", filepath.Join(dir, "data")}, args...)
		cmd, greeting := serving(t, env, args...)
		if first, _, _ := strings.Cut(greeting, "\n"); first != "roost serves "+want {
			t.Errorf("%q, want %s", first, want)
		}
		if strings.Contains(greeting, "direct TLS") {
			t.Errorf("the file's empty c2s-tls was ignored:\n%s", greeting)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	f(nil, "file.example, other.example", "--config", config)
	f([]string{"ROOST_CONFIG=" + config}, "file.example, other.example")
	f([]string{"ROOST_DOMAIN=env.example"}, "env.example", "--config", config)
	f([]string{"ROOST_DOMAIN=env.example"}, "flag.example", "--config", config, "--domain", "flag.example")
}

// TestProfiles: profiles are only available on request.
func TestProfiles(t *testing.T) {
	args := []string{"--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", t.TempDir()}
	cmd, greeting := serving(t, nil, append(args, "--pprof", "localhost:0")...)
	url := regexp.MustCompile(`http://\S+`).FindString(greeting)
	answer, err := http.Get(url + "goroutine?debug=1")
	if err != nil {
		t.Fatalf("%v in\n%s", err, greeting)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); !strings.Contains(string(text), "goroutine profile") {
		t.Errorf("got %s", text)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	_, greeting = serving(t, nil, args...)
	if strings.Contains(greeting, "pprof") {
		t.Errorf("profiles without a request:\n%s", greeting)
	}
}

var update = flag.Bool("update", false, "write testdata/help.txt anew")

// TestHelp compares the help with golden files, so that changes are reviewed.
func TestHelp(t *testing.T) {
	code, got, _ := cmdtest.Result(t, []string{"COLUMNS=100"}, "serve", "--help")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	// The number of CPUs depends on the machine.
	file := filepath.Join("testdata", "help.txt")
	lines := strings.Split(got, "\n")
	for i, l := range lines {
		if strings.Contains(l, "--pollers") {
			lines[i] = "      --pollers=N"
		}
	}
	got = strings.Join(lines, "\n")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("the help has changed (%v); if it is right, run: go test ./cmd/roost -update\n%s", err, got)
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		if code, got, stderr := cmdtest.Result(t, nil, arg); code != 0 || !strings.HasPrefix(got, "roost ") || stderr != "" {
			t.Errorf("%s: %d, %q, %q", arg, code, got, stderr)
		}
	}
}

// TestHelpCommand: all usual ways to get help work.
func TestHelpCommand(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, got, stderr := cmdtest.Result(t, nil, args...)
		if code != 0 || !strings.Contains(got, want) || stderr != "" {
			t.Errorf("%q: exit code %d, %q, %q; want %q", args, code, got, stderr, want)
		}
	}
	f("Usage: roost <command>")
	f("Usage: roost <command>", "help")
	if _, got, _ := cmdtest.Result(t, nil, "help"); strings.Contains(got, "bench") {
		t.Errorf("it lists a command that there is not:\n%s", got)
	}
	f("Usage: roost serve", "help", "serve")
	f("Usage: roost user add", "help", "user", "add")
	f("Usage: roost user add", "user", "add", "--help")
	for _, command := range []string{"serve", "check"} {
		f("KiB, MiB and GiB", "help", command)
	}
}

// TestUnknownEnvironment: an environment variable that belongs to no flag is reported,
// with the most similar one.
func TestUnknownEnvironment(t *testing.T) {
	env := []string{"ROOST_WROKERS=3", "ROOST_FISH=1", "ROOST_DATA=" + t.TempDir(), "ROOST_ITERATIONS=10000", "ROOSTER=1"}
	_, _, stderr := cmdtest.Result(t, env, "user", "list")
	for _, want := range []string{"ROOST_WROKERS; did you mean ROOST_WORKERS?\n", "ROOST_FISH\n"} {
		if !strings.Contains(stderr, "roost: unknown environment variable: "+want) {
			t.Errorf("%q is not in %q", want, stderr)
		}
	}
	if strings.Count(stderr, "unknown environment") != 2 {
		t.Errorf("other variables are reported: %s", stderr)
	}
	// The server logs it before it reads the certificate.
	_, _, stderr = cmdtest.Result(t, env, "serve", "--c2s", "127.0.0.1:0", "--log-format", "json", "--tls-cert", "/none", "--tls-key", "/none")
	if !strings.Contains(stderr, `"msg":"unknown environment variable","variable":"ROOST_WROKERS; did you mean ROOST_WORKERS?"`) {
		t.Errorf("not in the log: %s", stderr)
	}
}

// TestSuggestions: command lines that the program suggests work as printed.
func TestSuggestions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "the data's directory")
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "a program") // for a binary of go test it suggests go run
	if err := os.WriteFile(copied, binary, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := cmdtest.Program(nil, "serve", "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
	cmd.Path, cmd.Args[0] = copied, copied
	greeting := started(t, cmd)
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	run := func(line, input string) (code int, output string) {
		t.Helper()
		sh := cmdtest.Program(nil)
		sh.Path, sh.Args = "/bin/sh", []string{"sh", "-c", line + " --password-stdin"}
		sh.Stdin = strings.NewReader(input)
		out, _ := sh.CombinedOutput()
		return sh.ProcessState.ExitCode(), string(out)
	}
	_, line, _ := strings.Cut(greeting, "Add an account:  ")
	line, _, _ = strings.Cut(line, "\n")
	if code, out := run(line, "secret"); code != 0 || !strings.Contains(out, "added romeo@localhost") {
		t.Fatalf("%s: %d, %s", line, code, out)
	}
	code, out := run(line, "secret")
	_, passwd, ok := strings.Cut(strings.TrimSpace(out), "change its password with: ")
	if code != 1 || !ok {
		t.Fatalf("%s: %d, %s", line, code, out)
	}
	if code, out := run(passwd, "other"); code != 0 || !strings.Contains(out, "changed the password of romeo@localhost") {
		t.Errorf("%s: %d, %s", passwd, code, out)
	}
}

// TestSecondSignal: a second signal stops the server immediately, here while it waits for
// a client to close its side.
func TestSecondSignal(t *testing.T) {
	r, w := smallPipe(t)
	cmd, addr := servingTo(t, w, "--linger", "1h", "--drain-timeout", "1h")
	w.Close()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	openStream(t, conn)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	stopping := false
	var log strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fmt.Fprintln(&log, lines.Text())
		if strings.Contains(lines.Text(), "a second signal stops at once") {
			stopping = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := cmd.Wait(); err == nil || !stopping {
		t.Errorf("the server ended with %v, want an error because it did not wait for its client:\n%s", err, &log)
	}
}
