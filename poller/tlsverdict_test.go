//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"roost/poller/leantls"
)

// onLoop runs f on the connection's loop.
func onLoop(c *Conn, f func() bool) bool {
	done := make(chan bool)
	c.Post(func(int) { done <- f() })
	return <-done
}

// TestLeanVerdicts: invalid input from a client gets the right alert under the current
// key. Then the connection ends, the secrets are erased, only authentic data was
// delivered, and neither the error nor the log contains a secret.
func TestLeanVerdicts(t *testing.T) {
	var log syncBuffer
	var got atomic.Int64
	s := serve(t, Config{Loops: 1, Logger: debugLogger(&log)}, testTLS(t), func(_ *echo, p []byte) int {
		got.Add(int64(len(p)))
		return len(p)
	})
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	for _, c := range []struct {
		desc  string
		bytes func(p *tlsPeer) []byte
		alert leantls.Alert
	}{
		{"not authentic", func(p *tlsPeer) []byte { return flip(p.data("x")) }, leantls.BadRecordMAC},
		{"not authentic in new keys", func(p *tlsPeer) []byte { return append(p.update(true), flip(p.data("x"))...) }, leantls.BadRecordMAC},
		{"old keys after KeyUpdate", func(p *tlsPeer) []byte {
			old := p.tx
			first := p.update(false)
			old.seq++
			p.tx = old
			return append(first, p.data("x")...)
		}, leantls.BadRecordMAC},
		{"too long", func(*tlsPeer) []byte { return []byte{23, 3, 3, 0x41, 1} }, leantls.RecordOverflow},
		{"too long inside", func(p *tlsPeer) []byte { return p.data(strings.Repeat("a", 1<<14+1)) }, leantls.RecordOverflow},
		{"in clear", func(*tlsPeer) []byte { return []byte{21, 3, 3, 0, 2, 1, 0} }, leantls.UnexpectedMessage},
		{"change_cipher_spec", func(*tlsPeer) []byte { return []byte{20, 3, 3, 0, 1, 1} }, leantls.UnexpectedMessage},
		{"version", func(*tlsPeer) []byte { return []byte{23, 3, 1} }, leantls.ProtocolVersion},
		{"padding alone", func(p *tlsPeer) []byte { return p.record("\x00\x00") }, leantls.UnexpectedMessage},
		{"unknown type", func(p *tlsPeer) []byte { return p.record("a\x18") }, leantls.UnexpectedMessage},
		{"Certificate", func(p *tlsPeer) []byte { return p.record("\x0b\x00\x00\x00\x16") }, leantls.UnexpectedMessage},
		{"bad KeyUpdate", func(p *tlsPeer) []byte { return p.record("\x18\x00\x00\x01\x02\x16") }, leantls.IllegalParameter},
		{"long KeyUpdate", func(p *tlsPeer) []byte { return p.record("\x18\x00\x00\x02\x02\x02\x16") }, leantls.DecodeError},
		{"alert in a KeyUpdate", func(p *tlsPeer) []byte { return append(p.record("\x18\x16"), p.record("\x01\x00\x15")...) }, leantls.UnexpectedMessage},
		{"KeyUpdate flood", func(p *tlsPeer) (all []byte) {
			for range 65 {
				all = append(all, append(p.update(true), p.data("x")...)...)
			}
			return all
		}, leantls.UnexpectedMessage},
	} {
		p := newTLSPeer(t, dial(t, s.addr), nil)
		secrets := [][]byte{p.tx.secret, p.rx.secret}
		p.send(p.data("fine"))
		e := <-s.conns
		eventually(t, "data", func() bool { return got.Swap(0) > 0 })
		lean := leanOf(t, e)
		p.send(c.bytes(p))
		if alert := p.end(); alert != int(c.alert) {
			t.Errorf("%s: alert %d, want %d", c.desc, alert, c.alert)
		}
		err := reason(t, e)
		var wrong *leantls.Error
		if !errors.As(err, &wrong) || wrong.Alert != c.alert {
			t.Errorf("%s: %v", c.desc, err)
		}
		if n := got.Swap(0); n > 0 && c.desc != "KeyUpdate flood" {
			t.Errorf("%s: %d bytes were delivered", c.desc, n)
		}
		for _, secret := range append(secrets, p.tx.secret, p.rx.secret) {
			if holds(lean, secret) || lean.awake.Load() != nil {
				t.Errorf("%s: a secret was not erased", c.desc)
			}
		}
		if err := e.c.Queue([]byte("x")); err != ErrClosed {
			t.Errorf("%s: Queue after the end: %v", c.desc, err)
		}
		for _, secret := range secrets {
			if out := log.String() + err.Error(); strings.Contains(out, string(secret)) || strings.Contains(out, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s: the log or the error contains a secret", c.desc)
			}
		}
	}
}

// holds reports whether the session's memory has the secret.
func holds(lean *leanTLS, secret []byte) bool {
	state := unsafe.Slice((*byte)(unsafe.Pointer(&lean.st)), unsafe.Sizeof(lean.st))
	return bytes.Contains(state, secret)
}

// TestLeanAfterClose: input after a close_notify, before the connection has ended, is
// ignored.
func TestLeanAfterClose(t *testing.T) {
	var got atomic.Int64
	s := serve(t, Config{Loops: 1}, testTLS(t), func(_ *echo, p []byte) int {
		got.Add(int64(len(p)))
		return len(p)
	})
	p := newTLSPeer(t, dial(t, s.addr), nil)
	e := <-s.conns
	eventually(t, "secured", e.secured.Load)
	lean := leanOf(t, e)
	secret := bytes.Clone(p.tx.secret)
	if !holds(lean, secret) || !holds(lean, p.rx.secret) {
		t.Error("the session does not have its secrets, or the test cannot find them")
	}
	records := [][]byte{p.record("\x01\x00\x15"), p.data("late"), []byte("no record")}
	var errs []error
	onLoop(e.c, func() bool {
		for _, r := range records {
			e.c.resume() // as a handler that has finished its work may do
			errs = append(errs, lean.open(r, (*handlerEnd)(e.c)))
		}
		return true
	})
	if err := errors.Join(errs...); err != nil {
		t.Errorf("after a close_notify: %v", err)
	}
	if err := reason(t, e); err != io.EOF || got.Load() != 0 {
		t.Errorf("ended with %v, %d bytes delivered", err, got.Load())
	}
	if holds(lean, secret) || holds(lean, p.rx.secret) {
		t.Error("a secret was not erased")
	}
}

// TestLeanEnds: close_notify and the end of TCP are distinguished; input after
// close_notify is ignored; a fatal alert ends the session without a response.
func TestLeanEnds(t *testing.T) {
	var got atomic.Int64
	s := serve(t, Config{Loops: 1}, testTLS(t), func(_ *echo, p []byte) int {
		got.Add(int64(len(p)))
		return len(p)
	})
	for _, c := range []struct {
		desc  string
		bytes func(p *tlsPeer) []byte
		want  error
		alert int
	}{
		{"truncated", func(*tlsPeer) []byte { return nil }, ErrTruncated, 0},
		{"truncated in a record", func(p *tlsPeer) []byte { return p.data("lost")[:10] }, ErrTruncated, 0},
		{"close_notify", func(p *tlsPeer) []byte { return p.record("\x01\x00\x15") }, io.EOF, 0},
		{"close_notify and more", func(p *tlsPeer) []byte {
			return append(p.record("\x01\x00\x15"), append(p.data("ignored"), "no record"...)...)
		}, io.EOF, 0},
		{"fatal alert", func(p *tlsPeer) []byte { return p.record("\x02\x28\x15") }, leantls.PeerError(40), -1},
	} {
		raw := dial(t, s.addr)
		p := newTLSPeer(t, raw, nil)
		e := <-s.conns
		eventually(t, "secured", e.secured.Load)
		lean := leanOf(t, e)
		p.send(c.bytes(p))
		_ = raw.CloseWrite()
		if alert := p.end(); alert != c.alert {
			t.Errorf("%s: alert %d, want %d", c.desc, alert, c.alert)
		}
		if err := reason(t, e); err != c.want {
			t.Errorf("%s: %v, want %v", c.desc, err, c.want)
		}
		if holds(lean, p.tx.secret) || holds(lean, p.rx.secret) {
			t.Errorf("%s: a secret was not erased", c.desc)
		}
		if n := got.Swap(0); n != 0 {
			t.Errorf("%s: %d bytes were delivered", c.desc, n)
		}
	}
	// Closing sends close_notify before the end of TCP.
	p := newTLSPeer(t, dial(t, s.addr), nil)
	e := <-s.conns
	eventually(t, "secured", e.secured.Load)
	_ = e.c.Queue([]byte("bye"))
	e.c.Close(time.Second)
	p.expect("bye")
	if alert := p.end(); alert != 0 {
		t.Errorf("our end: alert %d, want close_notify", alert)
	}
	_ = p.conn.Close()
	if err := reason(t, e); err != nil {
		t.Errorf("our end: %v", err)
	}
}

// TestLeanKeyUpdates: a client may update its keys and request updates of ours as often
// as is reasonable. One response is sent before the next data, and none is queued for a
// client that does not read.
func TestLeanKeyUpdates(t *testing.T) {
	var got atomic.Int64
	s := serve(t, Config{Loops: 1}, testTLS(t), func(_ *echo, p []byte) int {
		got.Add(int64(len(p)))
		return len(p)
	})
	p := newTLSPeer(t, dial(t, s.addr), nil)
	for range 50 {
		p.send(p.update(true), p.data("x"))
	}
	eventually(t, "all data", func() bool { return got.Load() == 50 })
	e := <-s.conns
	if n := e.c.Queued(); n != 0 {
		t.Errorf("%d bytes are queued for a client that requests updates and does not read", n)
	}
	writes := s.Stats().Writes
	for i, want := range []int{1, 0, 0} {
		if err := e.c.Queue([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		e.c.Flush()
		if n := p.expect("hello"); n != want {
			t.Errorf("write %d: %d other records, want %d", i, n, want)
		}
	}
	if n := s.Stats().Writes - writes; n != 3 {
		t.Errorf("%d system calls for three writes", n)
	}
}

// TestPausedWhenSecured: a handler that pauses as soon as TLS is established gets no
// input until it resumes, however much has arrived after the handshake.
func TestPausedWhenSecured(t *testing.T) {
	for _, std := range []bool{false, true} {
		var got atomic.Int64
		e := &pausing{echo: echo{closed: make(chan error, 1), data: func(_ *echo, p []byte) int {
			got.Add(int64(len(p)))
			return len(p)
		}}}
		p, err := New(Config{Loops: 1, StdTLS: std, Accept: func(c *Conn, _ *Listener) Handler { e.c = c; return e }})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		l, err := p.Listen("127.0.0.1:0", testTLS(t))
		if err != nil {
			t.Fatal(err)
		}
		// The end of the handshake arrives together with more input than is kept of it.
		raw := dial(t, l.Addr().String())
		var held []byte
		peer := tls.Client(writer{raw, func(p []byte) (int, error) {
			if p[0] == 22 {
				return raw.Write(p)
			}
			held = append(held, p...)
			return len(p), nil
		}}, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
		const much = 1 << 18
		if _, err := peer.Write(make([]byte, much)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = raw.Write(held) }()
		eventually(t, "secured", e.secured.Load)
		for range 5 { // resumed by a posted function
			onLoop(e.c, func() bool { return true })
		}
		if n := got.Load(); n != 0 {
			t.Errorf("std %v: a paused handler got %d bytes", std, n)
		}
		e.c.Resume()
		eventually(t, "all has come", func() bool { return got.Load() == much })
	}
}

type pausing struct{ echo }

func (p *pausing) Secured(loop int, st *tls.ConnectionState, leaf *x509.Certificate) {
	p.c.Pause()
	p.echo.Secured(loop, st, leaf)
}

// TestTruncatedWhileFull: the end of TCP without a close_notify is not a proper end, even
// while the peer still reads queued output.
func TestTruncatedWhileFull(t *testing.T) {
	for _, std := range []bool{false, true} {
		for _, proper := range []bool{false, true} {
			s := serve(t, Config{Loops: 1, Outbox: 1 << 20, StdTLS: std}, testTLS(t), nil)
			raw := dial(t, s.addr)
			p := newTLSPeer(t, raw, nil)
			e := <-s.conns
			eventually(t, "secured", e.secured.Load)
			small(t, e, raw)
			text := strings.Repeat("0123456789abcdef", 1<<15)
			if err := e.c.Queue([]byte(text)); err != nil {
				t.Fatal(err)
			}
			e.c.Flush()
			if e.c.Queued() == 0 {
				t.Fatal("the socket accepted everything")
			}
			want := ErrTruncated
			if proper {
				want = io.EOF
				p.send(p.record("\x01\x00\x15"))
			}
			_ = raw.CloseWrite()
			s.quickly(t)
			p.expect(text)
			if alert := p.end(); alert != 0 {
				t.Errorf("std %v, proper %v: alert %d, want close_notify", std, proper, alert)
			}
			if err := reason(t, e); err != want {
				t.Errorf("std %v, proper %v: %v, want %v", std, proper, err, want)
			}
		}
	}
}
