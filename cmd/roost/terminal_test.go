package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"roost/internal/cmdtest"
)

// TestPasswordPrompt: the prompt hides the password. Ctrl-C, Ctrl-D, Ctrl-\ and SIGTERM
// end the command and restore the terminal.
func TestPasswordPrompt(t *testing.T) {
	dir := t.TempDir()
	cmdtest.OpenStore(t, dir)
	start := func(name string) *cmdtest.Terminal {
		p := cmdtest.OnTerminal(t, "user", "add", name+"@localhost", "--data", dir)
		p.Until("Password: ")
		if p.Echo() {
			t.Error("the terminal shows the password")
		}
		return p
	}
	p := start("typed")
	p.Types("s3crat\x7f\x7fet\n") // with two corrections
	p.Until("Repeat password: ")
	p.Types("s3cret\n")
	p.Until("added typed@localhost")
	p.Ends(0)
	if s := cmdtest.OpenStore(t, dir); strings.Contains(p.Shown, "s3cr") {
		t.Errorf("the password is shown: %q", p.Shown)
	} else {
		logins(t, s, map[string]string{"typed@localhost": "s3cret"})
	}
	for _, c := range []struct {
		desc, keys string
		want       string
	}{
		{"ctrl-c", "\x03", "interrupted; nothing changed"},
		{"ctrl-backslash", "\x1c", "interrupted; nothing changed"},
		{"ctrl-c after some letters", "s3c\x03", "interrupted; nothing changed"},
		{"ctrl-d", "\x04", "no password entered; nothing changed"},
		{"ctrl-d at the second prompt", "s3cret\n\x04", "no password entered; nothing changed"},
	} {
		p := start(strings.ReplaceAll(c.desc, " ", "-"))
		p.Types(c.keys)
		p.Until(c.want)
		p.Ends(1)
	}
	p = start("sigterm")
	shell, err := os.OpenFile(p.Device, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	p.Types("s3cret") // must not reach a shell
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.Until("interrupted; nothing changed")
	p.Ends(1)
	if n, err := unix.IoctlGetInt(int(shell.Fd()), unix.TIOCINQ); err != nil || n != 0 {
		t.Errorf("%d bytes of input are left for the shell: %v", n, err)
	}
}

// TestInterruptedImport: Ctrl-C ends an import from a terminal, which then explains how
// to continue.
func TestInterruptedImport(t *testing.T) {
	dir := t.TempDir()
	cmdtest.OpenStore(t, dir)
	p := cmdtest.OnTerminal(t, "user", "import", "-", "--data", dir)
	p.Types("bad\n")
	p.Until("-:1: the line has 1 field")
	p.Types("\x03")
	p.Until("interrupted: run the same command again")
	p.Ends(1)
}

// TestInterruptedPassword: an interrupt ends a command that reads a password from a pipe.
func TestInterruptedPassword(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.WriteString("s3c"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		_, err := readPassword(ctx, r)
		result <- err
	}()
	cancel()
	if err := <-result; err != errInterrupted {
		t.Errorf("%v", err)
	}
}

// TestReadUntil: reads return available input, the end of the file, or the context's
// error if it ends before or during a read.
func TestReadUntil(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	in, done, err := readUntil(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	buf := make([]byte, 10)
	if _, err := w.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	if n, err := in.Read(buf); string(buf[:n]) != "hello" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
	result := make(chan error)
	go func() { _, err := in.Read(buf); result <- err }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	again, doneAgain, err := readUntil(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer doneAgain()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := again.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("%d, %v at the end", n, err)
	}
}

// TestOrInterrupted: a command that has succeeded before it noticed the interruption says so.
func TestOrInterrupted(t *testing.T) {
	failed := errors.New("failed")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, want := range []string{"failed", "interrupted"} {
		if err := orInterrupted(ctx, failed, "interrupted"); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if err := orInterrupted(ctx, nil, "interrupted"); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
