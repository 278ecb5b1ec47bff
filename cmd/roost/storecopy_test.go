package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"roost/internal/cmdtest"
	"roost/internal/pgtest"
	"roost/jid"
	"roost/store"
	"roost/store/stores"
)

// TestStoreCopy: a database is copied to PostgreSQL. The copy is killed in the middle; until
// it was run again, its target cannot be used. It is refused while a server runs.
func TestStoreCopy(t *testing.T) {
	const accounts = 5000
	data, target := t.TempDir(), pgtest.Shared(t).URL(t)
	source := stores.Default(data)
	s, err := stores.Open(t.Context(), source, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all []store.Account
	for i := range accounts {
		all = append(all, store.Account{JID: jid.MustParse(fmt.Sprintf("u%d@localhost", i))})
	}
	if _, _, err = s.ImportAccounts(t.Context(), all, store.SkipExisting); err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	f := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, args...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q: exit code %d, %s%s; want %d, %q", args, got, stdout, stderr, code, want)
		}
	}
	run := []string{"store", "copy", "--from", source, "--to", target}
	f(1, "there is no database", "store", "copy", "--from", "sqlite:/none.db", "--to", target)
	f(2, "the same database", "store", "copy", "--from", source, "--to", source)
	f(2, "there is no kind of store", "store", "copy", "--from", source, "--to", "mysql:x")

	running, _ := serving(t, []string{"ROOST_DATA=" + data}, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext")
	f(1, "in use by process", run...)
	if err = running.Process.Signal(os.Interrupt); err == nil {
		err = running.Wait()
	}
	if err != nil {
		t.Error(err)
	}

	cmd := cmdtest.Program(nil, run...)
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	first, _ := bufio.NewReader(out).ReadString('\n') // when the next table is begun
	if !strings.HasPrefix(first, "copied 5,000 rows of account") {
		t.Errorf("%q", first)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	f(1, "it is an unfinished copy of "+source+": run roost store copy", "user", "list", "--store", target)
	f(1, "it is an unfinished copy", "store", "copy", "--from", target, "--to", "sqlite:"+data+"/other.db")
	f(0, "copied and compared 10,000 rows", run...)
	f(1, "the target has data already", run...)
	f(0, "u4999@localhost", "user", "list", "--store", target)
	f(0, "copied and compared 10,000 rows", "store", "copy", "--from", target, "--to", "sqlite:"+data+"/back.db")
	f(0, "u4999@localhost", "user", "list", "--store", "sqlite:"+data+"/back.db")
}
