package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// errInterrupted is the error of a command that was interrupted before it did anything.
var errInterrupted = errors.New("interrupted; nothing changed")

// orInterrupted returns the error of a command whose context is ctx: that it was interrupted, if
// that is why it has failed. What was done in time, although the context has ended, is done.
func orInterrupted(ctx context.Context, err error, text string) error {
	if err != nil && ctx.Err() != nil {
		return errors.New(text)
	}
	return err
}

// contextReader reads a file until a context ends. Reading from a terminal or a pipe
// blocks until there is input; a signal that the program catches does not interrupt it.
type contextReader struct {
	ctx  context.Context
	file *os.File
	wake *os.File // becomes readable when the context ends
}

// readUntil returns a reader of f whose Read returns the context's error after ctx ends.
// done releases its resources; f stays open.
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

// Read waits for input or the end of the context.
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

// maxTerminalLine is the longest line that a Linux terminal accepts, in bytes.
const maxTerminalLine = 4096

// hidden reads a line from a terminal with echo turned off; ask then writes the prompt.
// It restores the terminal afterwards, also when ctx ends.
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
			restore = unix.TCSETSF // discards input typed so far: the shell must not run it
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

// readLine reads a line of at most limit bytes and omits its end. The last line may end
// with the input. The error is io.EOF if there is no input at all.
func readLine(in io.Reader, limit int) (line []byte, err error) {
	for b := make([]byte, 1); len(line) < limit; {
		n, err := in.Read(b) // byte by byte, so as not to consume input after the line
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
