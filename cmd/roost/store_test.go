package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"roost/internal/cmdtest"
	"roost/store/stores"
)

// TestStoreFlag: with --store, the server, account commands and check use that store and
// create none in the data directory.
func TestStoreFlag(t *testing.T) {
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere.db")
	url := "sqlite:" + file
	env := []string{"ROOST_DATA=" + data, "ROOST_STORE=" + url}
	f := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := cmdtest.Result(t, env, args...)
		if code != 0 || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q: exit code %d, %s%s; want %q", args, code, stdout, stderr, want)
		}
	}
	code, _, stderr := cmdtest.Result(t, env, "user", "list")
	if code != 1 || !strings.Contains(stderr, "there is no database "+file) {
		t.Errorf("no database: %d, %s", code, stderr)
	}
	_, greeting := serving(t, env, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext")
	if want := "user add romeo@localhost --store " + url + " --data " + data; !strings.Contains(greeting, want) {
		t.Errorf("%q is not in %q", want, greeting)
	}
	accounts := filepath.Join(t.TempDir(), "accounts.csv")
	if err := os.WriteFile(accounts, []byte("a@localhost,secret\nb@localhost,secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("", "user", "import", accounts)
	// Without --data, the domains of another data directory would apply, or none.
	elsewhere := []string{"ROOST_DATA=" + t.TempDir(), "ROOST_STORE=" + url}
	code, _, stderr = cmdtest.Result(t, elsewhere, "user", "import", accounts)
	if code != 1 || !strings.Contains(stderr, "name the data directory of the server with --data") {
		t.Errorf("with the store's URL only: %d, %s", code, stderr)
	}
	code, _, stderr = cmdtest.Result(t, elsewhere, "user", "import", accounts, "--any-domain")
	if code != 0 {
		t.Errorf("with any domain: %d, %s", code, stderr)
	}
	f("b@localhost", "user", "list")
	code, stdout, _ := cmdtest.Result(t, env, "check", "--sessions", "10", "--json")
	if !strings.Contains(stdout, "2 accounts") || !strings.Contains(stdout, `"database-directory"`) {
		t.Errorf("check: exit code %d, %s", code, stdout)
	}
	if _, err := os.Stat(filepath.Join(data, stores.FileName)); !os.IsNotExist(err) {
		t.Errorf("the data directory contains a database: %v", err)
	}
}

// TestStoreLeftBehind: commands do not use a database in the data directory that its server does
// not use, such as the one that was there before roost store copy: a backup of it would look like
// one of the server's.
func TestStoreLeftBehind(t *testing.T) {
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "used.db")
	old, url := stores.Default(data), "sqlite:"+file
	f := runner(t, data)
	accounts := filepath.Join(t.TempDir(), "accounts.csv")
	if err := os.WriteFile(accounts, []byte("a@localhost,secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(0, "added 1 account", "user", "import", accounts, "--create")
	if code, stdout, stderr := cmdtest.Result(t, nil, "store", "copy", "--from", old, "--to", url); code != 0 {
		t.Fatalf("%d, %s%s", code, stdout, stderr)
	}
	stop := func(cmd *exec.Cmd) {
		t.Helper()
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			t.Error(err)
		}
	}
	server, _ := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", data, "--store", url)
	f(0, "a@localhost", "user", "list") // asks the server
	for range 2 {
		for _, args := range [][]string{
			{"backup", filepath.Join(t.TempDir(), "b.tar")}, {"export", "-"}, {"user", "export", "a@localhost"}, {"import", accounts}, {"import", accounts, "--create"},
		} {
			f(1, "the server of "+data+" uses the database "+url+": name it with --store or ROOST_STORE; --store "+old+" is", args...)
		}
		if server.ProcessState == nil {
			stop(server)
		}
	}
	f(1, "uses the database "+url, "user", "list")
	for want, args := range map[string][]string{
		"database +not the server's [^\n]*\n +the server of " + data + "\\s+uses\\s+" + url: nil,
		"database +1 account ": {"--store", url},
	} {
		// The machine may be too small, which does not matter here.
		_, stdout, stderr := cmdtest.Result(t, nil, append([]string{"check", "--sessions", "1", "--data", data}, args...)...)
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("%q: no %q in %s%s", args, want, stdout, stderr)
		}
	}
	f(0, "a@localhost", "user", "list", "--store", url)
	f(0, "a@localhost", "user", "list", "--store", old)
	f(0, "b.tar: .* of 1 account", "backup", filepath.Join(t.TempDir(), "b.tar"), "--store", url)
	// Back to the database in the directory.
	server, _ = serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", data)
	stop(server)
	f(0, "a@localhost", "user", "list")
}
