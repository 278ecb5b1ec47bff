//go:build linux

package poller

import (
	"crypto/tls"
	"io"
	"testing"
	"time"
)

// TestConnStates follows connections through all states of the diagram in state.go, on
// real sockets.
func TestConnStates(t *testing.T) {
	cfg := testTLS(t)
	fill := make([]byte, 1<<20)
	s := serve(t, Config{Loops: 1, Outbox: 64 << 20}, nil, func(e *echo, p []byte) int {
		switch string(p) {
		case "tls":
			_ = e.c.Queue([]byte("go"))
			if err := e.c.StartTLS(cfg); err != nil {
				t.Error(err)
			}
		case "fill":
			for !e.c.Flush() {
				if err := e.c.Queue(fill); err != nil {
					t.Error(err)
					break
				}
			}
		}
		return len(p)
	})
	is := func(e *echo, want connState) {
		t.Helper()
		var last connState
		eventually(t, "the state that is wanted", func() bool {
			return onLoop(e.c, func() bool { last = e.c.state; return last >= want }) || want == stateOpen && last != stateHandshaking
		})
		if last != want {
			t.Fatalf("state %d, want %d", last, want)
		}
	}

	// open, handshaking, open, shutDown, closed
	raw := dial(t, s.addr)
	_, _ = raw.Write([]byte("tls"))
	expect(t, raw, "go")
	e := <-s.conns
	is(e, stateHandshaking)
	if err := e.c.Queue([]byte("x")); err != errEarly {
		t.Errorf("in a handshake: %v", err)
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "secured", e.secured.Load)
	is(e, stateOpen)
	e.c.Close(time.Minute)
	is(e, stateShutDown)
	_, _ = io.Copy(io.Discard, raw) // unread bytes would cause a reset
	_ = raw.Close()
	if err := reason(t, e); err != nil {
		t.Error(err)
	}
	is(e, stateClosed)

	// handshaking, closed
	raw = dial(t, s.addr)
	_, _ = raw.Write([]byte("tls"))
	expect(t, raw, "go")
	e = <-s.conns
	is(e, stateHandshaking)
	_ = raw.Close()
	if err := reason(t, e); err == nil {
		t.Error("no error")
	}
	is(e, stateClosed)

	// open, closing, shutDown
	raw = dial(t, s.addr)
	_, _ = raw.Write([]byte("fill"))
	e = <-s.conns
	eventually(t, "the socket is full", func() bool { return e.c.Queued() > 0 })
	is(e, stateOpen)
	e.c.Close(time.Minute)
	is(e, stateClosing)
	if err := e.c.Queue([]byte("x")); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	_, _ = io.Copy(io.Discard, raw)
	is(e, stateShutDown)
	_ = raw.Close()
	if err := reason(t, e); err != nil {
		t.Error(err)
	}

	// open, halfClosed, closed
	raw = dial(t, s.addr)
	_, _ = raw.Write([]byte("fill"))
	e = <-s.conns
	eventually(t, "the socket is full", func() bool { return e.c.Queued() > 0 })
	_ = raw.CloseWrite()
	is(e, stateHalfClosed)
	if err := e.c.Queue([]byte("x")); err != ErrClosed {
		t.Errorf("after the peer's end: %v", err)
	}
	_, _ = io.Copy(io.Discard, raw)
	if err := reason(t, e); err != io.EOF {
		t.Error(err)
	}
	is(e, stateClosed)
}

// TestStateOnlyAdvances: no transition leads back, except the end of a handshake.
func TestStateOnlyAdvances(t *testing.T) {
	for from := stateOpen; from <= stateClosed; from++ {
		for to := stateOpen; to <= stateClosed; to++ {
			c := &Conn{state: from}
			c.setState(to)
			want := max(from, to)
			if from == stateHandshaking && to == stateOpen {
				want = stateOpen
			}
			if c.state != want {
				t.Errorf("from %d to %d: %d", from, to, c.state)
			}
		}
	}
}
