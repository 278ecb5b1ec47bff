//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"roost/poller/leantls"
)

// TestLeanSize limits the additional size of an idle TLS session compared with a plain
// one.
func TestLeanSize(t *testing.T) {
	if n := unsafe.Sizeof(leanTLS{}); n > 160 {
		t.Errorf("a leanTLS takes %d bytes, the budget is 160", n)
	}
}

// TestStdTLSSize: a session that stays with crypto/tls fills its size class of 208 bytes;
// the next class has 224.
func TestStdTLSSize(t *testing.T) {
	if n := unsafe.Sizeof(stdTLS{}); n > 208 {
		t.Errorf("a stdTLS takes %d bytes, the budget is 208", n)
	}
}

// layerOf returns the connection's topmost record layer, for a goroutine that is not its loop.
func layerOf(c *Conn) recordLayer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.layer
}

// leanOf returns the connection's lean session; the test fails if it has none.
func leanOf(t testing.TB, e *echo) *leanTLS {
	t.Helper()
	layer := layerOf(e.c)
	lean, ok := layer.(*leanTLS)
	if !ok {
		t.Fatalf("the record layer is %T", layer)
	}
	return lean
}

// TestLeanGoClients: Go's client with and without tickets, with all groups for the key
// exchange, HelloRetryRequest, client certificates, over direct TLS and STARTTLS. If
// there are tickets, a second connection resumes the session.
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
								// The client's key share is for a group that the server
								// does not accept.
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

// leanClient connects twice and exchanges data.
func leanClient(t *testing.T, server, client *tls.Config, start bool) {
	direct := server
	var data func(*echo, []byte) int
	if start {
		direct, data = nil, startTLS(t, server)
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
			t.Errorf("no response to our close_notify: %d, %v", n, err)
		}
		if err := reason(t, e); err != io.EOF {
			t.Errorf("%v, want EOF", err)
		}
	}
	if got := s.Stats().LeanTLS; got != 2 {
		t.Errorf("%d lean sessions, want 2", got)
	}
}

// TestLeanExporter: the TLS state passed to Secured provides both kinds of channel
// binding.
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
		t.Errorf("the server's exporter returns %x, the client's %x: %v", got, want, err)
	}
	if p.Stats().LeanTLS != 1 {
		t.Error("the session is not lean")
	}
}

type exporting struct {
	echo
	keys chan []byte
}

func (e *exporting) Secured(_ int, st *tls.ConnectionState, _ *x509.Certificate) {
	key, err := st.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil || st.ServerName != "localhost" {
		key = []byte(fmt.Sprint(err, st.ServerName))
	}
	e.keys <- key
}

// TestLeanRefused: sessions other than TLS 1.3 with a known suite and a crypto/tls that
// behaves as expected stay with crypto/tls, work, and are counted.
func TestLeanRefused(t *testing.T) {
	works := func(s *testServer, client *tls.Config) {
		t.Helper()
		client.InsecureSkipVerify = true
		c := tls.Client(dial(t, s.addr), client)
		_, _ = c.Write([]byte("hello"))
		expect(t, c, "hello")
		layer := layerOf((<-s.conns).c) // its loop ends the connection, and replaces it, when the server stops
		if _, ok := layer.(*stdTLS); !ok {
			t.Errorf("the record layer is %T", layer)
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

	// A ClientHello that bypassed the function that captures secrets.
	s = serve(t, Config{Loops: 1}, testTLS(t), nil)
	s.lean.mu.Lock()
	s.lean.all = map[*tls.Config]*tls.Config{s.listeners[0].tls: s.listeners[0].tls}
	s.lean.mu.Unlock()
	works(s, &tls.Config{})
	count(s, leantls.RefusedSecrets)

	// A handshake that has ended in the middle of a record.
	conn := &Conn{loop: s.loops[0]}
	half := &stdTLS{c: conn, server: true, secrets: new(leantls.Secrets), written: inputPool.Get()}
	half.boundary.Next([]byte{23, 3, 3, 0, 5})
	caught, wiped := half.secrets, new(leantls.Secrets)
	_, _ = caught.Write([]byte("CLIENT_TRAFFIC_SECRET_0 " + strings.Repeat("ab", 32) + " " + strings.Repeat("cd", 32) + "\n"))
	if err := half.start(&leanTLS{c: conn}, &tls.ConnectionState{Version: tls.VersionTLS13}); err != leantls.RefusedReads {
		t.Errorf("%v, want RefusedReads", err)
	}
	(*tlsSocket)(half).discardCapture()
	if wiped.Wipe(); !reflect.DeepEqual(caught, wiped) {
		t.Error("unused captured secrets were not erased")
	}
}

// TestLeanFIPS runs itself again in FIPS 140-3 mode, where crypto/tls keeps its sessions.
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
	cmd := self("-test.run=^TestLeanFIPS$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=on", "ROOST_TEST_FIPS=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestLeanFIPS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestLeanRandomSplits: records split and joined at random, with key updates between them
// and a handler that pauses, arrive complete and in order.
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
			t.Fatalf("round %d: wrong bytes", round)
		}
		e := <-s.conns
		idle := func() bool { return leanOf(t, e).in == nil && e.c.stall == 0 }
		if !onLoop(e.c, idle) {
			t.Error("an idle session has a buffer or a deadline")
		}
	}
}
