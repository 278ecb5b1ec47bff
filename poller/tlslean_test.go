//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"roost/poller/leantls"
)

// TestLeanSize holds the budget of an idle TLS session: what it has besides what
// a plain one has.
func TestLeanSize(t *testing.T) {
	if n := unsafe.Sizeof(leanTLS{}); n > 160 {
		t.Errorf("a leanTLS takes %d bytes, the budget is 160", n)
	}
}

// leanOf is the connection's lean session; the test fails if it has none.
func leanOf(t testing.TB, e *echo) *leanTLS {
	t.Helper()
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	lean, ok := e.c.rec.(*leanTLS)
	if !ok {
		t.Fatalf("the record layer is %T", e.c.rec)
	}
	return lean
}

// TestLeanGoClients: Go's client with and without tickets, with all groups for
// the key exchange, HelloRetryRequest, client certificates, over direct TLS and
// STARTTLS; a second connection resumes the first one's session where there are
// tickets.
func TestLeanGoClients(t *testing.T) {
	base := testTLS(t)
	for _, group := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521} {
		for _, tickets := range []bool{true, false} {
			for _, retry := range []bool{false, true} {
				for _, auth := range []tls.ClientAuthType{tls.NoClientCert, tls.RequireAnyClientCert} {
					for _, start := range []bool{false, true} {
						name := fmt.Sprint(group, " tickets=", tickets, " retry=", retry, " auth=", auth, " starttls=", start)
						t.Run(name, func(t *testing.T) {
							server := base.Clone()
							server.CurvePreferences, server.ClientAuth = []tls.CurveID{group}, auth
							client := &tls.Config{
								InsecureSkipVerify: true, ServerName: "localhost",
								Certificates: base.Certificates, CurvePreferences: []tls.CurveID{group},
							}
							if tickets {
								client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
							}
							if retry {
								// The client's share is for a group that the server refuses.
								other := tls.X25519
								if group == other {
									other = tls.CurveP256
								}
								client.CurvePreferences = []tls.CurveID{other, group}
							}
							leanClient(t, server, client, start)
						})
					}
				}
			}
		}
	}
}

// leanClient connects twice and talks.
func leanClient(t *testing.T, server, client *tls.Config, start bool) {
	direct := server
	var data func(*echo, []byte) int
	if start {
		direct, data = nil, func(e *echo, p []byte) int {
			switch {
			case !e.c.Secure():
				_ = e.c.Queue([]byte("proceed"))
				if err := e.c.StartTLS(server); err != nil {
					t.Error(err)
				}
			case e.c.Queue(p) == nil:
				e.c.Flush()
			}
			return len(p)
		}
	}
	s := serve(t, Config{Loops: 1}, direct, data)
	for i := range 2 {
		raw := dial(t, s.addr)
		if start {
			_, _ = raw.Write([]byte("starttls"))
			expect(t, raw, "proceed")
		}
		c := tls.Client(raw, client)
		for _, n := range []int{1, 150, 1 << 14, 1<<14 + 1, 100000} {
			text := strings.Repeat("0123456789", n/10+1)[:n]
			go func() { _, _ = c.Write([]byte(text)) }()
			expect(t, c, text)
		}
		if got, want := c.ConnectionState().DidResume, i > 0 && client.ClientSessionCache != nil; got != want {
			t.Errorf("connection %d resumed: %v", i, got)
		}
		e := <-s.conns
		_ = leanOf(t, e)
		if !e.secured.Load() {
			t.Error("Secured was not called")
		}
		_ = c.CloseWrite()
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("our close_notify is not answered: %d, %v", n, err)
		}
		if err := reason(t, e); err != io.EOF {
			t.Errorf("%v, want EOF", err)
		}
	}
	if got := s.Stats().LeanTLS; got != 2 {
		t.Errorf("%d lean sessions, want 2", got)
	}
}

// TestLeanExporter: what Secured is given still answers for the channel, for
// both kinds of binding.
func TestLeanExporter(t *testing.T) {
	keys := make(chan []byte, 1)
	cfg := Config{Loops: 1, Accept: func(c *Conn, _ *Listener) Handler {
		return &exporting{echo: echo{c: c, closed: make(chan error, 1)}, keys: keys}
	}}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l, err := p.Listen("127.0.0.1:0", testTLS(t))
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(dial(t, l.Addr().String()), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	st := c.ConnectionState()
	want, err := st.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if got := <-keys; err != nil || !bytes.Equal(got, want) {
		t.Errorf("the server's exporter says %x, the client's %x: %v", got, want, err)
	}
	if p.Stats().LeanTLS != 1 {
		t.Error("the session is not lean")
	}
}

type exporting struct {
	echo
	keys chan []byte
}

func (e *exporting) Secured(_ int, st *tls.ConnectionState) {
	key, err := st.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil || st.ServerName != "localhost" {
		key = []byte(fmt.Sprint(err, st.ServerName))
	}
	e.keys <- key
}

// TestLeanRefused: whatever is not TLS 1.3 with a known suite and a crypto/tls
// that behaves as expected stays with crypto/tls and works, and is counted.
func TestLeanRefused(t *testing.T) {
	works := func(s *testServer, client *tls.Config) {
		t.Helper()
		client.InsecureSkipVerify = true
		c := tls.Client(dial(t, s.addr), client)
		_, _ = c.Write([]byte("hello"))
		expect(t, c, "hello")
		e := <-s.conns
		if _, ok := e.c.rec.(*stdTLS); !ok {
			t.Errorf("the record layer is %T", e.c.rec)
		}
	}
	count := func(s *testServer, why leantls.Refusal) {
		t.Helper()
		want := Stats{}
		want.LeanRefused[why] = 1
		if got := s.Stats(); got.LeanTLS != 0 || got.LeanRefused != want.LeanRefused {
			t.Errorf("lean %d, refused %v; want one for %v", got.LeanTLS, got.LeanRefused, why)
		}
	}
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	works(s, &tls.Config{MaxVersion: tls.VersionTLS12})
	count(s, leantls.RefusedVersion)

	s = serve(t, Config{Loops: 1, StdTLS: true}, testTLS(t), nil)
	works(s, &tls.Config{})
	if got := s.Stats(); got.LeanTLS != 0 || got.LeanRefused != (Stats{}).LeanRefused {
		t.Errorf("turned off: lean %d, refused %v", got.LeanTLS, got.LeanRefused)
	}

	defer func(f func() error) { selfTest = f }(selfTest)
	selfTest = func() error { return errors.New("another crypto/tls") }
	var log syncBuffer
	s = serve(t, Config{Loops: 1, Logger: debugLogger(&log)}, testTLS(t), nil)
	works(s, &tls.Config{})
	count(s, leantls.RefusedSelfTest)
	if !strings.Contains(log.String(), "another crypto/tls") {
		t.Error("a failed self-test is not logged")
	}
	selfTest = func() error { return nil }

	// An output that is too long to keep.
	big := testTLS(t)
	chain := &big.Certificates[0].Certificate
	for leaf := (*chain)[0]; len(*chain)*len(leaf) < maxWritten; {
		*chain = append(*chain, leaf)
	}
	s = serve(t, Config{Loops: 1}, big, nil)
	works(s, &tls.Config{})
	count(s, leantls.RefusedWrites)

	// A ClientHello that was not seen by the one who catches secrets.
	s = serve(t, Config{Loops: 1}, testTLS(t), nil)
	s.lean.mu.Lock()
	s.lean.all = map[*tls.Config]*tls.Config{s.listeners[0].tls: s.listeners[0].tls}
	s.lean.mu.Unlock()
	works(s, &tls.Config{})
	count(s, leantls.RefusedSecrets)

	// A handshake that has ended in the middle of a record.
	conn := &Conn{loop: s.loops[0]}
	half := &stdTLS{c: conn, server: true, secrets: new(leantls.Secrets), written: remainders.Get()}
	half.bound.Next([]byte{23, 3, 3, 0, 5})
	if err := half.start(&leanTLS{c: conn}, &tls.ConnectionState{Version: tls.VersionTLS13}); err != leantls.RefusedReads {
		t.Errorf("%v, want RefusedReads", err)
	}
}

// TestLeanFIPS runs itself again in FIPS 140-3 mode, where crypto/tls keeps its
// sessions.
func TestLeanFIPS(t *testing.T) {
	if os.Getenv("ROOST_TEST_FIPS") != "" {
		s := serve(t, Config{Loops: 1}, testTLS(t), nil)
		c := tls.Client(dial(t, s.addr), &tls.Config{InsecureSkipVerify: true})
		_, _ = c.Write([]byte("hello"))
		expect(t, c, "hello")
		if got := s.Stats(); got.LeanTLS != 0 || got.LeanRefused[leantls.RefusedFIPS] != 1 {
			t.Errorf("lean %d, refused %v", got.LeanTLS, got.LeanRefused)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLeanFIPS$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=on", "ROOST_TEST_FIPS=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestLeanFIPS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestLeanRandomSplits: records cut and joined at random, with key changes among
// them and a handler that pauses, arrive whole and in order.
func TestLeanRandomSplits(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for round := range 30 {
		var mu sync.Mutex
		var got bytes.Buffer
		pauses := rng.IntN(3)
		s := serve(t, Config{Loops: 1, ReadBuffer: 1 + rng.IntN(40000)}, testTLS(t), func(e *echo, p []byte) int {
			mu.Lock()
			defer mu.Unlock()
			n := len(p)
			if pauses > 0 && got.Len()%7 < pauses {
				n = n/2 + n%2
				e.c.Pause()
				e.c.Resume()
			}
			got.Write(p[:n])
			return n
		})
		p := newTLSPeer(t, dial(t, s.addr), nil)
		var want, wire bytes.Buffer
		for range 40 {
			if rng.IntN(6) == 0 {
				wire.Write(p.update(rng.IntN(2) == 0))
			}
			text := strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN([]int{3, 200, 1 << 14}[rng.IntN(3)]))
			want.WriteString(text)
			wire.Write(p.record(text + "\x17" + strings.Repeat("\x00", rng.IntN(1+min(50, 1<<14-len(text))))))
		}
		for wire.Len() > 0 {
			p.send(wire.Next(1 + rng.IntN([]int{4, 300, 50000}[rng.IntN(3)])))
		}
		eventually(t, "all bytes", func() bool { mu.Lock(); defer mu.Unlock(); return got.Len() == want.Len() })
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Fatalf("round %d: other bytes came", round)
		}
		e := <-s.conns
		idle := func() bool { return leanOf(t, e).in == nil && e.c.stall == 0 }
		if !onLoop(e.c, idle) {
			t.Error("an idle session has a buffer or a deadline")
		}
	}
}

// onLoop runs f on the connection's loop.
func onLoop(c *Conn, f func() bool) bool {
	done := make(chan bool)
	c.Post(func(int) { done <- f() })
	return <-done
}

// TestLeanVerdicts: what a client must not send is answered with the right
// alert, under the current key; then the connection ends, the secrets are gone,
// nothing was delivered that is not authentic, and neither the error nor the
// log names a secret.
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
				t.Errorf("%s: a secret is left", c.desc)
			}
		}
		if err := e.c.Queue([]byte("x")); err != ErrClosed {
			t.Errorf("%s: Queue after the end: %v", c.desc, err)
		}
		for _, secret := range secrets {
			if out := log.String() + err.Error(); strings.Contains(out, string(secret)) || strings.Contains(out, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s: the log or the error has a secret", c.desc)
			}
		}
	}
}

// holds reports whether the session's memory has the secret.
func holds(lean *leanTLS, secret []byte) bool {
	state := unsafe.Slice((*byte)(unsafe.Pointer(&lean.st)), unsafe.Sizeof(lean.st))
	return bytes.Contains(state, secret)
}

// TestLeanAfterClose: what is read behind a close_notify, before the connection
// has ended, is ignored.
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
			e.c.resume() // as a handler may whose work is done now
			errs = append(errs, lean.open(r))
		}
		return true
	})
	if err := errors.Join(errs...); err != nil {
		t.Errorf("behind a close_notify: %v", err)
	}
	if err := reason(t, e); err != io.EOF || got.Load() != 0 {
		t.Errorf("ended with %v, %d bytes delivered", err, got.Load())
	}
	if holds(lean, secret) || holds(lean, p.rx.secret) {
		t.Error("a secret is left")
	}
}

// TestLeanEnds: close_notify and the end of TCP are told apart; what comes after
// close_notify is ignored; a fatal alert ends the session without an answer.
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
		p.send(c.bytes(p))
		_ = raw.CloseWrite()
		if alert := p.end(); alert != c.alert {
			t.Errorf("%s: alert %d, want %d", c.desc, alert, c.alert)
		}
		if err := reason(t, <-s.conns); err != c.want {
			t.Errorf("%s: %v, want %v", c.desc, err, c.want)
		}
		if n := got.Swap(0); n != 0 {
			t.Errorf("%s: %d bytes were delivered", c.desc, n)
		}
	}
	// Our own end: close_notify comes before the end of TCP.
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

// TestLeanKeyUpdates: a client may change its keys and ask for ours as often as
// is reasonable; one answer comes, before the next data, and none is queued for
// a client that does not read.
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
		t.Errorf("%d bytes are queued for a client that asks and does not read", n)
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

// TestStdTLSAnswersAreBounded: crypto/tls answers every KeyUpdate at once; a
// client that asks for ever and does not read is closed.
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
		if q := e.c.Queued(); q > 2*hardFactor*1024 {
			t.Fatalf("%d bytes are queued", q)
		}
	}
	if err := reason(t, e); err == nil || err == io.EOF {
		t.Errorf("ended with %v", err)
	}
}

// TestStalledRecord: a record that has begun must go on, in both layers; one
// that is whole is not waited for.
func TestStalledRecord(t *testing.T) {
	for _, std := range []bool{false, true} {
		s := serve(t, Config{Loops: 1, RecordTimeout: time.Second, StdTLS: std}, testTLS(t), nil)
		idle := newTLSPeer(t, dial(t, s.addr), nil)
		idle.send(idle.data("whole"))
		idle.expect("whole")
		first := <-s.conns
		for _, n := range []int{1, 5, 20} {
			p := newTLSPeer(t, dial(t, s.addr), nil)
			p.send(p.data("whole"), p.data("in part")[:n])
			p.expect("whole")
			if err := reason(t, <-s.conns); err != ErrStalled {
				t.Errorf("std %v: %d bytes of a record: %v, want ErrStalled", std, n, err)
			}
		}
		idle.send(idle.data("still here"))
		idle.expect("still here")
		select {
		case err := <-first.closed:
			t.Errorf("std %v: a connection without part of a record: %v", std, err)
		default:
		}
	}
}

// TestLeanConcurrently has writers, a reader with key updates and a closer at
// one session; run with the race detector. What arrives is in the order of the
// sequence numbers, or it would not be authentic.
func TestLeanConcurrently(t *testing.T) {
	s := serve(t, Config{Loops: 2, Outbox: 1 << 20}, testTLS(t), nil)
	for range 5 {
		p := newTLSPeer(t, dial(t, s.addr), nil)
		e := <-s.conns
		eventually(t, "secured", e.secured.Load)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for i := range 300 {
					_ = e.c.Queue([]byte("some text that is queued by many"))
					e.c.Flush()
					if i == 100 {
						e.c.loop.post(e.c, e.c.loop.second) // keys are dropped now and then
					}
				}
			})
		}
		wg.Go(func() {
			for range 50 {
				p.send(p.update(true), p.data(strings.Repeat("and read meanwhile", 20)))
			}
		})
		wg.Go(func() {
			for range 100 {
				e.c.Post(func(int) { e.c.Pause() })
				e.c.Resume()
				_ = e.c.Secure()
			}
		})
		closer := make(chan struct{})
		go func() {
			defer close(closer)
			wg.Wait()
			_ = e.c.Queue([]byte("the last"))
			e.c.Close(time.Second)
		}()
		last := false
		for {
			typ, content, err := p.read()
			if err != nil {
				t.Fatal(err)
			}
			if typ == recAlert {
				break
			}
			last = last || content == "the last"
		}
		if !last {
			t.Error("what was queued before Close did not come")
		}
		_ = p.conn.Close()
		<-closer
		if err := reason(t, e); err != nil {
			t.Error(err)
		}
	}
}

// TestKeyCache: busy sessions keep their keys, within a bound; idle ones lose
// them, and wake with the same session.
func TestKeyCache(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	p := newTLSPeer(t, dial(t, s.addr), nil)
	e := <-s.conns
	talk := func() *leanKeys {
		p.send(p.data("hello"))
		p.expect("hello")
		return leanOf(t, e).awake.Load()
	}
	first := talk()
	if again := talk(); first == nil || again != first {
		t.Error("a busy session does not keep its keys")
	}
	eventually(t, "an idle session has no keys", func() bool { return leanOf(t, e).awake.Load() == nil })
	if next := talk(); next == nil || next == first {
		t.Error("the session did not wake")
	}

	var c keyCache
	all := make([]*leanTLS, 3*maxAwake)
	for i := range all {
		all[i] = new(leanTLS)
		if k := c.wake(all[i]); k != c.wake(all[i]) {
			t.Fatal("a session is awake twice")
		}
	}
	awake := 0
	for _, l := range all {
		if l.awake.Load() != nil {
			awake++
		}
	}
	if awake != maxAwake || len(c.all) != maxAwake {
		t.Errorf("%d sessions are awake, %d in the cache; the bound is %d", awake, len(c.all), maxAwake)
	}
	c.second()
	c.second()
	for _, l := range all {
		if l.awake.Load() != nil {
			t.Fatal("an idle session has keys")
		}
	}
	if c.all != nil {
		t.Error("an idle cache has memory")
	}
}

// TestLeanConfigs: each configuration has one of its own, within a bound.
func TestLeanConfigs(t *testing.T) {
	var l leanConfigs
	cfg := &Config{}
	one, two := &tls.Config{}, &tls.Config{}
	first := l.of(cfg, one)
	if again := l.of(cfg, one); again != first || first == l.of(cfg, two) || first == one {
		t.Error("configurations are mixed up")
	}
	for range 3 * maxConfigs {
		l.of(cfg, &tls.Config{})
		if len(l.all) > maxConfigs {
			t.Fatalf("%d configurations", len(l.all))
		}
	}
	if l.of(&Config{StdTLS: true}, one) != one {
		t.Error("secrets are caught though the lean layer is off")
	}
}

// TestEarlyQueue: nothing is queued through a handshake that is not done.
func TestEarlyQueue(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	raw := dial(t, s.addr)
	e := <-s.conns
	if err := e.c.Queue([]byte("too early")); err != errEarly {
		t.Errorf("%v, want errEarly", err)
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	_, _ = c.Write([]byte("x"))
	expect(t, c, "x")
}

var _ net.Conn = (*recordConn)(nil)
