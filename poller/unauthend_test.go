//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"testing"
	"time"
)

// lingerer is a handler that, when a connection must end, closes it and waits very
// long for the peer, like a handler with more output to send.
type lingerer struct {
	echo
	expired chan error
}

func (h *lingerer) Expired(_ int, err error) {
	h.expired <- err
	h.c.Close(time.Hour)
}

// TestMemoryRefused: a connection that exceeds its memory ends in one way, wherever that
// is detected: its handler is asked first. During a TLS handshake, when no error can be
// sent, it is cut off, so that its memory is free immediately. Bug: the handler was asked
// in one of three cases, and a ClientHello without a share in the queue kept its
// connection for two seconds.
func TestMemoryRefused(t *testing.T) {
	hello := clientHello(t)
	var in bytes.Buffer
	in.Write(hello)
	for _, tt := range []struct {
		desc  string
		tls   bool
		limit int
		send  []byte
		cut   bool
	}{
		{"input", false, 4 << 10, make([]byte, 4<<10), false},
		{"a ClientHello that is not whole", true, 4 << 10, append([]byte{22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb}, make([]byte, 4<<10)...), true},
		{"a ClientHello that would wait", true, in.Cap() * 5 / 2, hello, true}, // it may use a third of what is free
	} {
		handlers := make(chan *lingerer, 1)
		cfg := Config{Loops: 1, UnauthMemory: tt.limit, Accept: func(c *Conn, _ *Listener) Handler {
			h := &lingerer{expired: make(chan error, 1), echo: echo{c: c, closed: make(chan error, 1)}}
			h.data = func(*echo, []byte) int { c.Pause(); return 0 }
			handlers <- h
			return h
		}}
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var secure *tls.Config
		if tt.tls {
			secure = testTLS(t)
		}
		l, err := p.Listen("127.0.0.1:0", secure)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, l.Addr().String())
		_, _ = c.Write(tt.send)
		h := <-handlers
		if !tt.cut {
			eventually(t, tt.desc+": Expired", func() bool { return len(h.expired) > 0 })
			_ = c.Close()
		}
		if err := reason(t, &h.echo); tt.cut && !errors.Is(err, ErrMemory) {
			t.Errorf("%s: ended with %v, want ErrMemory", tt.desc, err)
		}
		select {
		case err := <-h.expired:
			if !errors.Is(err, ErrMemory) {
				t.Errorf("%s: %v, want ErrMemory", tt.desc, err)
			}
		default:
			t.Errorf("%s: the handler was not asked", tt.desc)
		}
		if n := p.Stats().Unauth; n != 0 {
			t.Errorf("%s: %d bytes are used after its end", tt.desc, n)
		}
		_ = p.Close()
	}
}

// TestFailedHandshakeMemory: after a handshake has failed and its alert is being sent, no
// memory is used or counted for it.
func TestFailedHandshakeMemory(t *testing.T) {
	for desc, flight := range map[string][]byte{
		"refused before crypto/tls": append([]byte{22, 3, 1, 0x3f, 0xff, 2}, make([]byte, 3000)...),
		"refused by crypto/tls":     compressed(clientHello(t)),
	} {
		s := serve(t, Config{Loops: 1, UnauthMemory: 1 << 20}, testTLS(t), nil)
		c := dial(t, s.addr) // does not close its side
		e := <-s.conns
		_, _ = c.Write(flight)
		eventually(t, desc+": the handshake has failed", func() bool {
			return onLoop(e.c, func() bool {
				layer := e.c.layer.(*stdTLS)
				layer.mu.Lock()
				defer layer.mu.Unlock()
				if layer.phase != tlsFailed {
					return false
				}
				if n := s.unauth.held(); !e.c.closed() && n != 0 || layer.in.Cap() != 0 || layer.conn != nil {
					t.Errorf("%s: %d bytes are counted, %d are used", desc, n, layer.in.Cap())
				}
				return true
			})
		})
	}
}
