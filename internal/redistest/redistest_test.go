package redistest

import (
	"bufio"
	"net"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a test leaks a goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ping returns what a server replies to PING, or an error.
func ping(t *testing.T, addr string) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

// TestServer: a server responds, also after it was killed and started again.
func TestServer(t *testing.T) {
	s := Start(t)
	for range 2 {
		if got, err := ping(t, s.Addr); err != nil || got != "+PONG\r\n" {
			t.Fatalf("%q, %v", got, err)
		}
		s.Kill()
		if got, err := ping(t, s.Addr); err == nil {
			t.Fatalf("%q from a server that was killed", got)
		}
		s.Restart()
	}
}

// TestProxy: nothing passes a proxy that was cut, until it is mended.
func TestProxy(t *testing.T) {
	p := StartProxy(t, Start(t).Addr)
	if got, err := ping(t, p.Addr); err != nil || got != "+PONG\r\n" {
		t.Fatalf("%q, %v", got, err)
	}
	p.Cut()
	if got, err := ping(t, p.Addr); err == nil {
		t.Fatalf("%q through a proxy that was cut", got)
	}
	p.Mend()
	if got, err := ping(t, p.Addr); err != nil || got != "+PONG\r\n" {
		t.Fatalf("%q, %v", got, err)
	}
}

// TestCluster: the servers of a cluster serve their slots, and the replica is that of the last.
func TestCluster(t *testing.T) {
	servers := StartCluster(t, 2, 1)
	for i, want := range []string{"master", "master", "slave"} {
		if got := reply(t, servers[i].Addr, "ROLE", 3); got != want {
			t.Errorf("server %d is a %s, want %s", i, got, want)
		}
	}
	if got := reply(t, servers[1].Addr, "SET key value", 1); got != "+OK" { // slot 12539
		t.Error(got)
	}
	if got := reply(t, servers[0].Addr, "GET key", 1); got != "-MOVED 12539 "+servers[1].Addr {
		t.Error(got)
	}
}
