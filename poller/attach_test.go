//go:build linux

package poller

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// fileConn is a connection whose descriptor is that of a file, which the kernel does not
// watch.
type fileConn struct {
	net.Conn
	path string
}

func (c fileConn) File() (*os.File, error) { return os.Open(c.path) }

// TestAttachUnwatched: a connection that cannot be watched is not attached, and leaves nothing
// behind. Bug: its loop kept it, with the number of a descriptor that had been closed, and
// closed whatever had that number when the poller was closed.
func TestAttachUnwatched(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	client, server := net.Pipe()
	defer client.Close()
	files := openFiles(t)
	h := &echo{closed: make(chan error, 1)}
	if _, err := s.Attach(fileConn{server, path}, h); !errors.Is(err, unix.EPERM) {
		t.Errorf("%v, want EPERM", err)
	}
	s.onLoop(func(l *loop) {
		if len(l.conns) != 0 {
			t.Errorf("the loop has %d connections", len(l.conns))
		}
	})
	if n := s.Stats().Conns; n != 0 {
		t.Errorf("%d connections are counted", n)
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d open files, before there were %d", n, files)
	}
	if len(h.closed) != 0 {
		t.Error("Closed was called")
	}
}
