package leantls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestSelfTest(t *testing.T) {
	if err := selfTest(); err != nil {
		t.Fatal(err)
	}
}

// handshake performs a handshake with crypto/tls on both sides.
func handshake(t testing.TB, server, client *tls.Config) (tls.ConnectionState, *Secrets, []byte) {
	t.Helper()
	secrets := new(Secrets)
	a, b := newQueue(), newQueue()
	sc := &memConn{in: a, out: b, records: true}
	s := tls.Server(sc, Config(server, func(net.Conn) *Secrets { return secrets }))
	c := tls.Client(&memConn{in: b, out: a}, client)
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()
	if err := errors.Join(s.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	if !sc.boundary.Whole() {
		t.Error("crypto/tls was given part of a record")
	}
	return s.ConnectionState(), secrets, sc.written
}

func testConfig(t testing.TB) *tls.Config {
	t.Helper()
	cert, err := selfTestCert()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

// ticketClient is a client that accepts session tickets.
func ticketClient() *tls.Config {
	return &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
}

// TestStart: the number of records that crypto/tls has sealed already is determined for
// every kind of handshake.
func TestStart(t *testing.T) {
	client := func(f func(c *tls.Config)) *tls.Config {
		c := ticketClient()
		if f != nil {
			f(c)
		}
		return c
	}
	withCert, err := selfTestCert()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		desc   string
		server func(*tls.Config)
		client *tls.Config
		sent   uint64
	}{
		{desc: "one ticket", client: client(nil), sent: 1},
		{desc: "tickets are off", server: func(c *tls.Config) { c.SessionTicketsDisabled = true }, client: client(nil)},
		{desc: "the client wants none", client: &tls.Config{InsecureSkipVerify: true}},
		{desc: "HelloRetryRequest", server: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }, client: client(nil), sent: 1},
		{desc: "client certificate", server: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert },
			client: client(func(c *tls.Config) { c.Certificates = []tls.Certificate{withCert} }), sent: 1},
		{desc: "no client certificate", server: func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }, client: client(nil), sent: 1},
	} {
		t.Run(c.desc, func(t *testing.T) {
			cfg := testConfig(t)
			if c.server != nil {
				c.server(cfg)
			}
			st, secrets, written := handshake(t, cfg, c.client)
			var s State
			if err := s.Start(&st, secrets, written); err != nil {
				t.Fatal(err)
			}
			if s.write.seq != c.sent {
				t.Errorf("%d records, want %d", s.write.seq, c.sent)
			}
			if secrets.got != [4]secret{} {
				t.Error("the captured secrets were not erased")
			}
		})
	}
}

// TestStartRefuses: any unexpected state leaves the session with crypto/tls.
func TestStartRefuses(t *testing.T) {
	cfg := testConfig(t)
	for _, c := range []struct {
		desc string
		bend func(st *tls.ConnectionState, s *Secrets, w *[]byte)
		want Refusal
	}{
		{"TLS 1.2", func(st *tls.ConnectionState, _ *Secrets, _ *[]byte) { st.Version = tls.VersionTLS12 }, RefusedVersion},
		{"no handshake", func(st *tls.ConnectionState, _ *Secrets, _ *[]byte) { st.HandshakeComplete = false }, RefusedVersion},
		{"unknown suite", func(st *tls.ConnectionState, _ *Secrets, _ *[]byte) { st.CipherSuite = 0x1304 }, RefusedSuite},
		{"a secret too long", func(_ *tls.ConnectionState, s *Secrets, _ *[]byte) { s.got[serverTraffic].n = 48 }, RefusedSecrets},
		{"no secret", func(_ *tls.ConnectionState, s *Secrets, _ *[]byte) { s.got[clientHandshake] = secret{} }, RefusedSecrets},
		{"something odd was logged", func(_ *tls.ConnectionState, s *Secrets, _ *[]byte) { s.bad = true }, RefusedSecrets},
		{"wrong secret", func(_ *tls.ConnectionState, s *Secrets, _ *[]byte) { s.got[serverTraffic].b[0]++ }, RefusedWrites},
		{"wrong handshake secret", func(_ *tls.ConnectionState, s *Secrets, _ *[]byte) { s.got[serverHandshake].b[0]++ }, RefusedWrites},
		{"nothing written", func(_ *tls.ConnectionState, _ *Secrets, w *[]byte) { *w = nil }, RefusedWrites},
		{"a byte missing", func(_ *tls.ConnectionState, _ *Secrets, w *[]byte) { *w = (*w)[:len(*w)-1] }, RefusedWrites},
		{"a header alone", func(_ *tls.ConnectionState, _ *Secrets, w *[]byte) { *w = append(*w, 23, 3, 3) }, RefusedWrites},
		{"a record in clear at the end", func(_ *tls.ConnectionState, _ *Secrets, w *[]byte) { *w = append(*w, 22, 3, 3, 0, 1, 0) }, RefusedWrites},
		{"an alert in clear at the start", func(_ *tls.ConnectionState, _ *Secrets, w *[]byte) { *w = append([]byte{21, 3, 3, 0, 2, 2, 0}, *w...) }, RefusedWrites},
		{"a record too long in clear", func(_ *tls.ConnectionState, _ *Secrets, w *[]byte) {
			*w = append(append([]byte{22, 3, 3, 0x41, 1}, make([]byte, maxBody+1)...), *w...)
		}, RefusedWrites},
		{"data after the ticket", more(typeData, "x"), RefusedWrites},
		{"data that looks like a ticket", more(typeData, "\x04\x00\x00\x00"), RefusedWrites},
		{"an alert after the ticket", more(typeAlert, "\x01\x00"), RefusedWrites},
		{"a KeyUpdate after the ticket", more(typeHandshake, keyUpdate+"\x00"), RefusedWrites},
		{"half a ticket more", more(typeHandshake, "\x04\x00\x00\x02a"), RefusedWrites},
	} {
		t.Run(c.desc, func(t *testing.T) {
			st, secrets, written := handshake(t, cfg, ticketClient())
			c.bend(&st, secrets, &written)
			var s State
			if err := s.Start(&st, secrets, written); err != c.want || err.Error() == "" {
				t.Errorf("%v, want %v", err, c.want)
			}
			if s.read.suite != 0 || s.write.suite != 0 || secrets.got != [4]secret{} {
				t.Error("secrets were not erased")
			}
		})
	}
	st, secrets, written := handshake(t, cfg, ticketClient())
	more(typeHandshake, "\x04\x00\x00\x02ab\x04\x00\x00\x00")(&st, secrets, &written)
	var s State
	if err := s.Start(&st, secrets, written); err != nil || s.write.seq != 2 {
		t.Errorf("two more tickets in one record: %v, %d records", err, s.write.seq)
	}
}

// TestMessages: the Finished message ends its record, and only tickets follow it, in any
// records.
func TestMessages(t *testing.T) {
	const finished, ticket = "\x14\x00\x00\x02ab", "\x04\x00\x00\x01a"
	for _, c := range []struct {
		desc    string
		records []string
		good    int // number of records accepted
	}{
		{"one each", []string{"\x08\x00\x00\x00", finished, ticket}, 3},
		{"all before the Finished in one", []string{"\x08\x00\x00\x00\x0b\x00\x00\x01x" + finished, ticket + ticket}, 2},
		{"in pieces", []string{"\x14\x00", "\x00\x02a", "b", "\x04", "\x00\x00\x01", "a"}, 6},
		{"a ticket with the Finished", []string{finished + ticket}, 0},
		{"a byte after the Finished", []string{finished + "\x04"}, 0},
		{"no ticket after it", []string{finished, "\x0b\x00\x00\x01x"}, 1},
		{"a second Finished", []string{finished, finished}, 1},
	} {
		var m messages
		good := 0
		for _, r := range c.records {
			if !m.add([]byte(r), m.finished) {
				break
			}
			good++
		}
		if good != c.good {
			t.Errorf("%s: %d records are accepted, want %d", c.desc, good, c.good)
		}
	}
}

// more appends a second record to the first ticket.
func more(typ byte, content string) func(*tls.ConnectionState, *Secrets, *[]byte) {
	return func(st *tls.ConnectionState, s *Secrets, w *[]byte) {
		var h half
		h.start(suiteOf(st.CipherSuite), s.secret(serverTraffic), 1)
		*w = append(*w, h.record(inner(typ, content))...)
	}
}

// TestSecrets: each secret once, for a single client random, and nothing else.
func TestSecrets(t *testing.T) {
	random, other := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	line := func(label, random string, n int) string {
		return fmt.Sprintf("%s %s %s\n", label, random, strings.Repeat("01", n))
	}
	all := func(n int) (lines []string) {
		for _, l := range secretLabels {
			lines = append(lines, line(l, random, n))
		}
		return lines
	}
	for _, c := range []struct {
		desc  string
		lines []string
		n     int
		want  bool
	}{
		{"all", all(32), 32, true},
		{"all, 48", all(48), 48, true},
		{"an unknown one more", append(all(32), line("EXPORTER_SECRET", random, 32)), 32, true},
		{"too short", all(32), 48, false},
		{"too long", all(49), 48, false},
		{"three", all(32)[1:], 32, false},
		{"one twice", append(all(32), all(32)[2]), 32, false},
		{"early data", append(all(32), line(labelEarly, random, 32)), 32, false},
		{"two randoms", append(all(32)[1:], line(secretLabels[0], other, 32)), 32, false},
		{"a short random", append(all(32)[1:], line(secretLabels[0], "ab", 32)), 32, false},
		{"no hexadecimal", append(all(32)[1:], secretLabels[0]+" "+random+" zz\n"), 32, false},
		{"no secret", append(all(32)[1:], secretLabels[0]+" "+random+"\n"), 32, false},
		{"nothing", nil, 32, false},
	} {
		var s Secrets
		for _, l := range c.lines {
			if n, err := s.Write([]byte(l)); n != len(l) || err != nil {
				t.Errorf("%s: Write: %d %v", c.desc, n, err)
			}
		}
		if got := s.complete(c.n); got != c.want {
			t.Errorf("%s: complete is %v", c.desc, got)
		}
		s.Wipe()
		if s.complete(c.n) || s.got != [4]secret{} {
			t.Errorf("%s: not wiped", c.desc)
		}
	}
}

// TestConfig: each connection gets its own secrets, tickets of one connection are valid
// for the next, and a configuration's own GetConfigForClient is kept.
func TestConfig(t *testing.T) {
	cfg := testConfig(t)
	asked := 0
	for desc, base := range map[string]*tls.Config{
		"keys made by crypto/tls": cfg,
		"keys that were set":      {Certificates: cfg.Certificates, SessionTicketKey: [32]byte{1}},
		"chosen by client": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			asked++
			return cfg, nil
		}},
	} {
		seen := make(map[net.Conn]*Secrets)
		shared := Config(base, func(c net.Conn) *Secrets {
			seen[c] = new(Secrets)
			return seen[c]
		})
		cache := tls.NewLRUClientSessionCache(1)
		for i := range 3 {
			a, b := newQueue(), newQueue()
			sc := &memConn{in: a, out: b, records: true}
			server := tls.Server(sc, shared)
			client := tls.Client(&memConn{in: b, out: a}, &tls.Config{
				ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: cache,
			})
			done := make(chan error, 1)
			go func() { done <- client.Handshake() }()
			if err := errors.Join(server.Handshake(), <-done); err != nil {
				t.Fatal(desc, err)
			}
			st := server.ConnectionState()
			if st.DidResume != (i > 0) {
				t.Errorf("%s: connection %d resumed: %v", desc, i, st.DidResume)
			}
			var s State
			if err := s.Start(&st, seen[sc], sc.written); err != nil {
				t.Errorf("%s: connection %d: %v", desc, i, err)
			}
			out, _, _ := s.Seal(nil, nil, []byte("x")) // the client reads its ticket with the data
			b.put(out)
			if _, err := client.Read(make([]byte, 1)); err != nil {
				t.Error(desc, err)
			}
		}
		if shared.KeyLogWriter != nil || base.KeyLogWriter != nil {
			t.Error("a writer is shared")
		}
	}
	if asked != 3 {
		t.Errorf("GetConfigForClient was called %d times, want 3", asked)
	}
}

// TestConfigElse: secrets of TLS 1.2 are not collected, since nothing would use them; the
// configuration's own key log gets nothing; and an error of GetConfigForClient ends the
// handshake.
func TestConfigElse(t *testing.T) {
	base := testConfig(t)
	var log bytes.Buffer
	base.KeyLogWriter = &log
	shared := Config(base, func(net.Conn) *Secrets {
		t.Error("secrets of TLS 1.2 are captured")
		return new(Secrets)
	})
	handshake := func(server, client *tls.Config) error {
		a, b := newQueue(), newQueue()
		done := make(chan error, 1)
		go func() {
			done <- tls.Client(&memConn{in: b, out: a}, client).Handshake()
		}()
		err := tls.Server(&memConn{in: a, out: b}, server).Handshake()
		b.close()
		<-done
		return err
	}
	old := ticketClient()
	old.MaxVersion = tls.VersionTLS12
	if err := handshake(shared, old); err != nil || log.Len() > 0 {
		t.Errorf("TLS 1.2: %v; %d bytes of secrets were written", err, log.Len())
	}
	wrong := errors.New("an unexpected error")
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, wrong }
	for _, of := range []func(net.Conn) *Secrets{
		func(net.Conn) *Secrets { return nil },
		func(net.Conn) *Secrets { return new(Secrets) },
	} {
		if err := handshake(Config(base, of), ticketClient()); !errors.Is(err, wrong) {
			t.Errorf("%v, want the error of the choice by client", err)
		}
	}
}

// TestBoundary: for any split of the input, nothing after the record is passed on.
func TestBoundary(t *testing.T) {
	stream := []byte("\x16\x03\x03\x00\x03abc\x17\x03\x03\x00\x00\x17\x03\x03\x01\x00" + strings.Repeat("x", 256))
	ends := map[int]bool{8: true, 13: true, len(stream): true}
	for piece := 1; piece <= len(stream); piece++ {
		var b Boundary
		at := 0
		for at < len(stream) {
			n := b.Next(stream[at:min(at+max(piece, HeaderLen), len(stream))])
			n = min(n, piece)
			if n == 0 {
				t.Fatal("stuck")
			}
			b.Advance(n)
			at += n
			if b.Whole() != ends[at] {
				t.Fatalf("pieces of %d: at %d whole is %v", piece, at, b.Whole())
			}
		}
	}
	if n := new(Boundary).Next(stream[:4]); n != 0 {
		t.Errorf("%d bytes without a header", n)
	}
}
