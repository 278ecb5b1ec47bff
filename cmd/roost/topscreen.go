package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// display is a terminal that shows one screen of text, which is drawn again and again.
type display struct {
	out    *os.File
	keys   chan byte // that somebody has typed
	colors bool
	undo   []func() error // in reverse order
}

// screenLine is a line of a screen.
type screenLine struct {
	text  string
	alarm bool // it needs attention
}

// Sequences of ECMA-48 and xterm: to and from a screen of its own, without cursor and
// without line breaks at the right margin.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// openScreen prepares a terminal. Until it is closed, nothing else may write to it. Keys
// are read from in, if that is a terminal, until ctx ends.
func openScreen(ctx context.Context, in, out *os.File) (*display, error) {
	s := &display{out: out, keys: make(chan byte), colors: os.Getenv("NO_COLOR") == ""}
	if term.IsTerminal(int(in.Fd())) {
		if err := s.readKeys(ctx, in); err != nil {
			return nil, err
		}
	}
	s.undo = append(s.undo, func() error {
		_, err := io.WriteString(out, leaveScreen)
		return err
	})
	if _, err := io.WriteString(out, enterScreen); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// readKeys has keys sent to s.keys as they are typed, and not shown.
func (s *display) readKeys(ctx context.Context, in *os.File) error {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return os.NewSyscallError("tcgetattr", err)
	}
	keys := *before
	keys.Lflag &^= unix.ICANON | unix.ECHO // Ctrl-C remains a signal
	keys.Cc[unix.VMIN], keys.Cc[unix.VTIME] = 1, 0
	keys.Cc[unix.VSUSP] = 0 // no Ctrl-Z: the shell would get the terminal as it is
	ctx, stop := context.WithCancel(ctx)
	r, done, err := readUntil(ctx, in)
	if err != nil {
		stop()
		return err
	}
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &keys); err != nil {
		stop()
		done()
		return os.NewSyscallError("tcsetattr", err)
	}
	ended := make(chan struct{})
	s.undo = append(s.undo, func() error {
		stop()
		<-ended
		done()
		return os.NewSyscallError("tcsetattr", unix.IoctlSetTermios(fd, unix.TCSETSF, before)) // the shell must not get what was typed
	})
	go func() {
		defer close(ended)
		for key := make([]byte, 1); ; {
			if n, err := r.Read(key); n != 1 || err != nil {
				return
			}
			select {
			case s.keys <- key[0]:
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// close restores the terminal.
func (s *display) close() (err error) {
	for len(s.undo) > 0 {
		last := len(s.undo) - 1
		err = errors.Join(err, s.undo[last]())
		s.undo = s.undo[:last]
	}
	return err
}

// draw replaces the text by as many lines as there is space for.
func (s *display) draw(lines []screenLine) error {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	var b bytes.Buffer
	b.WriteString("\x1b[H")
	lines = lines[:min(len(lines), height)]
	for i, l := range lines {
		// What was there is erased before the text: after a full line, that would erase its
		// last character.
		erase := "\x1b[K"
		if i == len(lines)-1 {
			erase = "\x1b[J" // with everything below
		}
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(erase)
		text := []rune(l.text)
		text = text[:min(len(text), width)]
		if l.alarm && s.colors {
			b.WriteString("\x1b[1;31m" + string(text) + "\x1b[m")
		} else {
			b.WriteString(string(text))
		}
	}
	_, err = s.out.Write(b.Bytes())
	return err
}
