package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// errInterrupted ends a command that a signal has ended before it did anything.
var errInterrupted = errors.New("interrupted; nothing changed")

// contextReader reads a file until a context ends. A read of a terminal or a pipe
// waits as long as nothing comes, and a signal that the program catches does not
// end it.
type contextReader struct {
	ctx  context.Context
	file *os.File
	wake *os.File // can be read when the context has ended
}

// readUntil returns a reader of f that returns the context's error when ctx ends.
// done frees what it needs; f stays open.
func readUntil(ctx context.Context, f *os.File) (r *contextReader, done func(), err error) {
	wake, end, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = end.Close() })
	return &contextReader{ctx, f, wake}, func() {
		stop()
		_ = end.Close()
		_ = wake.Close()
	}, nil
}

// Read reads what there is, and waits for something or for the end of the context.
func (r *contextReader) Read(p []byte) (int, error) {
	defer runtime.KeepAlive(r.file)
	fd := int(r.file.Fd())
	for {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(r.wake.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
			return 0, os.NewSyscallError("poll", err)
		}
		if r.ctx.Err() != nil {
			return 0, r.ctx.Err()
		}
		if poll[0].Revents == 0 {
			continue
		}
		n, err := unix.Read(fd, p)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// maxTerminalLine is the largest line that Linux passes on from a terminal, in
// bytes.
const maxTerminalLine = 4096

// hidden reads a line from a terminal that does not show it; ask writes the prompt
// when that is so. Afterwards, also at the end of ctx, the terminal is as it was.
func hidden(ctx context.Context, terminal *os.File, ask func()) (line []byte, err error) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, os.NewSyscallError("tcgetattr", err)
	}
	blind := *before
	blind.Lflag &^= unix.ECHO
	blind.Lflag |= unix.ICANON | unix.ISIG
	blind.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &blind); err != nil {
		return nil, os.NewSyscallError("tcsetattr", err)
	}
	defer func() {
		restore := uint(unix.TCSETS)
		if err != nil {
			restore = unix.TCSETSF // what was typed so far is not for the shell
		}
		err = errors.Join(err, os.NewSyscallError("tcsetattr", unix.IoctlSetTermios(fd, restore, before)))
	}()
	in, done, err := readUntil(ctx, terminal)
	if err != nil {
		return nil, err
	}
	defer done()
	ask()
	return readLine(in, maxTerminalLine)
}

// readLine reads up to the end of a line, which is left out, or of the input, or
// up to a number of bytes. The error is io.EOF where there is nothing at all.
func readLine(in io.Reader, limit int) (line []byte, err error) {
	for b := make([]byte, 1); len(line) < limit; {
		n, err := in.Read(b) // byte by byte: what follows the line is not ours
		switch {
		case n == 1 && b[0] == '\n':
			return line, nil
		case n == 1:
			line = append(line, b[0])
		case err == io.EOF && len(line) > 0:
			return line, nil
		case err != nil:
			return nil, err
		}
	}
	return line, nil
}
