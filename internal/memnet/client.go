package memnet

import (
	"io"
	"net"
	"os"
	"time"
)

// client is the client's side.
type client struct{ x *socket }

func (k *client) Read(p []byte) (int, error) {
	x := k.x
	x.loop.state.Lock()
	defer x.loop.state.Unlock()
	for len(x.sent) == 0 {
		if x.closed {
			return 0, io.EOF
		}
		if !x.deadline.IsZero() && !time.Now().Before(x.deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		x.readable.Wait()
	}
	n := copy(p, x.sent)
	x.sent = append(x.sent[:0], x.sent[n:]...)
	x.flush()
	return n, nil
}

func (k *client) Write(p []byte) (int, error) {
	x := k.x
	x.loop.state.Lock()
	defer x.loop.state.Unlock()
	if x.closed || x.lost || x.broken {
		return 0, io.ErrClosedPipe
	}
	x.in = append(x.in, append([]byte(nil), p...))
	if c := x.end; c != nil {
		x.loop.post(func() { c.read(x) })
	}
	return len(p), nil
}

// Close drops the connection, as if the network had failed.
func (k *client) Close() error {
	x := k.x
	x.loop.state.Lock()
	defer x.loop.state.Unlock()
	x.closing, x.closed, x.broken = true, true, true
	x.outbox, x.sent = nil, nil
	x.readable.Broadcast()
	x.lose(io.ErrUnexpectedEOF)
	return nil
}

func (k *client) LocalAddr() net.Addr              { return addr{} }
func (k *client) RemoteAddr() net.Addr             { return addr{} }
func (k *client) SetWriteDeadline(time.Time) error { return nil }
func (k *client) SetDeadline(t time.Time) error    { return k.SetReadDeadline(t) }

func (k *client) SetReadDeadline(t time.Time) error {
	x := k.x
	x.loop.state.Lock()
	defer x.loop.state.Unlock()
	x.deadline = t
	if !t.IsZero() {
		time.AfterFunc(time.Until(t)+time.Millisecond, func() {
			x.loop.state.Lock()
			defer x.loop.state.Unlock()
			x.readable.Broadcast()
		})
	}
	return nil
}

type addr struct{}

func (addr) Network() string { return "memory" }
func (addr) String() string  { return "memory" }
