//go:build linux

package poller

import (
	"net"
	"testing"
	"time"
)

// TestVacant: connections of a loop share one that is closed and that their calls do not
// change, for about a minute.
func TestVacant(t *testing.T) {
	s := serve(t, Config{Loops: 1, MaxPerAddress: 10}, nil, nil)
	connect := func() (*net.TCPConn, *echo) {
		c := dial(t, s.addr)
		return c, <-s.conns
	}
	_, a := connect()
	peer, b := connect()
	b.c.Authenticated()
	var v *Conn
	onLoop(a.c, func() bool {
		v = a.c.Vacant().(*Conn)
		if v != b.c.Vacant().(*Conn) || v != v.Vacant().(*Conn) || v != s.Vacant() {
			t.Error("the vacant connections differ")
		}
		return true
	})
	v.SetDeadline(time.Second)
	v.SetCloseCode(1000)
	v.Reserve()
	v.Resume()
	v.Close(time.Second)
	v.Close(0)
	onLoop(v, func() bool {
		v.Pause()
		if v.Unplug() != nil || v.deadline != 0 || !v.paused || v.marks != 0 || v.state != stateClosed {
			t.Errorf("it has changed: %+v", v)
		}
		return true
	})
	if e, r := v.Queue([]byte("x")), v.QueueReserved([]byte("x")); e != ErrReserved || r != ErrClosed || v.Flush() || v.Queued() != 0 {
		t.Errorf("Queue: %v, QueueReserved: %v, %d bytes queued", e, r, v.Queued())
	}
	if v.RemoteAddr().IsValid() || v.Secure() || v.TLS() != NoTLS || v.Messages() {
		t.Error("it has a peer")
	}
	onLoop(v, func() bool {
		x := b.c.Unplug()
		c, err := v.Plug(x, b)
		if err != nil {
			t.Fatal(err)
		}
		b.c = c.(*Conn)
		b.c.Resume()
		if err := b.c.Queue([]byte("x")); err != ErrReserved {
			t.Errorf("Queue of a connection made by the vacant one: %v", err)
		}
		if err := b.c.QueueReserved([]byte("hello")); err != nil {
			t.Error(err)
		}
		b.c.Flush()
		if b.c == v || v.state != stateClosed {
			t.Error("the vacant connection has got the socket")
		}
		return true
	})
	expect(t, peer, "hello")
	onLoop(v, func() bool { // a handler's own connection keeps what belongs to the handler
		b.c.setDeadline(time.Hour)
		due := b.c.deadline
		c, err := b.c.Plug(b.c.Unplug(), b)
		if err != nil {
			t.Fatal(err)
		}
		if b.c = c.(*Conn); b.c.deadline != due || b.c.marks&markTimed == 0 || !b.c.isReserved() {
			t.Errorf("the deadline is %d, want %d; marks %b", b.c.deadline, due, b.c.marks)
		}
		return true
	})
	onLoop(v, func() bool {
		start := v.LastRead()
		v.loop.now += vacantSeconds
		if next := a.c.Vacant().(*Conn); next == v || next.LastRead().Sub(start) != vacantSeconds*time.Second {
			t.Errorf("a minute later there is the same one, of %v", next.LastRead().Sub(start))
		}
		return true
	})
}
