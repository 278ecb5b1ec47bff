package leantls

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// The sizes of data in a record: a short stanza, a segment, the maximum.
var sizes = []int{150, 1400, MaxData}

// sink accepts writes and provides input without locks, so that crypto/tls is only
// charged for its own work.
type sink struct {
	net.Conn
	in *bytes.Reader
}

func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err == io.EOF {
		err = never{}
	}
	return n, err
}

// awake returns a session of each implementation on a sink.
func awake(b *testing.B) (*twins, *sink) {
	b.Helper()
	cfg := testConfig(b)
	cfg.DynamicRecordSizingDisabled = true
	w := newTwins(b, cfg)
	s := &sink{in: bytes.NewReader(nil)}
	w.conn.now = s
	return w, s
}

// BenchmarkSeal: one write of data, by crypto/tls and by leantls.
func BenchmarkSeal(b *testing.B) {
	for _, n := range sizes {
		p := make([]byte, n)
		b.Run(fmt.Sprintf("impl=std/size=%d", n), func(b *testing.B) {
			w, _ := awake(b)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.std.Write(p); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("impl=lean/size=%d", n), func(b *testing.B) {
			w, _ := awake(b)
			var out []byte
			var k *Keys
			var err error
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if out, k, err = w.lean.Seal(k, out[:0], p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen: reading one record, by crypto/tls and by leantls. Creating the records
// is not timed.
func BenchmarkOpen(b *testing.B) {
	const batch = 256
	for _, n := range sizes {
		refill := func(b *testing.B, w *twins) (all []byte) {
			b.StopTimer()
			defer b.StartTimer()
			k := w.client.keys()
			for range batch {
				all = k.seal(all, make([]byte, n), typeData)
			}
			return all
		}
		b.Run(fmt.Sprintf("impl=std/size=%d", n), func(b *testing.B) {
			w, s := awake(b)
			buf := make([]byte, MaxData)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%batch == 0 {
					s.in.Reset(refill(b, w))
				}
				if _, err := io.ReadFull(w.std, buf[:n]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("impl=lean/size=%d", n), func(b *testing.B) {
			w, _ := awake(b)
			k := w.lean.ReadKeys(nil)
			var wire []byte
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%batch == 0 {
					wire = refill(b, w)
				}
				size, err := RecordLen(wire)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := w.lean.Open(k, wire[:size]); err != nil {
					b.Fatal(err)
				}
				wire = wire[size:]
			}
		})
	}
}

// BenchmarkWake: deriving the keys of one direction of an idle session.
func BenchmarkWake(b *testing.B) {
	for _, use := range suites {
		b.Run(fmt.Sprintf("suite=%s", suiteNames[use]), func(b *testing.B) {
			s, _ := pair(b, use)
			b.ReportAllocs()
			for b.Loop() {
				if s.write.current(nil) == nil {
					b.Fatal("no keys")
				}
			}
		})
	}
}

// BenchmarkBeside alternates between both, a few operations at a time, so that other load
// affects both, and reports how many times faster leantls is: the median of the rounds.
func BenchmarkBeside(b *testing.B) {
	const turn = 64
	for _, n := range sizes {
		p, buf := make([]byte, n), make([]byte, MaxData)
		b.Run(fmt.Sprintf("op=seal/size=%d", n), func(b *testing.B) {
			w, _ := awake(b)
			var out []byte
			var k *Keys
			beside(b, func() {
				for range turn {
					_, _ = w.std.Write(p)
				}
			}, func() {
				for range turn {
					out, k, _ = w.lean.Seal(k, out[:0], p)
				}
			})
		})
		b.Run(fmt.Sprintf("op=open/size=%d", n), func(b *testing.B) {
			w, s := awake(b)
			k := w.lean.ReadKeys(nil)
			var wire []byte
			prepare := func() {
				client := w.client.keys()
				wire = wire[:0]
				for range turn {
					wire = client.seal(wire, p, typeData)
				}
				s.in.Reset(bytes.Clone(wire)) // crypto/tls reads from another place, as from a socket
			}
			beside(b, func() {
				for range turn {
					if _, err := io.ReadFull(w.std, buf[:n]); err != nil {
						b.Fatal(err)
					}
				}
			}, func() {
				for rest := wire; len(rest) > 0; {
					size, _ := RecordLen(rest)
					if _, _, err := w.lean.Open(k, rest[:size]); err != nil {
						b.Fatal(err)
					}
					rest = rest[size:]
				}
			}, prepare)
		})
	}
}

func beside(b *testing.B, std, lean func(), before ...func()) {
	var ratios []float64
	took := func(f func()) float64 {
		start := time.Now()
		f()
		return float64(time.Since(start))
	}
	for b.Loop() {
		for _, f := range before {
			f()
		}
		ratios = append(ratios, took(std)/took(lean))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "times-crypto/tls")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkDerive measures the part of waking that storing key and IV would save.
func BenchmarkDerive(b *testing.B) {
	for _, use := range suites {
		b.Run(fmt.Sprintf("suite=%s", suiteNames[use]), func(b *testing.B) {
			s, _ := pair(b, use)
			secret := s.write.secret[:use.secretLen()]
			var key [maxKey]byte
			var iv [nonceLen]byte
			for b.Loop() {
				use.expand(key[:use.keyLen()], secret, use.labels().key)
				use.expand(iv[:], secret, use.labels().iv)
			}
		})
	}
}

var suiteNames = [...]string{aes128: "aes128", aes256: "aes256", chacha20: "chacha20"}

// BenchmarkStart measures the additional cost of a handshake for a lean session: the
// proof.
func BenchmarkStart(b *testing.B) {
	st, secrets, written := handshake(b, testConfig(b), ticketClient())
	buf := make([]byte, len(written))
	b.ReportAllocs()
	for b.Loop() {
		var s State
		copied := *secrets
		copy(buf, written)
		if err := s.Start(&st, &copied, buf); err != nil {
			b.Fatal(err)
		}
	}
}
