package unixsock

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSocket: short and long names, the mode, and the user at the other end.
func TestSocket(t *testing.T) {
	for _, name := range []string{"s", strings.Repeat("long", 40)} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		name = filepath.Join(dir, "admin.sock")
		l, err := Listen(name)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(name); err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("%v %v, want a socket that only its owner may use", info.Mode(), err)
		}
		c, err := Dial(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []net.Conn{c, accepted} {
			if uid, ok := PeerUID(c); !ok || int(uid) != os.Getuid() {
				t.Errorf("user %d %v, want %d", uid, ok, os.Getuid())
			}
			_ = c.Close()
		}
		if _, err := Listen(name); !errors.Is(err, ErrInUse) {
			t.Errorf("a second listener: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	}
}

// TestCloseOfPredecessor: a listener that is closed a second time leaves the socket of its
// successor alone.
func TestCloseOfPredecessor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "admin.sock")
	first, err := Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	second, err := Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	_ = first.Close()
	if c, err := Dial(t.Context(), name); err != nil {
		t.Errorf("the successor's socket: %v", err)
	} else {
		_ = c.Close()
	}
}

// TestBusySocket: a socket whose process is slow to accept connections is not taken for one
// that was left behind.
func TestBusySocket(t *testing.T) {
	name := filepath.Join(t.TempDir(), "admin.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: name}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		var c net.Conn
		if c, err = Dial(t.Context(), name); err != nil {
			break
		}
		defer c.Close()
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Skipf("its queue does not become full: %v", err)
	}
	if _, err := Listen(name); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("%v, want EAGAIN", err)
	}
	if _, err := os.Lstat(name); err != nil {
		t.Error(err)
	}
}

// TestAbstractName: a name that begins with @ is one of a file.
func TestAbstractName(t *testing.T) {
	t.Chdir(t.TempDir())
	l, err := Listen("@admin.sock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat("@admin.sock"); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestStaleSocket: what a process that was killed has left behind is replaced; a file of
// another kind is not.
func TestStaleSocket(t *testing.T) {
	name := filepath.Join(t.TempDir(), "admin.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	for range 2 {
		l, err := Listen(name)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if err := os.Symlink("/nowhere/admin.sock", name); err != nil {
			t.Fatal(err)
		}
	}
	_ = os.Remove(name)
	if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(name); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("over a file: %v", err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "text" {
		t.Errorf("the file has changed: %q %v", text, err)
	}
}

func TestPeerOfTCP(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, ok := PeerUID(a); ok {
		t.Error("a pipe has a user")
	}
}
