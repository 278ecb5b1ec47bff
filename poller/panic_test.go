//go:build linux

package poller

import (
	"crypto/tls"
	"errors"
	"testing"

	"roost/internal/panics"
)

// badRecord is a record layer that panics.
type badRecord struct{ recordLayer }

func (badRecord) seal(message) error { panic("in the record layer") }

// TestPanicInQueue: code that recovers from panics of a handler can recognize panics
// inside a connection, which must end the process.
func TestPanicInQueue(t *testing.T) {
	c := &Conn{loop: &loop{p: &Poller{}}, layer: badRecord{}}
	cfg := Config{}.WithDefaults()
	c.loop.p.settings.Store(&cfg)
	defer func() {
		if v, fatal := recover().(*panics.Fatal); !fatal {
			t.Errorf("the panic was %v", v)
		}
	}()
	_ = c.Queue([]byte("x"))
	t.Error("no panic")
}

// TestPanicInHandshake: a panic in one peer's handshake ends that connection and is
// counted; others continue.
func TestPanicInHandshake(t *testing.T) {
	cfg := testTLS(t)
	cert := cfg.Certificates[0]
	cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "panic.example" {
			panic("in a handshake")
		}
		return &cert, nil
	}
	cfg.Certificates = nil
	s := serve(t, Config{Loops: 1}, cfg, nil)
	for n := range int64(3) {
		bad := tls.Client(dial(t, s.addr), &tls.Config{InsecureSkipVerify: true, ServerName: "panic.example"})
		if err := bad.Handshake(); err == nil {
			t.Error("the handshake that panicked succeeded")
		}
		if err := reason(t, <-s.conns); !errors.Is(err, ErrHandshake) {
			t.Errorf("%v, want ErrHandshake", err)
		}
		if got := s.Stats().Panics; got != n+1 {
			t.Errorf("%d panics are counted, want %d", got, n+1)
		}
	}
	good := tls.Client(dial(t, s.addr), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	if err := good.Handshake(); err != nil {
		t.Error(err)
	}
}
