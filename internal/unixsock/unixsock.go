// Package unixsock listens on Unix sockets and connects to them, and says which user is
// at the other end.
package unixsock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxPath is the largest size of a socket's name in bytes: sun_path has 108, with a 0 at
// the end (unix(7)).
const maxPath = 107

// ErrInUse is returned by Listen if another process accepts connections at that name.
var ErrInUse = errors.New("another process listens on this socket")

// Listen returns a listener for a socket with the mode 0600 and a name of any length. It
// replaces a socket that a process has left behind. The listener removes the socket when
// it is closed.
func Listen(name string) (net.Listener, error) {
	short, done, err := shorten(name)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := removeStale(name, short); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: private}
	l, err := config.Listen(context.Background(), "unix", short)
	if err != nil {
		return nil, &fs.PathError{Op: "listen", Path: name, Err: errors.Unwrap(err)}
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // short may not be valid any more; listener.Close does it
	return &listener{Listener: l, name: name}, nil
}

// private gives the mode 0600 to a socket that has no name yet. The name gets the mode of
// the socket (unix(7)), so that there is no moment in which others may connect, and no name
// is followed that somebody may have replaced.
func private(_, _ string, c syscall.RawConn) (err error) {
	e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) })
	return errors.Join(err, e)
}

// removeStale removes a socket that nobody listens on.
func removeStale(name, short string) error {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeSymlink: // of a server that had its socket elsewhere
	case fs.ModeSocket:
		c, err := net.Dial("unix", short)
		if err == nil {
			err = errors.Join(ErrInUse, c.Close())
		}
		// Anything else, such as EAGAIN while too many connections wait, is no proof.
		if !errors.Is(err, unix.ECONNREFUSED) {
			return &fs.PathError{Op: "listen", Path: name, Err: err}
		}
	default:
		return &fs.PathError{Op: "listen", Path: name, Err: errors.New("a file that is not a socket has this name: move it away")}
	}
	return os.Remove(name)
}

type listener struct {
	net.Listener
	name string
	once sync.Once
}

// Close removes the socket and closes the listener, in this order: afterwards the name may
// be that of a successor's socket.
func (l *listener) Close() (err error) {
	l.once.Do(func() {
		if err = os.Remove(l.name); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	})
	return errors.Join(err, l.Listener.Close())
}

// Dial connects to a socket with a name of any length.
func Dial(ctx context.Context, name string) (net.Conn, error) {
	short, done, err := shorten(name)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", short)
}

// shorten returns a name for the same file that a socket can have, which is valid until
// done is called.
func shorten(name string) (short string, done func(), err error) {
	if strings.HasPrefix(name, "@") {
		name = "./" + name // package net takes an @ for the abstract namespace, which has no permissions
	}
	if len(name) <= maxPath {
		return name, func() {}, nil
	}
	fd, err := unix.Open(filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &fs.PathError{Op: "open", Path: filepath.Dir(name), Err: err}
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, filepath.Base(name)), func() { _ = unix.Close(fd) }, nil
}

// PeerUID returns the user ID of the process that has connected (SO_PEERCRED, unix(7)).
// ok is false if c is not a connection to a Unix socket.
func PeerUID(c net.Conn) (uid uint32, ok bool) {
	u, is := c.(*net.UnixConn)
	if !is {
		return 0, false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid, ok = cred.Uid, true
		}
	})
	return uid, ok && err == nil
}
