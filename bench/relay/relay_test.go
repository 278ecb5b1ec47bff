package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
)

func pair(t *testing.T, r *Relay) (a, b net.Conn) {
	t.Helper()
	var conns [2]net.Conn
	for i := range conns {
		c, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		conns[i] = c
	}
	return conns[0], conns[1]
}

func listen(t *testing.T) *Relay {
	t.Helper()
	r, err := Listen("127.0.0.1:0", 2)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRelay: data sent into one socket of a pair comes out of the other, in both
// directions, even if it is much more than the kernel buffers for a slow reader.
func TestRelay(t *testing.T) {
	r := listen(t)
	defer r.Close()
	for range 3 {
		a, b := pair(t, r)
		for range 2 {
			sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
			go func() { _, _ = a.Write(sent) }()
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("%v, or other bytes than were sent", err)
			}
			a, b = b, a
		}
		_ = a.Close()
		if n, err := b.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes after the other socket was closed", n)
		}
	}
}

// TestClose: closing the relay closes its pairs.
func TestClose(t *testing.T) {
	r := listen(t)
	a, b := pair(t, r)
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("a connection is still open")
	}
}

// TestAddress: an invalid address is an error.
func TestAddress(t *testing.T) {
	for _, a := range []string{"", "localhost:1", "[::1]:0"} {
		if r, err := Listen(a, 1); err == nil {
			_ = r.Close()
			t.Errorf("%q was accepted as an address", a)
		}
	}
}
