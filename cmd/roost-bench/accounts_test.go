package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"roost/internal/cmdtest"
	"roost/jid"
	"roost/store"
	"roost/store/faultstore"
	"roost/store/stores"
)

// accountsIn returns the addresses of the accounts in a data directory.
func accountsIn(t *testing.T, dir string) (all []string) {
	t.Helper()
	s := cmdtest.OpenStore(t, dir)
	defer s.Close()
	page, err := s.ListAccounts(t.Context(), "", jid.JID{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range page {
		all = append(all, page[i].JID.String())
	}
	return all
}

// TestBenchAccounts: accounts with a known password are created beside others only if
// requested. All created accounts are deleted, and no others.
func TestBenchAccounts(t *testing.T) {
	target, data, _ := startServer(t)
	f := func(code int, want string, left []string, args ...string) {
		t.Helper()
		args = append([]string{"login", "--count", "3", "--target", target, "--create", data}, args...)
		got, _, stderr := cmdtest.Result(t, nil, args...)
		if got != code || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, %q; want %d and %q", args, got, stderr, code, want)
		}
		if all := accountsIn(t, data); !slices.Equal(all, left) {
			t.Errorf("%q: the accounts are %q, want %q", args, all, left)
		}
	}
	f(0, "deleting the accounts created for this run: 3", nil)
	f(0, "deleting the accounts created for this run: 3", nil, "--store", stores.Default(data))
	f(1, "there is no database sqlite:/none.db: name the server's database with --store", nil, "--store", "sqlite:/none.db")
	f(2, "--store: there is no kind of store \"mysql\"", nil, "--store", "mysql:x")
	f(0, "deleting the accounts created for this run: 3", nil, "--password", `a "quoted", comma`)
	f(2, "--password: the password is empty", nil, "--password", "")
	f(2, "--domain example.org is not served by the server of "+data+" (served: localhost)", nil, "--domain", "example.org")
	kept := []string{"user0@localhost", "user1@localhost", "user2@localhost"}
	f(0, "", kept, "--keep-accounts")
	// These accounts existed before and stay.
	f(0, "deleting the accounts created for this run: 1", kept, "--count", "4")
	f(1, "no such process", kept, "--first", "7", "--server-pid", "999999999")
	f(1, "3 clients failed", kept, "--first", "7", "--tls", "direct") // after the accounts were created
	s := cmdtest.OpenStore(t, data)
	if _, _, err := s.ImportAccounts(t.Context(), []store.Account{{JID: jid.MustParse("user2x@localhost")}}, store.SkipExisting); err != nil {
		t.Fatal(err)
	}
	all := append(kept, "user2x@localhost")
	f(1, "has other accounts, such as user2x@localhost", all, "--first", "7")
	f(0, "deleting", all, "--first", "7", "--create-anyway")
}

// TestBenchInterrupted: Ctrl-C leaves no accounts in the store.
func TestBenchInterrupted(t *testing.T) {
	target, data, pid := startServer(t)
	for _, more := range [][]string{nil, {"--processes", "2"}} {
		p := cmdtest.OnTerminal(t, append([]string{"idle", "--sessions", "4", "--settle", "1h", "--server-pid", pid, "--target", target, "--create", data}, more...)...)
		p.Until(" online")
		if all := accountsIn(t, data); len(all) != 4 {
			t.Errorf("the accounts are %q", all)
		}
		p.Types("\x03")
		p.Until("deleting the accounts created for this run: 4")
		p.Ends(1)
		if all := accountsIn(t, data); len(all) != 0 {
			t.Errorf("%q still exist", all)
		}
	}
}

// salted returns credentials with a salt.
func salted(salt string) store.Credentials {
	return store.Credentials{store.SHA1: {Salt: []byte(salt), StoredKey: []byte("key")}}
}

// TestBenchRemoves: an account that was deleted and added again meanwhile stays; accounts
// that cannot be deleted are reported.
func TestBenchRemoves(t *testing.T) {
	dir := t.TempDir()
	var faults faultstore.Faults
	s := cmdtest.OpenFaulty(t, dir, &faults)
	made := madeAccounts{from: &accountFlags{Create: dir}, salt: []byte("ours")}
	for _, name := range []string{"a@localhost", "b@localhost", "gone@localhost"} {
		made.jids = append(made.jids, jid.MustParse(name))
	}
	for name, salt := range map[string]string{"a@localhost": "ours", "b@localhost": "another"} {
		if err := s.CreateAccount(t.Context(), store.Account{JID: jid.MustParse(name), Credentials: salted(salt)}); err != nil {
			t.Fatal(err)
		}
	}
	disk := errors.New("the disk is full")
	faults.SetFault(func(method string) error {
		if method == "DeleteAccount" {
			return disk
		}
		return nil
	})
	if left, err := made.removeFrom(t.Context(), s); left != 1 || err != disk {
		t.Errorf("%d remain, %v", left, err)
	}
	if err := made.remove(); err != nil {
		t.Error(err)
	}
	if all := accountsIn(t, dir); !slices.Equal(all, []string{"b@localhost"}) {
		t.Errorf("remaining accounts: %q", all)
	}
}

// TestBenchRemovesOvertaken: an account that is deleted and created by somebody else
// between the check whether it is the run's own and its deletion stays. Bug: it was
// deleted.
func TestBenchRemovesOvertaken(t *testing.T) {
	dir := t.TempDir()
	var faults faultstore.Faults
	s := cmdtest.OpenFaulty(t, dir, &faults)
	mine := jid.MustParse("a@localhost")
	create := func(salt string) error {
		return s.CreateAccount(t.Context(), store.Account{JID: mine, Credentials: salted(salt)})
	}
	if err := create("ours"); err != nil {
		t.Fatal(err)
	}
	faults.SetFault(func(method string) error {
		if method != "DeleteAccount" {
			return nil
		}
		faults.SetFault(nil)
		return errors.Join(s.DeleteAccount(t.Context(), mine, store.AnyEvent), create("another"))
	})
	made := madeAccounts{from: &accountFlags{Create: dir}, salt: []byte("ours"), jids: []jid.JID{mine}}
	if left, err := made.removeFrom(t.Context(), s); left != 0 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}
	if all := accountsIn(t, dir); !slices.Equal(all, []string{"a@localhost"}) {
		t.Errorf("left: %q", all)
	}
}

// TestBenchSmall: defaults are adapted to the flags that are set.
func TestBenchSmall(t *testing.T) {
	target, data, _ := startServer(t)
	for _, args := range []string{
		"idle --sessions 3 --settle 100ms", "idle --sessions 1 --settle 100ms", "idle --sessions 3 --settle 100ms --detach", "login --count 2", "login --accounts 3 --count 5",
		"message --pairs 1 --warmup 50ms --duration 200ms", "presence --sessions 3 --duration 300ms", "reconnect --sessions 2", "resume --pairs 1 --count 3",
	} {
		code, stdout, stderr := cmdtest.Result(t, nil, append(strings.Fields(args), "--target", target, "--create", data)...)
		if code != 0 {
			t.Errorf("%s: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

// TestBenchNeedsTLS: if the server requires TLS, the error says so.
func TestBenchNeedsTLS(t *testing.T) {
	target, data, _ := startServer(t, "ROOST_TEST_TLS=1")
	args := []string{"login", "--count", "1", "--target", target, "--create", data}
	if code, _, stderr := cmdtest.Result(t, nil, args...); code != 1 || !strings.Contains(stderr, "the server requires TLS before a login: use STARTTLS (--tls starttls)") {
		t.Errorf("%d: %s", code, stderr)
	}
	if code, _, stderr := cmdtest.Result(t, nil, append(args, "--tls", "starttls")...); code != 0 {
		t.Errorf("%d: %s", code, stderr)
	}
}
