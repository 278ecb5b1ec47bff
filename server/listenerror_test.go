package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPortInUse: the message names the process that uses the port.
func TestPortInUse(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Skip(err)
		}
		defer l.Close()
		_, err = New(t.Context(), Config{C2S: l.Addr().String(), DataDir: t.TempDir()})
		comm, readErr := os.ReadFile("/proc/self/comm")
		if readErr != nil {
			t.Fatal(readErr)
		}
		want := fmt.Sprintf("cannot listen on %s: the port is in use by process %d (%s)", l.Addr(), os.Getpid(), strings.TrimSpace(string(comm)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// TestListenError: each error has its advice. If the process is unknown, the advice is
// the command that finds it.
func TestListenError(t *testing.T) {
	f := func(addr string, err error, want string) {
		t.Helper()
		if got := listenError(addr, err).Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %q; want %q", err, got, want)
		}
	}
	// Nothing listens on port 0, so no process is found.
	f(":0", unix.EADDRINUSE, "ss -ltnp 'sport = :0'")
	f(":xmpp-client", unix.EADDRINUSE, "5222")
	f(":443", unix.EACCES, "CAP_NET_BIND_SERVICE")
	f("192.0.2.1:5222", unix.EADDRNOTAVAIL, "no such address")
	f(":5222", unix.ENOBUFS, "cannot listen on :5222: "+unix.ENOBUFS.Error())
}

// TestPortHolderTable: incomplete lines, other socket states, and processes whose files
// are unreadable are skipped.
func TestPortHolderTable(t *testing.T) {
	proc := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("net/tcp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"+
		"   0: 0100007F:1466 00000000:0000 01 00000000:00000000 00:00000000 00000000 0 0 7 1\n"+
		"   1: 0100007F:1466 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 8 1\n"+
		"   2: 0100007F:1466 0000")
	write("7/fd/none", "")
	write("9/comm", "ejab\nberd\n")
	if err := os.MkdirAll(filepath.Join(proc, "9", "fd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := portHolder(proc, 5222); got != "" {
		t.Errorf("%q, and no process has the socket", got)
	}
	if err := os.Symlink("socket:[8]", filepath.Join(proc, "9", "fd", "3")); err != nil {
		t.Fatal(err)
	}
	if got := portHolder(proc, 5222); got != "process 9 (ejab?berd)" {
		t.Errorf("got %q", got)
	}
	if got := portHolder(proc, 5223); got != "" {
		t.Errorf("another port: %q", got)
	}
}
