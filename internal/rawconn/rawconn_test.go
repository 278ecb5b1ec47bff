package rawconn

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// networks are those that are tested.
var networks = map[string]func(t *testing.T) string{
	"tcp":  func(*testing.T) string { return "127.0.0.1:0" },
	"unix": func(t *testing.T) string { return filepath.Join(t.TempDir(), "s") },
}

// pair returns both ends of a connection.
func pair(network, address string) (a, b net.Conn, err error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	a, err = net.Dial(network, l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	b, err = l.Accept()
	if err != nil {
		_ = a.Close()
		return nil, nil, err
	}
	return Wrap(a), Wrap(b), nil
}

// TestConn: the connections behave as package net documents.
func TestConn(t *testing.T) {
	for network, address := range networks {
		t.Run(network, func(t *testing.T) {
			nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
				a, b, err = pair(network, address(t))
				return a, b, func() { _, _ = a.Close(), b.Close() }, err
			})
		})
	}
}

// TestFull: a write of more than the socket takes waits for its reader.
func TestFull(t *testing.T) {
	sent := make([]byte, 8<<20)
	_, _ = rand.Read(sent)
	for network, address := range networks {
		for _, size := range []int{maxRaw - 1, len(sent)} {
			a, b, err := pair(network, address(t))
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				for p := range slices.Chunk(sent, size) {
					if n, err := a.Write(p); n != len(p) || err != nil {
						t.Errorf("%s: %d of %d bytes are written: %v", network, n, len(p), err)
					}
				}
				_ = a.Close()
			})
			if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%s, writes of %d: %d bytes arrive, which differ or are not %d: %v", network, size, len(got), len(sent), err)
			}
			wg.Wait()
			_ = b.Close()
		}
	}
}

// TestErrors: the errors are those that callers of package net look for.
func TestErrors(t *testing.T) {
	a, b, err := pair("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var one [1]byte
	_ = a.SetReadDeadline(time.Unix(1, 0))
	if _, err := a.Read(one[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	_ = a.SetReadDeadline(time.Time{})
	_ = b.(*conn).Conn.(*net.TCPConn).SetLinger(0) // its end resets the connection
	_ = b.Close()
	var op *net.OpError
	if _, err := a.Read(one[:]); !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" {
		t.Errorf("reading after a reset: %v", err)
	}
	if _, err := a.Write(one[:]); !errors.Is(err, syscall.EPIPE) || !errors.As(err, &op) || op.Op != "write" {
		t.Errorf("writing after a reset: %v", err)
	}
	_ = a.Close()
	if _, err := a.Read(one[:]); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestSynchronized: the race detector sees that a write happens before the read of what was written.
func TestSynchronized(t *testing.T) {
	a, b, err := pair("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	value := 0
	go func() {
		value = 1
		_, _ = a.Write([]byte("x"))
	}()
	if _, err := b.Read(make([]byte, 1)); err != nil || value != 1 {
		t.Errorf("%d, %v", value, err)
	}
}

// TestOther: a connection without a socket is left as it is.
func TestOther(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Wrap(a) != a {
		t.Error("it is wrapped")
	}
}

// TestAllocations: a transfer allocates nothing.
func TestAllocations(t *testing.T) {
	a, b, err := pair("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	p := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = a.Write(p)
		_, _ = io.ReadFull(b, p)
	}); n != 0 {
		t.Errorf("a write and a read allocate %v times", n)
	}
}
