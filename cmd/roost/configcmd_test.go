package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cmdtest"
	"roost/server"
)

// TestConfigCheck: all mistakes are found, each on a line with its place; what is right is
// said so.
func TestConfigCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "roost.toml")
	f := func(env []string, text string, want ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := cmdtest.Result(t, env, "config", "check", file)
		if len(want) == 0 {
			if code != 0 || stderr != "" || stdout != "The configuration is valid.\n" {
				t.Errorf("%q: %d, %q, %q; want that it is valid", text, code, stdout, stderr)
			}
			return
		}
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		if code != 1 || stdout != "" || len(lines) != len(want) {
			t.Errorf("%q: %d, %q, %q; want %d lines", text, code, stdout, stderr, len(want))
			return
		}
		for i, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("%q: %q, want %q", text, lines[i], w)
			}
		}
	}
	f(nil, "")
	f(nil, "domain = \"example.org\"\nmax-stanza = \"1MiB\"\noutbox = \"2MiB\"\n")
	f(nil, "workers = ", file+":1: ")
	f(nil, "# none\nfish = 1\nwrokers = 2\n", file+`:2: unknown key "fish"`, file+`:3: unknown key "wrokers"; did you mean workers?`)
	f(nil, "fish = 1\n\nlinger = \"soon\"\nlog-format = \"xml\"\nmax-stanza = \"lots\"\n",
		file+":1: unknown key", file+":3: --linger", file+":4: --log-format", file+":5: --max-stanza")
	f(nil, "workers = 0\npollers = -1\ndomain = [\"a b\"]\n", file+":2: --pollers must be", file+":1: --workers must be", file+`:3: --domain: "a b" is not a domain`)
	f(nil, "max-stanza = \"1MiB\"\n", "must hold the largest stanza")
	f(nil, "domain = \"example.org\"\nacme = \"letsencrypt\"\nacme-http = \":80\"\nacme-tls = \":443\"\n", "--acme-agree: an authority gives", file+":3: --acme-http: 2 ways are given")
	f(nil, "domain = \"example.org\"\nacme = \"letsencrypt\"\nacme-http = \":80\"\nacme-agree = true\n")
	f([]string{"ROOST_WORKERS=0"}, "workers = 5\n", "ROOST_WORKERS: --workers must be")
	f([]string{"ROOST_WORKERS=many"}, "", "--workers")
	f(nil, "tls-cert = [\"/none.crt\", \"/no.crt\"]\ntls-key = [\"/none.key\", \"/no.key\"]\n", file+":1: --tls-cert: server: certificate /none.crt", file+":1: --tls-cert: server: certificate /no.crt")
	f(nil, "block-file = [\"/none.txt\"]\n", file+":1: --block-file: block file: open /none.txt: no such file")
	if code, _, stderr := cmdtest.Result(t, nil, "config", "check", filepath.Join(dir, "none.toml")); code != 1 || !strings.Contains(stderr, "none.toml") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%d %q", code, stderr)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 1 {
		t.Errorf("it has made files: %q %v", names, err)
	}
}

// TestConfigCheckUncovered: a domain without a certificate is a warning, with its place.
func TestConfigCheckUncovered(t *testing.T) {
	dir := t.TempDir()
	if _, err := server.NewCertificates(&server.Config{DataDir: dir, Domains: []string{"example.org"}, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	cert, key := server.SelfSignedFiles(dir)
	file := filepath.Join(dir, "roost.toml")
	f := func(domains, want string) {
		t.Helper()
		text := fmt.Sprintf("domain = [%s]\ntls-cert = [%q]\ntls-key = [%q]\n", domains, cert, key)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := cmdtest.Result(t, nil, "config", "check", file); code != 0 || stdout != "The configuration is valid.\n" || stderr != want {
			t.Errorf("%s: %d, %q, %q; want %q", domains, code, stdout, stderr, want)
		}
	}
	f(`"example.org"`, "")
	f(`"example.org", "Example.NET"`, "warning: "+file+":2: --tls-cert: no certificate is for the domain example.net: its clients will reject the connection\n")
}

// TestConfigShow: each setting once, with its value and where that comes from.
func TestConfigShow(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "roost.toml")
	if err := os.WriteFile(file, []byte("\nmax-stanza = \"128KiB\"\nidle-timeout = \"off\"\nworkers = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := cmdtest.Result(t, []string{"ROOST_WORKERS=4"}, "config", "show", "--json", "--config", file, "--linger", "9s")
	var cfg api.Config
	if err := json.Unmarshal([]byte(stdout), &cfg); code != 0 || err != nil {
		t.Fatalf("%d %v %s", code, err, stderr)
	}
	got := make(map[string]api.Setting)
	for _, s := range cfg.Settings {
		if _, twice := got[s.Name]; twice {
			t.Errorf("%s is shown twice", s.Name)
		}
		got[s.Name] = s
	}
	for _, want := range []api.Setting{
		{Name: "max-stanza", Value: "128KiB", Source: file + ":2", Hot: true},
		{Name: "idle-timeout", Value: "off", Source: file + ":3", Hot: true},
		{Name: "workers", Value: "4", Source: "ROOST_WORKERS", Note: "the workers start with the server"},
		{Name: "linger", Value: "9s", Source: "command line", Hot: true},
		{Name: "max-failures", Value: "10", Source: "default", Hot: true},
		{Name: "log-level", Value: "INFO", Source: "default", Hot: true},
		{Name: "domain", Value: "localhost", Source: "default", Hot: true},
	} {
		if got[want.Name] != want {
			t.Errorf("%+v, want %+v", got[want.Name], want)
		}
	}
	for _, s := range new(serveFlags).settings() {
		if _, ok := got[s.flag]; ok != s.isSetting() {
			t.Errorf("%s is shown: %v", s.flag, ok)
		}
	}
	if _, stdout, _ := cmdtest.Result(t, nil, "config", "show", "--store", "sqlite://u:hunter2@h/db"); strings.Contains(stdout, "hunter2") {
		t.Errorf("a password is shown:\n%s", stdout)
	}
}

// TestConfigDefault: the file has all settings; as it is, and with all of them in use, it
// means the same as no file.
func TestConfigDefault(t *testing.T) {
	code, text, stderr := cmdtest.Result(t, nil, "config", "default")
	if code != 0 || stderr != "" {
		t.Fatalf("%d %s", code, stderr)
	}
	line := regexp.MustCompile(`(?m)^#([a-z][a-z0-9-]*) = `)
	var keys []string
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		keys = append(keys, m[1])
	}
	var want int
	for _, s := range new(serveFlags).settings() {
		if s.isSetting() {
			want++
			if n := strings.Count(text, "\n#"+s.flag+" = "); n != 1 {
				t.Errorf("%s is there %d times", s.flag, n)
			}
		}
	}
	if len(keys) != want {
		t.Errorf("%d keys, want %d", len(keys), want)
	}
	for _, l := range strings.Split(text, "\n") {
		if len(l) > 100 || l != "" && l[0] != '#' || strings.Contains(l, "default:") || strings.Contains(l, "%!") {
			t.Errorf("the line %q", l)
		}
	}
	none, _ := parsed(t)
	file := filepath.Join(t.TempDir(), "roost.toml")
	for _, in := range []string{text, line.ReplaceAllString(text, "$1 = ")} {
		if err := os.WriteFile(file, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _ := parsed(t, "--config", file)
		for i, s := range c.settings() {
			if before := none.settings()[i]; s.isSetting() && s.text() != before.text() {
				t.Errorf("%s is %q, want %q", s.flag, s.text(), before.text())
			}
		}
		got, want := c.serverConfig(nil).WithDefaults(), none.serverConfig(nil).WithDefaults()
		for _, path := range fieldPaths("", reflect.TypeFor[server.Config]()) {
			g, w := fieldAt(reflect.ValueOf(got), path), fieldAt(reflect.ValueOf(want), path)
			if path != "Poller.AfterBatch" && g.Kind() != reflect.Func && !reflect.DeepEqual(g.Interface(), w.Interface()) {
				t.Errorf("%s is %v, want %v", path, g, w)
			}
		}
		if code, stdout, stderr := cmdtest.Result(t, nil, "config", "check", file); code != 0 {
			t.Errorf("%d %s %s", code, stdout, stderr)
		}
	}
}

// TestReloadOfEverySetting: each flag is a setting of which it is known whether it can be
// reloaded.
func TestReloadOfEverySetting(t *testing.T) {
	hot, restart := 0, 0
	for _, s := range new(serveFlags).settings() {
		if !s.isSetting() {
			continue
		}
		switch isHot, note := s.change(); {
		case isHot:
			hot++
		case note == "":
			t.Errorf("--%s needs a restart, and there is no reason", s.flag)
		default:
			restart++
		}
	}
	if hot < 30 || restart < 5 {
		t.Errorf("%d flags can be reloaded, %d cannot", hot, restart)
	}
}
