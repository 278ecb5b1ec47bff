package cmdtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminalPair returns a pseudo-terminal: the master side for the test and the side for
// the program.
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
	// Ctrl-C would discard pending output, including what the program quickly writes in
	// response.
	state, err := unix.IoctlGetTermios(int(programs.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	state.Lflag |= unix.NOFLSH
	if err := unix.IoctlSetTermios(int(programs.Fd()), unix.TCSETS, state); err != nil {
		t.Fatal(err)
	}
	return person, programs
}

// Terminal is a program that runs on its own terminal.
type Terminal struct {
	Cmd    *exec.Cmd
	Device string // name of the terminal's device file
	Shown  string // output since the text that Until last waited for

	t      *testing.T
	person *os.File
}

// OnTerminal starts the program on a terminal.
func OnTerminal(t *testing.T, args ...string) *Terminal {
	t.Helper()
	return CommandOnTerminal(t, Program(nil, args...))
}

// CommandOnTerminal starts a command on a terminal.
func CommandOnTerminal(t *testing.T, cmd *exec.Cmd) *Terminal {
	t.Helper()
	person, programs := terminalPair(t)
	p := &Terminal{Cmd: cmd, Device: programs.Name(), t: t, person: person}
	p.Cmd.Stdin, p.Cmd.Stdout, p.Cmd.Stderr = programs, programs, programs
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Cmd.Process.Kill() })
	// Read until the program exits.
	if err := programs.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// Resize changes the size of the terminal.
func (p *Terminal) Resize(lines, columns int) {
	p.t.Helper()
	if err := unix.IoctlSetWinsize(int(p.person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(lines), Col: uint16(columns)}); err != nil {
		p.t.Fatal(err)
	}
}

// Until reads the program's output until there is text in it, and returns what precedes the
// text.
func (p *Terminal) Until(text string) (before string) {
	p.t.Helper()
	buf := make([]byte, 1000)
	for !strings.Contains(p.Shown, text) {
		n, err := p.person.Read(buf)
		if err != nil {
			p.t.Fatalf("%q is not shown, but %q: %v", text, p.Shown, err)
		}
		p.Shown += string(buf[:n])
	}
	before, p.Shown, _ = strings.Cut(p.Shown, text)
	return before
}

// Answer types the answer to each question when it is asked, until nothing more is shown, and
// returns everything.
func (p *Terminal) Answer(answers map[string]string) (shown string) {
	p.t.Helper()
	buf := make([]byte, 1000)
	for {
		n, err := p.person.Read(buf)
		if err != nil { // EIO: no program has the terminal any more
			return shown
		}
		shown += string(buf[:n])
		for question, answer := range answers {
			if strings.HasSuffix(shown, "\n"+question) || shown == question {
				p.Types(answer)
			}
		}
	}
}

// Types sends keystrokes.
func (p *Terminal) Types(keys string) {
	p.t.Helper()
	if _, err := p.person.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// Echo reports whether the terminal echoes input.
func (p *Terminal) Echo() bool {
	p.t.Helper()
	state, err := unix.IoctlGetTermios(int(p.person.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// Ends waits for the program to exit with the given code, and checks that it has restored
// the terminal.
func (p *Terminal) Ends(code int) {
	p.t.Helper()
	_ = p.Cmd.Wait()
	if got := p.Cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d", got, code)
	}
	if !p.Echo() {
		p.t.Error("the terminal does not show any more what is typed")
	}
}
