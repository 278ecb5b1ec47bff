package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"roost/internal/cli"
	"roost/internal/cmdtest"
	"roost/jid"
	"roost/store"
)

// TestAddressOn: what roost user list writes can be used for roost user del --file.
func TestAddressOn(t *testing.T) {
	for line, want := range map[string]string{
		"": "", " \t ": "", "# a@localhost": "", "#a@localhost": "", "  #": "", "a@localhost": "a@localhost", "\ta@localhost \t": "a@localhost", "a@localhost # b": "a@localhost", "a@localhost\t# b": "a@localhost",
		"a@localhost\tused 2026-01-02": "a@localhost", "a@localhost\tdisabled\tnever used": "a@localhost", "a#b@localhost": "a#b@localhost", "a#b@localhost #c": "a#b@localhost", "a@localhost b": "a@localhost b",
	} {
		if got := addressOn(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// TestDeleteMany: accounts that nobody uses, and those in a file, are listed and deleted, without
// a server and with one; nothing is deleted without being asked for, or if a file has a mistake.
func TestDeleteMany(t *testing.T) {
	dir := t.TempDir()
	s := cmdtest.OpenStore(t, dir)
	long, today := time.Now().AddDate(0, 0, -500), store.DayOf(time.Now())
	for name, used := range map[string]store.Day{"a": today - 400, "b": today - 390, "c": today - 100, "n": 0, "o": 0, "x": today, "y": today, "z": today} {
		j := jid.MustParse(name + "@localhost")
		err := s.CreateAccount(t.Context(), store.Account{JID: j, Created: long})
		if err == nil && used > 0 {
			err = s.NoteUse(t.Context(), []store.AccountUse{{Owner: j, Day: used}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "domains"), []byte("localhost\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "names")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(args string, code int, wantOut, wantErr string) {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append(strings.Fields("user "+args), "--data", dir)...)
		if got != code || stdout != wantOut || !strings.Contains(stderr, wantErr) || wantErr == "" && stderr != "" {
			t.Errorf("%s: %d, %q, %q; want %d, %q, %q", args, got, stdout, stderr, code, wantOut, wantErr)
		}
	}
	day := func(d store.Day) string { return d.End().Format(time.DateOnly) }
	f("list --unused 365d", 0, fmt.Sprintf("a@localhost\tused %s\nb@localhost\tused %s\n", day(today-400), day(today-390)), "")
	f("list --unused 9480h --never-used 365d", 0, fmt.Sprintf("a@localhost\tused %s\nn@localhost\tnever used\no@localhost\tnever used\n", day(today-400)), "")
	f("list --unused 29d", cli.ExitUsage, "", "must be 30d to 36500d")
	f("list --unused long", cli.ExitUsage, "", `"long" is not a time such as 365d`)
	f("del", cli.ExitUsage, "", "name an account, or use --file, --unused or --never-used")
	f("del a@localhost --file x", cli.ExitUsage, "", "name one account, or use --file")
	f("del --unused 365d --rate 0", cli.ExitUsage, "", "--rate must be")
	f("del --unused 365d --dry-run", 0, "a@localhost\nb@localhost\n", "2 accounts would be deleted\n")
	f("del --unused 365d", cli.ExitFailure, "", "2 accounts would be deleted, which cannot be undone: look at them with --dry-run, and add --yes")
	f("del --unused 365d --domain example.org", 0, "", "0 accounts would be deleted")
	f("del x@localhost --unused 365d", cli.ExitFailure, "", "x@localhost has changed in the meantime")
	f("del x@localhost --domain example.org", cli.ExitUsage, "", "x@localhost is not of the domain example.org")
	f("del nobody@localhost --dry-run", cli.ExitFailure, "", "there is no account nobody@localhost")
	kept := func() {
		t.Helper()
		f("del x@localhost --dry-run", 0, "x@localhost\n", "1 account would be deleted")
		if code, stdout, stderr := cmdtest.Result(t, []string{"ROOST_DRY_RUN=1"}, "user", "del", "x@localhost", "--data", dir); code != 0 || stdout != "x@localhost\n" {
			t.Errorf("ROOST_DRY_RUN: %d, %q, %q", code, stdout, stderr)
		}
		f("del x@localhost --dry-run --unused 365d", 0, "", "0 accounts would be deleted")
		f("del b@localhost --dry-run --unused 365d", 0, "b@localhost\n", "1 account would be deleted")
		f("list --domain localhost --never-used 30d", 0, "o@localhost\tnever used\n", "")
		for _, name := range []string{"b", "x"} {
			if code, _, stderr := cmdtest.Result(t, nil, "user", "show", name+"@localhost", "--data", dir); code != 0 {
				t.Errorf("%s: %s", name, stderr)
			}
		}
		write("b@localhost\no@localhost\nnobody@localhost\nx@localhost\n")
		f("del --dry-run --unused 365d --file "+file, 0, "b@localhost\n", "3 accounts not selected by the other flags\n1 account would be deleted\n")
		f("del --unused 365d --file "+file, cli.ExitFailure, "", "1 account would be deleted, which cannot be undone")
		f("del --yes --domain example.org --file "+file, 0, "", "4 accounts not selected by the other flags\n0 accounts would be deleted\n")
		f("del --dry-run --domain localhost --file "+file, 0, "b@localhost\no@localhost\nnobody@localhost\nx@localhost\n", "4 accounts would be deleted\n")
	}
	write("x@localhost\nlocalhost\n")
	f("del --yes --file "+file, cli.ExitFailure, "", file+`:2: "localhost" is not the address of an account`)
	write("# to go\n\nn@localhost # never used\nnobody@localhost\nx@localhost\nN@localhost\n")
	f("del --never-used 30d --yes --file "+file, 0, "deleted 1 account\n", "2 accounts not selected by the other flags\n")
	kept()
	f("del --unused 395d --yes", 0, "deleted 1 account\n", "")

	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
	kept()
	write("n@localhost\nnobody@localhost\nx@localhost\n")
	f("list --unused 365d --never-used 365d", 0, fmt.Sprintf("b@localhost\tused %s\no@localhost\tnever used\n", day(today-390)), "")
	f("del --unused 365d --never-used 365d --yes --rate 1000", 0, "deleted 2 accounts\n", "")
	f("del --unused 365d --never-used 365d --yes", 0, "", "0 accounts would be deleted")
	f("del --unused 30d --yes --file "+file, 0, "", "3 accounts not selected by the other flags\n0 accounts would be deleted\n")
	f("del --yes --file "+file, 0, "deleted 1 account, 2 accounts did not exist\n", "")
	f("list", 0, "c@localhost\ny@localhost\nz@localhost\n", "")
}
