package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"roost/internal/cmdtest"
)

// activate returns the command roost serve with listening sockets, as systemd starts it.
func activate(t *testing.T, names string, sockets []net.Listener, args ...string) *exec.Cmd {
	t.Helper()
	cmd := cmdtest.Program([]string{"LISTEN_FDS=" + string(rune('0'+len(sockets))), "LISTEN_FDNAMES=" + names}, args...)
	for _, l := range sockets {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		t.Cleanup(func() { _ = f.Close() })
		cmd.ExtraFiles = append(cmd.ExtraFiles, f) // descriptors 3 and up
	}
	// LISTEN_PID is the process ID of the program itself.
	cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

func listenAt(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestActivation: sockets from systemd replace the addresses in flags; there may be
// several for one purpose. Clients that connect before the server starts wait.
func TestActivation(t *testing.T) {
	sockets := []net.Listener{listenAt(t, "tcp", "127.0.0.1:0"), listenAt(t, "tcp", "127.0.0.1:0"), listenAt(t, "tcp", "127.0.0.2:0"), listenAt(t, "tcp", "127.0.0.1:0")}
	var addrs []string
	for _, l := range sockets {
		addrs = append(addrs, l.Addr().String())
	}
	cmd := activate(t, "c2s:c2s-tls:c2s:ws", sockets, "serve", "--c2s", addrs[0], "--c2s-tls", "off", "--data", t.TempDir())
	var conns []net.Conn
	for _, addr := range addrs {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
		conns = append(conns, c)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	for _, i := range []int{1, 3} {
		conns[i] = tls.Client(conns[i], &tls.Config{InsecureSkipVerify: true})
	}
	for i, c := range conns {
		request, want := "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", "<?xml"
		if i == 3 {
			request, want = "GET /.well-known/host-meta HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200"
		}
		if _, err := c.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		if got, err := bufio.NewReader(c).ReadString('>'); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("socket %d: %q, %v", i, got, err)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	for _, addr := range addrs {
		if !strings.Contains(out.String(), addr) {
			t.Errorf("the greeting does not contain %s:\n%s", addr, &out)
		}
	}
}

// TestActivationMistakes: a socket with an unknown purpose is an error that says what to
// change.
func TestActivationMistakes(t *testing.T) {
	f := func(names string, l net.Listener, want string) {
		t.Helper()
		cmd := activate(t, names, []net.Listener{l}, "serve", "--c2s", "127.0.0.1:0", "--c2s-tls", "off", "--data", t.TempDir())
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v, want %q in\n%s", names, err, want, out)
		}
	}
	f("roost.socket", listenAt(t, "tcp", "127.0.0.1:0"), "FileDescriptorName= in the socket unit must be c2s, c2s-tls or ws")
	f("", listenAt(t, "tcp", "127.0.0.1:0"), "FileDescriptorName=")
	f("c2s", listenAt(t, "unix", t.TempDir()+"/s"), "it is not a TCP socket")
}
