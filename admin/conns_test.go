package admin

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// pipes is a listener that always has another connection.
type pipes struct{ net.Listener }

func (pipes) Accept() (net.Conn, error) { c, _ := net.Pipe(); return c, nil }
func (pipes) Close() error              { return nil }

// TestConnectionLimit: more connections than the limit wait until others have ended, or
// the listener is closed.
func TestConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limitConns(pipes{})
		var first net.Conn
		for range maxConns {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c.(*conn).trust()
			first = c
		}
		var accepted int
		var err error
		go func() {
			for err == nil {
				var c net.Conn
				if c, err = l.Accept(); err == nil {
					c.(*conn).trust()
					accepted++
				}
			}
		}()
		synctest.Wait()
		if accepted != 0 {
			t.Errorf("%d more than the limit", accepted)
		}
		_ = first.Close()
		_ = first.Close() // a second time it frees nothing
		synctest.Wait()
		if accepted != 1 {
			t.Errorf("%d after one has ended, want 1", accepted)
		}
		_ = l.Close()
		synctest.Wait()
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// ended is a connection that says when it was closed.
type ended struct {
	net.Conn
	closed *[]int
	number int
}

func (e *ended) Close() error { *e.closed = append(*e.closed, e.number); return nil }

// numbered is a listener of such connections.
type numbered struct {
	net.Listener
	accepted int
	closed   []int
}

func (l *numbered) Accept() (net.Conn, error) {
	l.accepted++
	return &ended{closed: &l.closed, number: l.accepted}, nil
}

// TestUntrusted: of connections without a valid token the oldest is closed for a new one;
// those that have sent one stay.
func TestUntrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails, instead of waiting, if no connection is closed
		all := new(numbered)
		l := limitConns(all)
		accept := func() *conn {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			return c.(*conn)
		}
		trusted := accept()
		trusted.peer.trust()
		for range 3 * maxConns {
			accept()
		}
		if n := len(all.closed); n != 3*maxConns-maxUntrusted || all.closed[0] != 2 || len(l.untrusted) != maxUntrusted || len(l.slots) != maxUntrusted+1 {
			t.Errorf("%d were closed, first %d; %d are untrusted, %d in all", n, all.closed[0], len(l.untrusted), len(l.slots))
		}
		last := accept()
		_ = last.Close()
		_ = trusted.Close()
		if len(l.untrusted) != maxUntrusted-1 || len(l.slots) != maxUntrusted-1 {
			t.Errorf("%d are untrusted, %d in all", len(l.untrusted), len(l.slots))
		}
	})
}
