package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"roost/internal/cli"
	"roost/internal/cmdtest"
	"roost/jid"
	"roost/store"
)

var juliet = jid.MustParse("juliet@example.com")

// runUser runs a user command as the program does, with the given standard input, and
// returns its output.
func runUser(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(in, []byte(stdin), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile, err := os.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	outFile, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	oldIn, oldOut := os.Stdin, os.Stdout
	os.Stdin, os.Stdout = inFile, outFile
	defer func() {
		os.Stdin, os.Stdout = oldIn, oldOut
		inFile.Close()
		outFile.Close()
		text, _ := os.ReadFile(out)
		stdout = string(text)
	}()
	var cli struct {
		User userCmd `cmd:""`
	}
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(append([]string{"user"}, args...))
	if err != nil {
		return "", err
	}
	return "", ctx.Run()
}

func TestUserCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	ok := func(want, stdin string, args ...string) {
		t.Helper()
		out, err := runUser(t, stdin, append(args, "--data", dir)...)
		if err != nil || out != want {
			t.Errorf("%q: %q, %v; want %q", args, out, err, want)
		}
	}
	fails := func(want, stdin string, args ...string) {
		t.Helper()
		out, err := runUser(t, stdin, append(args, "--data", dir)...)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%q: %q, %v; want an error with %q", args, out, err, want)
		}
	}
	check := func(password string) {
		t.Helper()
		s := cmdtest.OpenStore(t, dir)
		defer s.Close()
		a, err := s.Account(t.Context(), juliet)
		if err != nil || !a.Credentials.Verify(password) {
			t.Errorf("%q is not the password: %v", password, err)
		}
	}
	for _, args := range [][]string{{"list"}, {"del", "juliet@example.com"}, {"passwd", "juliet@example.com", "--password-stdin"}} {
		fails("there is no database in "+dir, "x\n", args...)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a read-only command created the data directory")
	}
	for _, args := range [][]string{{"add", "juliet@example.com", "--password-stdin"}, {"import", "/dev/null"}} {
		fails("there is no database in "+dir+": name the server's data directory with --data, or create a database there with --create", "x\n", args...)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the command created a data directory that no server uses")
	}
	ok("added juliet@example.com\n", "r0m30 \r\nignored\n", "add", "Juliet@Example.com", "--password-stdin", "--create")
	check("r0m30 ")
	fails("user passwd juliet@example.com --data", "x\n", "add", "juliet@example.com", "--password-stdin")
	ok("changed the password of juliet@example.com\n", "second", "passwd", "juliet@example.com", "--password-stdin", "--iterations", "4096")
	check("second")
	fails("user add romeo@example.com --data", "x\n", "passwd", "romeo@example.com", "--password-stdin")
	fails("password is empty", "\n", "passwd", "juliet@example.com", "--password-stdin")
	fails("longer than 1023 bytes", strings.Repeat("x", 5000), "passwd", "juliet@example.com", "--password-stdin")
	if err := os.WriteFile(filepath.Join(dir, "domains"), []byte("localhost\nexample.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails("romeo@example.net not added: its domain is not served (served: localhost, example.com); add --domain example.net to roost serve", "x\n", "add", "romeo@example.net", "--password-stdin")
	fails("use --password-stdin", "", "add", "nurse@example.com")
	ok("added romeo@example.net\n", "x", "add", "romeo@example.net", "--password-stdin", "--any-domain")
	ok("juliet@example.com\nromeo@example.net\n", "", "list")
	ok("romeo@example.net\n", "", "list", "--domain", "Example.NET")
	ok("", "", "list", "--domain", "example.org")
	ok("deleted romeo@example.net\n", "", "del", "romeo@example.net")
	fails("there is no account romeo@example.net", "", "del", "romeo@example.net")
	ok("juliet@example.com\n", "", "list")
	s := cmdtest.OpenStore(t, dir)
	if err := s.SetDisabled(t.Context(), juliet, true); err != nil {
		t.Fatal(err)
	}
	ok("juliet@example.com\tdisabled\n", "", "list")
}

// TestUserUsage: mistakes on the command line are reported before anything is done, with
// a different exit status than other errors.
func TestUserUsage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	f := func(want string, args ...string) {
		t.Helper()
		_, err := runUser(t, "x\n", append(args, "--data", dir)...)
		var parse *kong.ParseError
		var usage cli.UsageError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &parse) && !errors.As(err, &usage) {
			t.Errorf("%q: %v, want a usage error with %q", args, err, want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q created the data directory", args)
		}
	}
	f("frobnicate", "frobnicate")
	f("unknown flag --frobnicate", "list", "--frobnicate")
	f("<jid>", "add")
	f("must look like user@domain", "add", "example.com", "--password-stdin")
	f("must look like user@domain", "del", "juliet@example.com/balcony")
	f("is not an address", "passwd", "a@b@c", "--password-stdin")
	f("is not a domain name", "list", "--domain", "a b")
	f("--iterations must be 4096 to 10000000", "add", "a@b", "--password-stdin", "--iterations", "4095")
	f("--iterations", "import", "x.csv", "--iterations", "many")
	f("--password-stdin", "add", "a@b")
}

func TestAskTwice(t *testing.T) {
	f := func(want, wantErr string, typed ...string) {
		t.Helper()
		read := func(prompt func()) ([]byte, error) {
			prompt()
			if len(typed) == 0 {
				return nil, io.ErrUnexpectedEOF
			}
			defer func() { typed = typed[1:] }()
			return []byte(typed[0]), nil
		}
		var shown bytes.Buffer
		got, err := askTwice(read, &shown)
		if got != want || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) || wantErr == "" && err != nil {
			t.Errorf("%q, %v; want %q, %q", got, err, want, wantErr)
		}
		if !strings.HasPrefix(shown.String(), "Password: \nRepeat password: \n") && err != io.ErrUnexpectedEOF {
			t.Errorf("shown: %q", &shown)
		}
	}
	f("a", "", "a", "a")
	f("b", "", "a", "b", "b", "b")
	f("", "three times", "a", "b", "a", "b", "a", "b")
	f("", "unexpected EOF", "a") // a failing terminal
	f("", "unexpected EOF")
}

// TestListPages lists more accounts than one page holds: all, and those that lack keys.
func TestListPages(t *testing.T) {
	s := cmdtest.OpenStore(t, t.TempDir())
	var batch []store.Account
	for i := range 2007 {
		batch = append(batch, store.Account{JID: jid.MustParse(fmt.Sprintf("u%04d@example.com", i)), Credentials: store.Credentials{store.SHA1: {StoredKey: []byte("key")}}})
	}
	batch[7].Credentials[store.SHA256].StoredKey = []byte("key")
	batch = append(batch, store.Account{JID: jid.MustParse("z@example.net"), Credentials: batch[0].Credentials})
	if _, _, err := s.ImportAccounts(t.Context(), batch, store.SkipExisting); err != nil {
		t.Fatal(err)
	}
	f := func(which accountList, accounts int, last string) {
		t.Helper()
		var out bytes.Buffer
		if err := listAccounts(t.Context(), onStore{Store: s}, which, false, &out); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != accounts || lines[len(lines)-1] != last {
			t.Errorf("%d lines, the last is %q; want %d and %q", len(lines), lines[len(lines)-1], accounts, last)
		}
	}
	none := store.SHA256
	f(accountList{}, 2008, "z@example.net")
	f(accountList{domain: "example.com"}, 2007, "u2006@example.com")
	f(accountList{lacking: &none}, 2007, "z@example.net")
	f(accountList{lacking: &none, domain: "example.com"}, 2006, "u2006@example.com")
}
