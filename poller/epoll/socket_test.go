//go:build linux

package epoll

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// acceptFrom connects to a listener at an address and accepts the connection.
func acceptFrom(t *testing.T, addr string) (client *net.TCPConn, fd int, peer netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("this host has no %s: %v", addr, err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listener := int(f.Fd()) // which blocks from here on
	if err := unix.SetNonblock(listener, true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Accept(listener); !errors.Is(err, unix.EAGAIN) {
		t.Fatalf("without a client: %v", err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if fd, peer, err = Accept(listener); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), fd, peer
}

// TestSockets: addresses, options and ends of accepted connections are those of package
// net.
func TestSockets(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		client, fd, peer := acceptFrom(t, addr)
		want := client.LocalAddr().(*net.TCPAddr).AddrPort()
		if peer != want {
			t.Errorf("the client %v has the address %v", want, peer)
		}
		if again, err := Peer(int32(fd)); again != want || err != nil {
			t.Errorf("the peer is %v, %v, want %v", again, err, want)
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("programs that are executed get the socket: %x, %v", flags, err)
		}
		if _, err := Read(int32(fd), make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("the socket blocks: %v", err)
		}
		if err := SetOption(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 12345); err != nil {
			t.Error(err)
		}
		if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != 12345 || err != nil {
			t.Errorf("the option is %d, %v", got, err)
		}
		if err := SetOption(fd, unix.IPPROTO_TCP, -1, 1); !errors.Is(err, unix.ENOPROTOOPT) {
			t.Errorf("an option that does not exist: %v", err)
		}
		if err := CloseWrite(int32(fd)); err != nil {
			t.Error(err)
		}
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after CloseWrite the client reads %v", err)
		}
		if err := Close(fd); err != nil {
			t.Error(err)
		}
		if err := Close(fd); !errors.Is(err, unix.EBADF) {
			t.Errorf("closed twice: %v", err)
		}
		if _, err := Peer(int32(fd)); !errors.Is(err, unix.EBADF) {
			t.Errorf("the peer of a closed socket: %v", err)
		}
	}
}

// TestResetOnClose: the client sees a reset, not the end.
func TestResetOnClose(t *testing.T) {
	client, fd, _ := acceptFrom(t, "127.0.0.1:0")
	if err := ResetOnClose(fd); err != nil {
		t.Fatal(err)
	}
	if err := Close(fd); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the client reads %v", err)
	}
}

// TestPeek: bytes that were peeked at are read again.
func TestPeek(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(pair[0])
	buf := make([]byte, 10)
	if n, err := Peek(pair[0], buf); n != -1 || !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing there: %d, %v", n, err)
	}
	if _, err := Write(int32(pair[1]), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := Peek(pair[0], buf[:4]); n != 4 || string(buf[:n]) != "hell" || err != nil {
			t.Errorf("peeked: %q, %v", buf[:max(n, 0)], err)
		}
	}
	if n, err := Read(int32(pair[0]), buf); n != 5 || err != nil {
		t.Errorf("read after that: %d, %v", n, err)
	}
	if peer, err := Peer(int32(pair[0])); peer.IsValid() || err != nil {
		t.Errorf("the peer of a socket without IP is %v, %v", peer, err)
	}
	_ = Close(pair[1])
	if n, err := Peek(pair[0], buf); n != 0 || err != nil {
		t.Errorf("after the end: %d, %v", n, err)
	}
}
