//go:build linux

package poller

import (
	"crypto/tls"
	"flag"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	soak = flag.Duration("soak", 2*time.Second, "how long TestLeanSoak runs")
	pace = flag.Duration("pace", 0, "how long a client of TestLeanSoak waits between two records, on average")
)

// TestLeanSoak: many sessions exchange data, update their keys at random, request updates
// of ours, sleep until their keys are dropped, end and resume, for -soak. Every byte must
// come back in order.
func TestLeanSoak(t *testing.T) {
	cfg := testTLS(t)
	s := serve(t, Config{Loops: 2}, cfg, nil)
	go func() {
		for range s.conns { // the connections are not used otherwise
		}
	}()
	end := time.Now().Add(*soak)
	var bytes, updates, opened atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			seed := rand.Uint64()
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			tickets := tls.NewLRUClientSessionCache(1)
			for time.Now().Before(end) && !t.Failed() {
				p := newTLSPeer(t, dial(t, s.addr), &tls.Config{ServerName: "localhost", ClientSessionCache: tickets})
				opened.Add(1)
				p.send(p.data("hello"))
				p.expect("hello")
				for n := rng.IntN(400); n > 0 && time.Now().Before(end); n-- {
					_ = p.conn.SetDeadline(time.Now().Add(waitLimit))
					if rng.IntN(20) == 0 {
						updates.Add(1)
						p.sendSplit(rng, p.update(rng.IntN(2) == 0))
					}
					text := strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN([]int{10, 1000, 1 << 14}[rng.IntN(3)]))
					p.sendSplit(rng, p.data(text))
					p.expect(text)
					bytes.Add(int64(len(text)))
					if *pace > 0 {
						time.Sleep(rand.N(2 * *pace)) // the pace set by the flag; nothing waits for this
					}
					if rng.IntN(100) == 0 {
						s.forgetKeys()
					}
				}
				if rng.IntN(2) == 0 {
					p.send(p.record("\x01\x00\x15"))
				}
				_ = p.conn.Close()
			}
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
	wg.Wait()
	eventually(t, "all closed", func() bool { return s.Stats().Conns == 0 })
	if got := s.Stats(); got.LeanTLS != opened.Load() || got.LeanRefused != (Stats{}).LeanRefused {
		t.Errorf("%d lean sessions of %d; refused: %v", got.LeanTLS, opened.Load(), got.LeanRefused)
	}
	t.Logf("%d sessions, %d key updates, %d bytes each way", opened.Load(), updates.Load(), bytes.Load())
	close(s.conns)
}

// forgetKeys makes the loops drop the keys of silent sessions, as they do after two
// seconds.
func (s *testServer) forgetKeys() {
	for _, l := range s.loops {
		for range 2 {
			l.post(nil, func(int) { l.keys.tick() })
		}
	}
}

// sendSplit sends bytes in pieces.
func (p *tlsPeer) sendSplit(rng *rand.Rand, b []byte) {
	for len(b) > 0 {
		n := 1 + rng.IntN(len(b))
		p.send(b[:n])
		b = b[n:]
	}
}
