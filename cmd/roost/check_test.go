package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"roost/capacity"
	"roost/internal/cmdtest"
	"roost/store"
)

// madeUpHost is a machine with the default settings of a Linux distribution, 8 GiB, two
// CPUs and a firewall that tracks connections.
func madeUpHost() capacity.Host {
	files := fstest.MapFS{}
	for name, content := range map[string]string{
		"proc/self/limits":                                        "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 524288               files\n",
		"proc/self/cgroup":                                        "0::/system.slice/roost.service\n",
		"proc/self/status":                                        "Cpus_allowed_list:\t0-1\n",
		"proc/meminfo":                                            "MemAvailable:    7600000 kB\nSwapTotal:       2000000 kB\n",
		"proc/sys/fs/nr_open":                                     "1048576\n",
		"proc/sys/fs/file-max":                                    "9223372036854775807\n",
		"proc/sys/fs/file-nr":                                     "1856\t0\t9223372036854775807\n",
		"proc/sys/fs/epoll/max_user_watches":                      "1777000\n",
		"proc/sys/net/ipv4/tcp_mem":                               "92000\t123000\t184000\n",
		"proc/sys/net/ipv4/tcp_rmem":                              "4096\t131072\t6291456\n",
		"proc/sys/net/ipv4/tcp_wmem":                              "4096\t16384\t4194304\n",
		"proc/sys/net/core/somaxconn":                             "4096\n",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":                   "512\n",
		"proc/sys/net/ipv4/tcp_syncookies":                        "1\n",
		"proc/sys/net/ipv4/ip_local_port_range":                   "32768\t60999\n",
		"proc/sys/net/netfilter/nf_conntrack_max":                 "262144\n",
		"proc/sys/net/netfilter/nf_conntrack_count":               "211\n",
		"proc/sys/vm/swappiness":                                  "60\n",
		"sys/kernel/mm/transparent_hugepage/enabled":              "[always] madvise never\n",
		"sys/fs/cgroup/system.slice/roost.service/memory.max":     "4294967296\n",
		"sys/fs/cgroup/system.slice/roost.service/memory.current": "52428800\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return capacity.Host{Root: files, PageSize: 4096}
}

func madeUpReport(sessions int) *checkReport {
	h, p := madeUpHost(), capacity.Plan{Sessions: sessions}
	checks := capacity.Machine(h, p)
	tls := capacity.TLSPlan{Domains: []string{"example.org"}}
	if sessions > 1000 {
		tls.Files, tls.Keys = []string{"/etc/roost/example.org.crt"}, []string{"/etc/roost/example.org.key"}
	}
	checks = append(checks, capacity.Certificates(h.Root, tls)...)
	checks = append(checks, capacity.Store(capacity.StoreState{
		Dir: "/var/lib/roost", Database: "/var/lib/roost/roost.db", Inspected: true, Free: 40 << 30, Version: 1, Current: 1, Accounts: 12345,
	}, p)...)
	return newCheckReport(h, p, checks)
}

// TestCheckTable compares the tables with golden files, so that changes are reviewed.
func TestCheckTable(t *testing.T) {
	var got bytes.Buffer
	for _, sessions := range []int{1000, 1_000_000} {
		if err := madeUpReport(sessions).writeTable(&got, false); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, filepath.Join("testdata", "check.txt"), got.String())
	for line := range strings.Lines(got.String()) {
		// Commands are not wrapped, so that they can be copied.
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > checkWidth && !strings.Contains(line, "fix: ") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if strings.Contains(got.String(), "\x1b") {
		t.Error("colors without a terminal")
	}
	var colored bytes.Buffer
	if err := madeUpReport(1000).writeTable(&colored, true); err != nil || !strings.Contains(colored.String(), "\x1b[32mok  \x1b[0m") {
		t.Errorf("no colors: %v", err)
	}
}

// golden compares with a file, which -update rewrites.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s differs from the output (%v); if the output is right, run: go test ./cmd/roost -update\n%s", file, err, got)
	}
}

func TestWrap(t *testing.T) {
	f := func(text string, width int, want ...string) {
		t.Helper()
		if got := wrap(text, width); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%q in %d: %q, want %q", text, width, got, want)
		}
	}
	f("", 10, "")
	f("one two", 7, "one two")
	f("one two", 6, "one", "two")
	f("one  two   three", 9, "one  two", "three")
	f("/a/very/long/name and more", 8, "/a/very/long/name", "and more")
	f("/a/very/long/name", 8, "/a/very/long/name")
}

// document is the JSON output, with the fields that docs/tuning.md documents.
type document struct {
	Sessions    int    `json:"sessions"`
	TLS         bool   `json:"tls"`
	Status      string `json:"status"`
	MaxSessions *int64 `json:"max_sessions"`
	LimitedBy   string `json:"limited_by"`
	Memory      struct {
		User    int64 `json:"user_bytes"`
		Storm   int64 `json:"storm_bytes"`
		Kernel  int64 `json:"kernel_bytes"`
		PerUser int64 `json:"user_bytes_per_session"`
		PerSock int64 `json:"kernel_bytes_per_session"`
	} `json:"memory"`
	Checks []struct {
		Name        string   `json:"name"`
		Area        string   `json:"area"`
		Title       string   `json:"title"`
		Status      string   `json:"status"`
		Found       string   `json:"found"`
		Needs       string   `json:"needs"`
		MaxSessions *int64   `json:"max_sessions"`
		Detail      []string `json:"detail"`
		Fix         []string `json:"fix"`
	} `json:"checks"`
}

func decodeDocument(t *testing.T, text string) (d document) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return d
}

// TestCheckCommand: exit codes and JSON of the program on the machine that runs the test.
// It can serve one session; no machine can serve two billion.
func TestCheckCommand(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	f := func(code int, args ...string) document {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append([]string{"check", "--json", "--data", data}, args...)...)
		if got != code || strings.Count(stderr, "\n") != code {
			t.Fatalf("%q: exit code %d, want %d: %s%s", args, got, code, stderr, stdout)
		}
		return decodeDocument(t, stdout)
	}
	d := f(0, "--sessions", "1")
	if d.Sessions != 1 || !d.TLS || d.Status == "fail" || d.MaxSessions == nil || *d.MaxSessions < 1 || d.LimitedBy == "" || len(d.Checks) < 15 {
		t.Errorf("%+v", d)
	}
	names := make(map[string]bool)
	for _, c := range d.Checks {
		names[c.Name] = true
		if c.Status != "ok" && c.Status != "warn" {
			t.Errorf("%+v", c)
		}
	}
	for _, name := range []string{"open-files", "tcp-mem", "memory", "login-storm", "certificate", "database"} {
		if !names[name] {
			t.Errorf("no check %s", name)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the check created the data directory")
	}
	d = f(1, "--sessions", "2000000000", "--allow-plaintext")
	if d.TLS || d.Status != "fail" || d.Memory.User <= 2_000_000_000*d.Memory.PerUser || d.Memory.Kernel != 2_000_000_000*d.Memory.PerSock {
		t.Errorf("%+v", d)
	}
	code, stdout, stderr := cmdtest.Result(t, nil, "check", "--sessions", "2000000000", "--data", data)
	if code != 1 || !strings.Contains(stdout, "\n  fail  ") || !strings.Contains(stderr, "cannot hold 2,000,000,000 sessions") {
		t.Errorf("%d: %s%s", code, stdout, stderr)
	}
}

func TestCheckMistakes(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := cmdtest.Result(t, nil, append([]string{"check"}, args...)...)
		if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, %q, %q; want 2 and one line with %q", args, code, stdout, stderr, want)
		}
	}
	f("--sessions must be 1", "--sessions", "0")
	f("--sessions must be 1", "--sessions", "99999999999")
	f("--sessions", "--sessions", "many")
	f("needs its key", "--tls-cert", "x.crt")
	f("is not a domain", "--domain", "not a domain")
	f("--bogus", "--bogus")
	f("--workers must be 1 to 10000, not 0", "--workers", "0")
	f("--max-stanza must be 10000 to 64MiB, not 5", "--max-stanza", "5")
}

// TestCheckBesideServer: the check reads certificate and database while the server uses
// them, accepts the server's config file, and reports what is wrong with it.
func TestCheckBesideServer(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "roost.toml")
	text := "data = \"" + filepath.Join(dir, "data") + "\"\nc2s = \"127.0.0.1:0\"\nc2s-tls = \"\"\nworkers = 3\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, _ := serving(t, nil, "--config", config)
	f := func(code int, check, status, found string, args ...string) {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append([]string{"check", "--json", "--sessions", "1", "--config", config}, args...)...)
		if got != code {
			t.Fatalf("exit code %d: %s%s", got, stderr, stdout)
		}
		for _, c := range decodeDocument(t, stdout).Checks {
			if c.Name == check {
				if c.Status != status || !strings.Contains(c.Found, found) {
					t.Errorf("%q: %+v, want %s and %q", args, c, status, found)
				}
				return
			}
		}
		t.Errorf("no check %s", check)
	}
	f(0, "certificate", "warn", "self-signed")
	f(0, "certificate-domains", "ok", "1")
	f(0, "database", "ok", "0 accounts")
	f(0, "port-range", "ok", "per address") // the server only listens on loopback
	f(1, "certificate-domains", "fail", "1", "--domain", "localhost,example.org")
	f(1, "certificate", "fail", "cannot be used", "--tls-cert", "none.crt", "--tls-key", "none.key")
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	f(0, "database", "ok", "0 accounts")
	if err := os.WriteFile(filepath.Join(dir, "data", "roost.db"), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	f(1, "database", "fail", "not usable")
}

// TestCheckUsesFlags: the flags of the server change the requirements.
func TestCheckUsesFlags(t *testing.T) {
	f := func(args ...string) document {
		t.Helper()
		_, stdout, stderr := cmdtest.Result(t, nil, append([]string{"check", "--json", "--sessions", "1000", "--data", t.TempDir()}, args...)...)
		if stdout == "" {
			t.Fatalf("%q: %s", args, stderr)
		}
		return decodeDocument(t, stdout)
	}
	plain := f()
	if got := f("--workers", "64", "--idle-timeout", "-1s", "--register", "--log-format", "json"); got.Memory != plain.Memory {
		t.Errorf("%+v, want %+v", got.Memory, plain.Memory)
	}
	if got := f("--roster-cache", "1GiB"); got.Memory.User != plain.Memory.User+1<<30-8<<20 {
		t.Errorf("a roster cache of 1 GiB: %d bytes, without %d", got.Memory.User, plain.Memory.User)
	}
	if got := f("--handshakes", "2048"); got.Memory.Storm <= plain.Memory.Storm {
		t.Errorf("2048 handshakes: %d bytes, without %d", got.Memory.Storm, plain.Memory.Storm)
	}
	for _, c := range f("--tls-cert", "/etc/roost/none.crt", "--tls-key", "/etc/roost/none.key").Checks {
		if c.Name == "certificate" && !strings.Contains(strings.Join(c.Detail, " "), "open /etc/roost/none.crt:") {
			t.Errorf("%+v", c)
		}
	}
}

// locate returns the default location of a store in a data directory.
func locate(t *testing.T, dir string) store.Location {
	t.Helper()
	l, err := (&dataFlags{Data: dir}).location()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestStoreState: paths that do not exist yet, and paths that are not directories.
func TestStoreState(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	if s := storeState(ctx, filepath.Join(dir, "a", "b"), locate(t, filepath.Join(dir, "a", "b"))); !s.Missing || s.WriteErr != nil || s.Free == 0 || !s.NoDatabase {
		t.Errorf("not made yet: %+v", s)
	}
	elsewhere := "sqlite:" + filepath.Join(dir, "file", "roost.db") // its parent is a file
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s := storeState(ctx, file, locate(t, file)); s.WriteErr == nil {
		t.Errorf("a file: %+v", s)
	}
	l, err := (&dataFlags{Data: dir, Store: elsewhere}).location()
	if err != nil {
		t.Fatal(err)
	}
	if s := storeState(ctx, dir, l); s.WriteErr != nil || s.FilesErr == nil {
		t.Errorf("a database in a file: %+v", s)
	}
}

// TestOpenFilesRaised: the server raises the soft limit to the hard one, and logs how
// many clients that allows.
func TestOpenFilesRaised(t *testing.T) {
	cmd := cmdtest.Program(nil, "serve", "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", t.TempDir())
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -S -n 100 && ulimit -H -n 1000 && exec "$0" "$@"`}, cmd.Args...)
	greeting := started(t, cmd)
	if !strings.Contains(greeting, " 1,000, for 744 clients\n") {
		t.Errorf("not in the greeting:\n%s", greeting)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid))
	if err != nil || !regexp.MustCompile(`(?m)^Max open files +1000 +1000 `).Match(limits) {
		t.Errorf("%v: %s", err, limits)
	}
}

// TestWarnCapacity: each check that does not pass is logged as a warning with its fix. A
// check that is impossible is not a warning; if nothing is known, nothing is logged.
func TestWarnCapacity(t *testing.T) {
	var log bytes.Buffer
	c := serveCmd{serveFlags: serveFlags{AllowPlaintext: true}}
	host := madeUpHost()
	c.warnCapacity(host, slog.New(slog.NewTextHandler(&log, nil)))
	for _, want := range []string{"level=WARN msg=\"a check of this machine did not pass\" check=tcp-mem", "check=conntrack", `fix="sysctl -w `, "see=\"", "check\""} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in\n%s", want, &log)
		}
	}
	log.Reset()
	delete(host.Root.(fstest.MapFS), "proc/sys/net/ipv4/tcp_mem") // as in some containers
	c.warnCapacity(host, slog.New(slog.NewTextHandler(&log, nil)))
	if want := `level=INFO msg="a check of this machine was not possible" check=tcp-mem`; !strings.Contains(log.String(), want) {
		t.Errorf("no %q in\n%s", want, &log)
	}
	if strings.Contains(log.String(), `fix=""`) {
		t.Errorf("an empty fix in\n%s", &log)
	}
	log.Reset()
	c.warnCapacity(capacity.Host{Root: fstest.MapFS{}}, slog.New(slog.NewTextHandler(&log, nil)))
	if log.Len() > 0 {
		t.Errorf("logged without information:\n%s", &log)
	}
}

// TestDeployedConfig: all flags in the config file in deploy exist.
func TestDeployedConfig(t *testing.T) {
	code, stdout, stderr := cmdtest.Result(t, nil, "check", "--json", "--config", filepath.Join("..", "..", "deploy", "roost.toml"), "--data", t.TempDir())
	if code != 1 {
		t.Fatalf("exit code %d, want 1 because the certificate does not exist: %s", code, stderr)
	}
	for _, c := range decodeDocument(t, stdout).Checks {
		if c.Name == "certificate" && c.Title != "example.org.crt" {
			t.Errorf("%+v", c)
		}
	}
}

// TestCheckLoopback: clients connect from this machine if no address can be reached from
// others.
func TestCheckLoopback(t *testing.T) {
	f := func(want bool, c2s, direct, web string) {
		t.Helper()
		var c checkCmd
		c.C2S, c.C2STLS, c.WS = c2s, direct, web
		if got := c.plan().Loopback; got != want {
			t.Errorf("%q, %q, %q: %v, want %v", c2s, direct, web, got, want)
		}
	}
	f(true, "127.0.0.1:5222", "", "")
	f(true, "localhost:5222", "[::1]:5223", "127.0.0.1:5443")
	f(false, ":5222", "", "")
	f(false, "127.0.0.1:5222", "192.0.2.1:5223", "")
	f(false, "127.0.0.1:5222", "", ":5443")
}

// TestCheckACME: roost check knows that certificates are obtained, and where they are.
func TestCheckACME(t *testing.T) {
	_, stdout, stderr := cmdtest.Result(t, nil, "check", "--sessions", "1", "--json", "--data", t.TempDir(), "--domain", "Example.org",
		"--acme", "letsencrypt", "--acme-agree", "--acme-http", ":80")
	var report struct {
		Checks []struct{ Name, Title, Status, Found string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	for _, c := range report.Checks {
		if c.Name == "certificate" {
			if c.Title != "example.org (ACME)" || c.Status != "warn" || c.Found != "none yet" {
				t.Errorf("%+v", c)
			}
			return
		}
	}
	t.Errorf("no check of the certificate: %s", stdout)
}
