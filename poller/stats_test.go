//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// TestStatsBytes: bytes of the socket are counted, on each loop.
func TestStatsBytes(t *testing.T) {
	s := serve(t, Config{Loops: 2}, nil, nil)
	for range 4 {
		c := dial(t, s.addr)
		_, _ = c.Write([]byte("hello"))
		expect(t, c, "hello")
	}
	// A client may have read what was written before that is counted.
	eventually(t, "all bytes are counted", func() bool {
		st := s.Stats()
		return st.BytesIn == 20 && st.BytesOut == 20 && st.Writes == 4 && st.Reads >= 4
	})
}

// TestStatsOutbox: what full sockets have not accepted is counted, until they have or the
// connection ends, whatever layer it comes through.
func TestStatsOutbox(t *testing.T) {
	for _, c := range []struct {
		desc string
		cfg  Config
		tls  *tls.Config
	}{{"plain", Config{}, nil}, {"lean", Config{}, testTLS(t)}, {"std", Config{StdTLS: true}, testTLS(t)}} {
		c.cfg.Loops = 1
		s := serve(t, c.cfg, c.tls, nil)
		slow := func() (io.Reader, *echo) {
			var r io.ReadWriter = dial(t, s.addr)
			if c.tls != nil {
				r = tls.Client(r.(net.Conn), &tls.Config{InsecureSkipVerify: true})
			}
			if _, err := r.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			expect(t, r, "x")
			return r, <-s.conns
		}
		fill := func(e *echo) (n int) {
			chunk := bytes.Repeat([]byte("slow reader "), 100)
			for e.c.Queue(chunk) == nil {
				n += len(chunk)
				e.c.Flush()
			}
			return n
		}
		want := func(all ...*echo) {
			t.Helper()
			// The socket may still accept some bytes in between.
			eventually(t, c.desc+": what is queued is counted", func() bool {
				n := 0
				for _, e := range all {
					n += e.c.Queued()
				}
				return s.Stats().OutboxBytes == int64(n) && (n > 0 || len(all) == 0)
			})
		}
		want()
		r, a := slow()
		n := fill(a)
		want(a)
		_, b := slow()
		fill(b)
		want(a, b)
		b.c.Close(0)
		_ = reason(t, b)
		want(a)
		if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the socket has accepted all", func() bool { return a.c.Queued() == 0 })
		want()
	}
}

// TestStatsBatches: the time that a loop takes for its events is counted.
func TestStatsBatches(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	began, release := make(chan time.Time), make(chan struct{})
	var took time.Duration
	done := make(chan struct{})
	s.loops[0].post(nil, func(int) {
		start := time.Now()
		began <- start
		<-release
		took = time.Since(start)
		close(done)
	})
	<-began
	before := s.Stats().Batches
	close(release)
	<-done
	eventually(t, "the batch has ended", func() bool { return s.Stats().Batches.Count() > before.Count() })
	if d := s.Stats().Batches.Since(before); d.Sum < int64(took) {
		t.Errorf("%v are counted, want at least %v", time.Duration(d.Sum), took)
	}
}

// TestStatsTLS: handshakes that succeed are counted by version and by whether they resume
// a session.
func TestStatsTLS(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	std := serve(t, Config{Loops: 1, StdTLS: true}, testTLS(t), nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := handshakeClient(true)
		cfg.MinVersion, cfg.MaxVersion = version, version
		for _, addr := range []string{s.addr, s.addr, s.addr, std.addr} {
			if addr == std.addr {
				cfg = handshakeClient(false)
				cfg.MinVersion, cfg.MaxVersion = version, version
			}
			if err := echoOnce(addr, cfg); err != nil {
				t.Fatal(err)
			}
		}
	}
	if st := s.Stats(); st.TLS12 != 1 || st.TLS12Resumed != 2 || st.TLS13 != 1 || st.TLS13Resumed != 2 || st.LeanTLS != 3 || st.LeanOff != 0 {
		t.Errorf("%+v", st)
	}
	if st := std.Stats(); st.TLS12 != 1 || st.TLS13 != 1 || st.LeanTLS != 0 || st.LeanOff != 2 {
		t.Errorf("%+v", st)
	}
	for _, st := range []Stats{s.Stats(), std.Stats()} {
		if st.TLSFailed != [HandshakeFailures]int64{} {
			t.Errorf("failed: %v", st.TLSFailed)
		}
	}
}

// TestStatsTLSFailed: each handshake that fails is counted once, with the reason.
func TestStatsTLSFailed(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	half := clientHello(t)[:50]
	shake := func(cfg *tls.Config) func(io.ReadWriteCloser) {
		return func(c io.ReadWriteCloser) {
			if err := tls.Client(c.(net.Conn), cfg).Handshake(); err == nil {
				t.Error("the handshake has succeeded")
			}
		}
	}
	send := func(text string) func(io.ReadWriteCloser) {
		return func(c io.ReadWriteCloser) { _, _ = io.WriteString(c, text) }
	}
	refused := func(text string) func(io.ReadWriteCloser) {
		return func(c io.ReadWriteCloser) {
			_, _ = io.WriteString(c, text)
			_, _ = io.Copy(io.Discard, c) // the server ends it; a client that closes first is another reason
		}
	}
	want := Stats{}.TLSFailed
	for _, f := range []struct {
		reason HandshakeFailure
		client func(io.ReadWriteCloser)
		server func(*echo)
	}{
		{FailedNotTLS, refused("GET / HTTP/1.1\r\n\r\n"), nil},
		{FailedVersion, shake(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), nil},
		{FailedVersion, refused("\x80\x2e\x01\x00\x02"), nil}, // SSL 2.0
		{FailedParameters, shake(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}), nil},
		{FailedAlert, shake(&tls.Config{ServerName: "localhost"}), nil},
		{FailedClosed, func(c io.ReadWriteCloser) { _, _ = c.Write(half); _ = c.Close() }, nil},
		{FailedProtocol, refused("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"), nil},
		{FailedTimeout, send(string(half)), func(e *echo) { e.c.SetDeadline(time.Second); s.later(3 * time.Second) }},
		{FailedStopped, send(string(half)), func(e *echo) { e.c.Close(0) }},
		{FailedStopped, send(string(half)), func(e *echo) { e.c.Close(time.Second); s.later(3 * time.Second) }},
	} {
		c := dial(t, s.addr)
		f.client(c)
		e := <-s.conns
		if f.server != nil {
			f.server(e)
		}
		_ = c.Close()
		_ = reason(t, e)
		want[f.reason]++
		if got := s.Stats().TLSFailed; got != want {
			t.Fatalf("%v: failed %v, want %v", f.reason, got, want)
		}
	}
	if st := s.Stats(); st.TLS12+st.TLS13 != 0 {
		t.Errorf("%+v", st)
	}
}
