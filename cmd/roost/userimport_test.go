package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"roost/internal/cmdtest"
	"roost/jid"
	"roost/store"
	"roost/store/faultstore"
)

// importText imports a file with this text, and returns the messages about malformed
// lines.
func importText(t *testing.T, s store.Store, text string, update bool) (im *importer, said string, err error) {
	t.Helper()
	var out bytes.Buffer
	im = &importer{to: onStore{Store: s}, iterations: store.MinIterations}
	if update {
		im.how.Update = true
	}
	im.show("x.csv", -1, &out, false)
	err = im.run(t.Context(), im.csv(strings.NewReader(text)))
	return im, out.String(), err
}

// logins fails unless each of these is an account with this password.
func logins(t *testing.T, s store.Store, want map[string]string) {
	t.Helper()
	for name, password := range want {
		a, err := s.Account(t.Context(), jid.MustParse(name))
		if err != nil || !a.Credentials.Verify(password) {
			t.Errorf("%s cannot log in with %q: %v", name, password, err)
		}
	}
}

func TestImport(t *testing.T) {
	s := cmdtest.OpenStore(t, t.TempDir())
	im, said, err := importText(t, s, "\ufeffJID,Password\r\n"+
		"a@example.com,one\r\n"+
		" B@Example.com , two \n"+
		"\n"+
		"c@example.com,\"with, comma and \"\"quotes\"\"\"\n"+
		"d@example.com,last without newline", false)
	if err != nil || said != "" || im.created != 4 || im.existing != 0 {
		t.Errorf("%s; messages %q, %v", im.summary(), said, err)
	}
	logins(t, s, map[string]string{
		"a@example.com": "one", "b@example.com": " two ", "c@example.com": `with, comma and "quotes"`, "d@example.com": "last without newline",
	})
}

// TestImportMistakes: each malformed line is reported by number and without its password;
// all others are imported.
func TestImportMistakes(t *testing.T) {
	s := cmdtest.OpenStore(t, t.TempDir())
	im, said, err := importText(t, s, ""+
		"a@example.com,secret\n"+ // 1: no header
		"b@example.com\n"+
		"c@example.com,secret,more\n"+
		"c@@example.com,secret\n"+
		"example.com,secret\n"+ // 5
		"e@example.com,\n"+
		"f@example.com,se\"cret\n"+
		"g@example.com,\"secret\nof two lines\"\n"+ // 8 and 9
		"a@example.com,secret2\n"+ // 10
		"h@example.com,"+strings.Repeat("secret", 1000)+"\n"+
		"z@example.com,secret\n", false)
	if err == nil || !strings.Contains(err.Error(), "10 lines not imported; ") || im.created != 2 || im.bad != 10 {
		t.Errorf("%s; %v", im.summary(), err)
	}
	logins(t, s, map[string]string{"a@example.com": "secret", "z@example.com": "secret"})
	for _, want := range []string{
		"x.csv:2: the line has 1 field", "x.csv:3: the line has 3 fields", "x.csv:4: the first field is not the address",
		"x.csv:5: the first field is not the address", "x.csv:6: e@example.com: the password is empty", "x.csv:7: a misplaced double quote",
		"x.csv:8: a double quote is not closed", "x.csv:9: a misplaced double quote", "x.csv:10: the same address is on line 1 already", "x.csv:11: the password is longer",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if strings.Contains(said+err.Error(), "secret") {
		t.Errorf("a message contains a password:\n%s", said)
	}
}

// TestImportLines: a record ends with its line. An unclosed quote or an incomplete last
// line affects no other line.
func TestImportLines(t *testing.T) {
	s := cmdtest.OpenStore(t, t.TempDir())
	text := "a@example.com,\"open\n"
	const good = 180
	for i := range good {
		text += fmt.Sprintf("u%d@example.com,x\n", i)
	}
	text += strings.Repeat("x", 3*maxRecord) + "\nz@example.com,\"a\"\"b,c\"\r\nlast@example.com,x" + strings.Repeat("y", maxRecord)
	im, said, err := importText(t, s, text, false)
	if err == nil || im.created != good+1 || im.bad != 3 {
		t.Errorf("%s; %v, messages %q", im.summary(), err, said)
	}
	for _, want := range []string{"x.csv:1: a double quote is not closed", "x.csv:182: the line is longer", "x.csv:184: the line is longer"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	logins(t, s, map[string]string{"u0@example.com": "x", "u179@example.com": "x", "z@example.com": `a"b,c`})
}

func TestSplitRecord(t *testing.T) {
	f := func(text string, wantErr error, want ...string) {
		t.Helper()
		if got, err := splitRecord(text); err != wantErr || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q, %v", text, got, err, want, wantErr)
		}
	}
	f("a", nil, "a")
	f("a,", nil, "a", "")
	f(",", nil, "", "")
	f("a, b ", nil, "a", " b ")
	f(`"a,b","c"`, nil, "a,b", "c")
	f(`"","""",x`, nil, "", `"`, "x")
	f(`"a`, errQuoteOpen)
	f(`"a""`, errQuoteOpen)
	f(`"a"b,c`, errQuoteInside)
	f(`a"b,c`, errQuoteInside)
	f(` "a",c`, errQuoteInside)
}

// TestImportTellsNoPassword: messages never contain a password, wherever it is in the
// file and whatever it looks like.
func TestImportTellsNoPassword(t *testing.T) {
	s := cmdtest.OpenStore(t, t.TempDir())
	f := func(want string, lines ...string) {
		t.Helper()
		var out bytes.Buffer
		im := &importer{to: onStore{Store: s}, iterations: store.MinIterations, allowed: func(domain string) error {
			if domain == "example.com" {
				return nil
			}
			return errNotServed{[]string{"example.com"}}
		}}
		im.show("x.csv", -1, &out, false)
		err := im.run(t.Context(), im.csv(strings.NewReader(strings.Join(lines, "\n"))))
		said := out.String() + fmt.Sprint(err) + im.summary()
		if err == nil || !strings.Contains(said, want) || im.created != 0 {
			t.Errorf("%q: %q, want an error with %q and no account", lines, said, want)
		}
		if strings.Contains(strings.ToLower(said), "s3cret") {
			t.Errorf("%q: a message contains a password: %q", lines, said)
		}
	}
	f("x.csv:1: the address is the second field", "s3cret,a@example.com")
	f("x.csv:1: the address is the second field", "S3cret@S3cret,a@example.com")
	f("x.csv:1: the address is the second field", "s3cret@/s3cret,a@example.com")
	f("x.csv:2: the address is the second field", "s3cret@s3cret,a@example.com", "s3cret@s3cret,b@example.com")
	f("password,jid: the fields must be in the order jid,password", "Password,JID", "s3cret,a@example.com")
	f("x.csv:1: the first field is not the address", "s3cret,x", "s3cret@@x,s3cret")
	f("its domain is not served (served: example.com)", "a@s3cret,x")
	f("x.csv:1: a double quote", "a@example.com,\"s3cret")
	f("x.csv:1: the line has 3 fields", "s3cret,s3cret,s3cret")
	f("x.csv:1: a@example.com: the password has a control character", "a@example.com,s3cret\x01")
	f("the password is longer", "a@example.com,"+strings.Repeat("s3cret", 1000))
}

// TestImportAgain: existing accounts are skipped, or get the new password.
func TestImportAgain(t *testing.T) {
	var faults faultstore.Faults
	s := cmdtest.OpenFaulty(t, t.TempDir(), &faults)
	f := func(text string, update bool, created, existing int) {
		t.Helper()
		im, said, err := importText(t, s, text, update)
		if err != nil || said != "" || im.created != created || im.existing != existing {
			t.Errorf("%s; messages %q, %v", im.summary(), said, err)
		}
	}
	f("a@example.com,1\nb@example.com,1\n", false, 2, 0)
	f("a@example.com,2\nb@example.com,2\nc@example.com,2\n", false, 1, 2)
	logins(t, s, map[string]string{"a@example.com": "1", "b@example.com": "1", "c@example.com": "2"})
	f("a@example.com,3\nd@example.com,3\n", true, 1, 1)
	logins(t, s, map[string]string{"a@example.com": "3", "b@example.com": "1", "d@example.com": "3"})
	// If nothing is new, nothing is written.
	writes := faults.Calls("ImportAccounts")
	f("a@example.com,4\nb@example.com,4\n", false, 0, 2)
	if faults.Calls("ImportAccounts") != writes {
		t.Error("an import without new accounts wrote to the store")
	}
	f("", false, 0, 0)
}

// TestImportInterrupted: accounts that were ready are kept, and the next run imports the
// rest.
func TestImportInterrupted(t *testing.T) {
	s := cmdtest.OpenStore(t, t.TempDir())
	var text strings.Builder
	const n = 400
	for i := range n {
		fmt.Fprintf(&text, "u%d@example.com,secret\n", i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		io.WriteString(w, text.String()[:text.Len()/2])
		cancel()
		io.WriteString(w, text.String()[text.Len()/2:])
		w.Close()
	}()
	im := &importer{to: onStore{Store: s}, iterations: store.MinIterations}
	im.show("-", -1, io.Discard, false)
	err := im.run(ctx, im.csv(r))
	r.Close()
	if err == nil || !strings.Contains(err.Error(), "run the same command again") || im.created == n {
		t.Errorf("%s; %v", im.summary(), err)
	}
	again, _, err := importText(t, s, text.String(), false)
	if err != nil || again.existing != im.created || again.created+again.existing != n {
		t.Errorf("%s, then %s; %v", im.summary(), again.summary(), err)
	}
}

// TestImportStoreFails: an error of the store ends the import.
func TestImportStoreFails(t *testing.T) {
	var faults faultstore.Faults
	s := cmdtest.OpenFaulty(t, t.TempDir(), &faults)
	disk := errors.New("the disk is full")
	for _, method := range []string{"Account", "ImportAccounts"} {
		faults.SetFault(func(called string) error {
			if called == method {
				return disk
			}
			return nil
		})
		im, said, err := importText(t, s, "a@example.com,1\nb@example.com,1\n", false)
		if !errors.Is(err, disk) || said != "" || im.created != 0 {
			t.Errorf("%s fails: %s; messages %q, %v", method, im.summary(), said, err)
		}
	}
}

func TestImportCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "accounts.csv")
	if err := os.WriteFile(file, []byte("jid,password\na@example.com,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want, stdin string, args ...string) error {
		t.Helper()
		out, err := runUser(t, stdin, append(append([]string{"import"}, args...), "--data", dir)...)
		if !strings.Contains(out, want) {
			t.Errorf("%q prints %q, want %q", args, out, want)
		}
		return err
	}
	if err := f("added 1 account, skipped 0 existing; ", "", file, "--create"); err != nil {
		t.Error(err)
	}
	if err := f("added 1 account, skipped 1 existing; ", "a@example.com,1\nb@example.com,1\n", "-"); err != nil {
		t.Error(err)
	}
	if err := f("added 0 accounts, updated 1; ", "a@example.com,2", "-", "--update"); err != nil {
		t.Error(err)
	}
	if err := f("rejected 1 line", "nonsense\n", "-"); err == nil {
		t.Error("no error")
	}
	if err := f("", "", filepath.Join(dir, "missing.csv")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

// screen is a terminal for a program that writes lines and uses carriage returns.
type screen struct {
	lines  []string
	line   []rune
	column int
}

func (s *screen) Write(p []byte) (int, error) {
	for _, r := range strings.ReplaceAll(string(p), "\x1b[K", "\x00") {
		switch r {
		case '\n':
			s.lines = append(s.lines, strings.TrimRight(string(s.line), " "))
			s.line, s.column = nil, 0
		case '\r':
			s.column = 0
		case 0: // erase to the end of the line
			s.line = s.line[:s.column]
		default:
			if s.column < len(s.line) {
				s.line[s.column] = r
			} else {
				s.line = append(s.line, r)
			}
			s.column++
		}
	}
	return len(p), nil
}

// TestProgress: on a terminal, each error has its own line, whether the number of lines
// is known or not, and no part of the progress line remains.
func TestProgress(t *testing.T) {
	s := cmdtest.OpenStore(t, t.TempDir())
	for _, lines := range []int{4, -1} {
		var shown screen
		var all bytes.Buffer
		im := &importer{to: onStore{Store: s}, iterations: store.MinIterations}
		im.show("x.csv", lines, io.MultiWriter(&shown, &all), true)
		if err := im.run(t.Context(), im.csv(strings.NewReader("a@example.com,1\nbad\nworse\nb@example.com,1\n"))); err == nil {
			t.Error("no error")
		}
		if !strings.Contains(all.String(), "importing") {
			t.Errorf("no progress is shown: %q", &all)
		}
		const fault = ": the line has 1 field and must have 2: jid,password (a password with a comma or a quote needs quotes)"
		if want := []string{"x.csv:2" + fault, "x.csv:3" + fault}; !slices.Equal(shown.lines, want) || strings.TrimSpace(string(shown.line)) != "" {
			t.Errorf("%d lines: shown %q and %q, want %q", lines, shown.lines, string(shown.line), want)
		}
	}
}

// TestImportYields: the threads that derive keys have a low priority, and no others.
func TestImportYields(t *testing.T) {
	cmd := cmdtest.Program(nil, "user", "import", "-", "--create", "--data", t.TempDir())
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	low := func() (n int) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				t.Fatal(err)
			}
			// The system call returns 20 less the nice value (getpriority(2)).
			if p, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil && p == 20-lowPriority {
				n++
			}
		}
		return n
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for low() != runtime.GOMAXPROCS(0) {
		if ctx.Err() != nil {
			t.Errorf("%d threads have a low priority, want %d", low(), runtime.GOMAXPROCS(0))
			break
		}
		runtime.Gosched()
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestImportThroughServer: a running server gets all accounts of a long file, batch by
// batch, and the second time none.
func TestImportThroughServer(t *testing.T) {
	dir := t.TempDir()
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
	const n = 2*importBatch + 1
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "u%d@localhost,secret%d\n", i, i)
	}
	for _, want := range []string{"added 513 accounts, skipped 0 existing; ", "added 0 accounts, skipped 513 existing; "} {
		if out, err := runUser(t, text.String(), "import", "-", "--iterations", "4096", "--data", dir); err != nil || !strings.Contains(out, want) {
			t.Errorf("%q %v, want %q", out, err, want)
		}
	}
	logins(t, cmdtest.OpenStore(t, dir), map[string]string{"u0@localhost": "secret0", "u512@localhost": "secret512"})
}
