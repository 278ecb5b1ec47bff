package main

import (
	"os"
	"path/filepath"
	"strings"
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
