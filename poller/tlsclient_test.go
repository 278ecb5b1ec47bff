//go:build linux

package poller

import (
	"crypto/tls"
	"net"
	"testing"
)

// TestClientTLS: an outgoing connection starts a handshake; loops run both sides.
func TestClientTLS(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	client, err := New(Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	e := &echo{closed: make(chan error, 1), data: func(_ *echo, p []byte) int {
		got <- string(p)
		return len(p)
	}}
	if e.c, err = client.Attach(nc, e); err != nil {
		t.Fatal(err)
	}
	e.c.Post(func(int) {
		if err := e.c.StartClientTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the client is secured", e.secured.Load)
	if err := e.c.Queue([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	e.c.Flush()
	if p := <-got; p != "hello" {
		t.Fatalf("got %q back", p)
	}
}
