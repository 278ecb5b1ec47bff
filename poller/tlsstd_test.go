//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"
)

// TestStdTLSAnswersAreBounded: crypto/tls responds to every KeyUpdate immediately; a
// client that requests updates continuously and does not read is disconnected.
func TestStdTLSAnswersAreBounded(t *testing.T) {
	s := serve(t, Config{Loops: 1, StdTLS: true, Outbox: 1024}, testTLS(t), func(_ *echo, p []byte) int { return len(p) })
	raw := dial(t, s.addr)
	p := newTLSPeer(t, raw, nil)
	e := <-s.conns
	_ = raw.SetReadBuffer(1024)
	for {
		batch := make([][]byte, 0, 200)
		for range cap(batch) / 2 {
			batch = append(batch, p.update(true), p.data("x"))
		}
		if _, err := raw.Write(bytes.Join(batch, nil)); err != nil {
			break // closed
		}
		if q := e.c.Queued(); q > 2*largeWriteFactor*1024 {
			t.Fatalf("%d bytes are queued", q)
		}
	}
	if err := reason(t, e); err == nil || err == io.EOF {
		t.Errorf("ended with %v", err)
	}
}

// TestStdTLSAnswers: output of crypto/tls itself is sent without any other write, and
// closing sends a close_notify with crypto/tls, too.
func TestStdTLSAnswers(t *testing.T) {
	s := serve(t, Config{Loops: 1, StdTLS: true}, testTLS(t), nil)
	p := newTLSPeer(t, dial(t, s.addr), nil)
	e := <-s.conns
	p.send(p.update(true))
	if typ, content, err := p.read(); typ != recHandshake || content != "\x18\x00\x00\x01\x00" || err != nil {
		t.Errorf("the response to a KeyUpdate is type %d, %x: %v", typ, content, err)
	}
	p.send(p.data("new keys"))
	p.expect("new keys")
	e.c.Close(time.Second)
	if alert := p.end(); alert != 0 {
		t.Errorf("our end: alert %d, want close_notify", alert)
	}
}

// TestStdTLSDies: if crypto/tls has sealed output that does not fit, the connection ends:
// omitting a record would corrupt the stream.
func TestStdTLSDies(t *testing.T) {
	s := serve(t, Config{Loops: 1, StdTLS: true, Outbox: 1024}, testTLS(t), nil)
	p := newTLSPeer(t, dial(t, s.addr), nil)
	e := <-s.conns
	eventually(t, "secured", e.secured.Load)
	e.c.mu.Lock()
	err := e.c.layer.seal(message{body: make([]byte, 3*largeWriteFactor*1024)})
	next := e.c.layer.seal(message{body: []byte("after what was lost")})
	e.c.mu.Unlock()
	if next == nil {
		t.Error("a record was sealed after one was omitted")
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if err := reason(t, e); err != ErrFull {
		t.Errorf("ended with %v, want ErrFull", err)
	}
	_ = p.conn.Close()
}

// TestReadAfterLoss: a goroutine that loses sealed bytes, while the loop is about to read,
// does not make the loop wait for input.
func TestReadAfterLoss(t *testing.T) {
	s := serve(t, Config{Loops: 1, StdTLS: true}, testTLS(t), nil)
	p := newTLSPeer(t, dial(t, s.addr), nil)
	e := <-s.conns
	eventually(t, "secured", e.secured.Load)
	onLoop(e.c, func() bool {
		in := e.c.layer.(*stdTLS)
		in.mu.Lock()
		in.phase = tlsFailed
		in.mu.Unlock()
		if n, err := in.conn.Read(make([]byte, 100)); n != 0 || !errors.Is(err, errNoData) {
			t.Errorf("read %d bytes, %v", n, err)
		}
		return true
	})
	_ = p.conn.Close()
}

// TestEndInHandshake: a client that completes the handshake before the server and has
// already sent data and its end is served, and its end is reported correctly.
func TestEndInHandshake(t *testing.T) {
	for _, std := range []bool{false, true} {
		for _, proper := range []bool{false, true} {
			begun, goOn := make(chan struct{}), make(chan struct{})
			cfg := testTLS(t)
			cfg.VerifyConnection = func(tls.ConnectionState) error {
				close(begun)
				<-goOn
				return nil
			}
			s := serve(t, Config{Loops: 1, StdTLS: std}, cfg, nil)
			raw := dial(t, s.addr)
			c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			want := ErrTruncated
			if proper {
				want = io.EOF
				_ = c.CloseWrite()
			}
			_ = raw.CloseWrite()
			<-begun
			e := <-s.conns
			eventually(t, "the end is seen", func() bool {
				return onLoop(e.c, func() bool {
					in := e.c.layer.(*stdTLS)
					in.mu.Lock()
					defer in.mu.Unlock()
					return in.atEOF
				})
			})
			close(goOn)
			expect(t, c, "hello")
			if err := reason(t, e); err != want {
				t.Errorf("std %v: %v, want %v", std, err, want)
			}
		}
	}
}
