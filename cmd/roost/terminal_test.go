package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminalPair is a pseudo-terminal: what a person types and sees, and the side of
// programs.
func terminalPair(t *testing.T) (person, programs *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	programs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { programs.Close() })
	return person, programs
}

// onTerminal is a program on a terminal of its own.
type onTerminal struct {
	t        *testing.T
	cmd      *exec.Cmd
	person   *os.File
	programs *os.File
	shown    string
}

func startOnTerminal(t *testing.T, args ...string) *onTerminal {
	t.Helper()
	p := &onTerminal{t: t, cmd: program(nil, args...)}
	p.person, p.programs = terminalPair(t)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.programs, p.programs, p.programs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	// Reading ends when the program does.
	if err := p.programs.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// until reads what the program shows until the last of it is text.
func (p *onTerminal) until(text string) {
	p.t.Helper()
	buf := make([]byte, 1000)
	for !strings.Contains(p.shown, text) {
		n, err := p.person.Read(buf)
		if err != nil {
			p.t.Fatalf("%q is not shown, but %q: %v", text, p.shown, err)
		}
		p.shown += string(buf[:n])
	}
	_, p.shown, _ = strings.Cut(p.shown, text)
}

func (p *onTerminal) types(keys string) {
	p.t.Helper()
	if _, err := p.person.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// echo reports whether the terminal shows what is typed.
func (p *onTerminal) echo() bool {
	p.t.Helper()
	state, err := unix.IoctlGetTermios(int(p.person.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// ends waits for the program's end with an exit code and the terminal as it was.
func (p *onTerminal) ends(code int) {
	p.t.Helper()
	_ = p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d", got, code)
	}
	if !p.echo() {
		p.t.Error("the terminal does not show any more what is typed")
	}
}

// TestPasswordPrompt: the prompt hides the password, and Ctrl-C, Ctrl-D, Ctrl-\
// and SIGTERM end the command and leave the terminal as it was.
func TestPasswordPrompt(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir)
	start := func(name string) *onTerminal {
		p := startOnTerminal(t, "user", "add", name+"@localhost", "--data", dir)
		p.until("Password: ")
		if p.echo() {
			t.Error("the terminal shows the password")
		}
		return p
	}
	p := start("typed")
	p.types("s3crat\x7f\x7fet\n") // with two corrections
	p.until("Again: ")
	p.types("s3cret\n")
	p.until("typed@localhost is added")
	p.ends(0)
	if s := openStore(t, dir); strings.Contains(p.shown, "s3cr") {
		t.Errorf("the password is shown: %q", p.shown)
	} else {
		logins(t, s, map[string]string{"typed@localhost": "s3cret"})
	}
	for _, c := range []struct {
		desc, keys string
		want       string
	}{
		{"ctrl-c", "\x03", "interrupted: nothing is changed"},
		{"ctrl-backslash", "\x1c", "interrupted: nothing is changed"},
		{"ctrl-c after some letters", "s3c\x03", "interrupted: nothing is changed"},
		{"ctrl-d", "\x04", "no password was typed: nothing is changed"},
		{"ctrl-d at the second prompt", "s3cret\n\x04", "no password was typed: nothing is changed"},
	} {
		p := start(strings.ReplaceAll(c.desc, " ", "-"))
		p.types(c.keys)
		p.until(c.want)
		p.ends(1)
	}
	p = start("sigterm")
	shell, err := os.OpenFile(p.programs.Name(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	p.types("s3cret") // no shell is to get it
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.until("interrupted: nothing is changed")
	p.ends(1)
	if n, err := unix.IoctlGetInt(int(shell.Fd()), unix.TIOCINQ); err != nil || n != 0 {
		t.Errorf("%d bytes that were typed are left for the shell: %v", n, err)
	}
}

// TestInterruptedImport: an import from a terminal ends with Ctrl-C and says how to
// go on.
func TestInterruptedImport(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir)
	p := startOnTerminal(t, "user", "import", "-", "--data", dir)
	p.types("bad\n")
	p.until("-:1: the line has 1 field")
	p.types("\x03")
	p.until("interrupted: run the same command again")
	p.ends(1)
}

// TestInterruptedPassword: a command that reads a password from a pipe ends when it
// is interrupted.
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

// TestReadUntil: reads return what there is, the end of the file, and the
// context's error when it ends during a read or before.
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
