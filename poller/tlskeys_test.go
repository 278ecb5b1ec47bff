//go:build linux

package poller

import (
	"crypto/tls"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLeanConcurrently uses one session from writers, a reader with key updates and a
// closer, for the race detector. Records out of sequence would not be authentic.
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
						e.c.loop.post(e.c, e.c.loop.tick) // keys are dropped occasionally
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
			t.Error("output queued before Close did not arrive")
		}
		_ = p.conn.Close()
		<-closer
		if err := reason(t, e); err != nil {
			t.Error(err)
		}
	}
}

// TestKeyCache: busy sessions keep their keys, up to a limit; idle ones lose them, and
// wake up with the same session.
func TestKeyCache(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	p := newTLSPeer(t, dial(t, s.addr), nil)
	e := <-s.conns
	talk := func() *leanKeys {
		p.send(p.data("hello"))
		p.expect("hello")
		return leanOf(t, e).awake.Load()
	}
	var first *leanKeys
	eventually(t, "a busy session keeps its keys", func() bool {
		first = talk() // on a slow machine, the keys may have been dropped in between
		return first != nil && talk() == first
	})
	eventually(t, "a session that is busy every second keeps them", func() bool {
		k := talk()
		for range 3 {
			onLoop(e.c, func() bool { e.c.loop.keys.tick(); return true })
			if talk() != k {
				return false
			}
		}
		return true
	})
	eventually(t, "an idle session has no keys", func() bool { return leanOf(t, e).awake.Load() == nil })
	if err := e.c.Queue(nil); err != nil || leanOf(t, e).awake.Load() != nil || e.c.Queued() != 0 {
		t.Errorf("an empty write woke the session: %v", err)
	}
	if next := talk(); next == nil || next == first {
		t.Error("the session did not wake")
	}

	var c keyCache
	all := make([]*leanTLS, 3*maxAwake)
	for i := range all {
		all[i] = new(leanTLS)
		if k := c.wake(all[i]); k != c.wake(all[i]) {
			t.Fatal("a session is in the cache twice")
		}
	}
	awake := 0
	for _, l := range all {
		if l.awake.Load() != nil {
			awake++
		}
	}
	if awake != maxAwake || len(c.all) != maxAwake {
		t.Errorf("%d sessions are awake, %d in the cache; the limit is %d", awake, len(c.all), maxAwake)
	}
	c.tick()
	c.tick()
	for _, l := range all {
		if l.awake.Load() != nil {
			t.Fatal("an idle session has keys")
		}
	}
	if c.all != nil {
		t.Error("an idle cache uses memory")
	}
}

// TestLeanConfigs: each configuration has a lean copy, up to a limit.
func TestLeanConfigs(t *testing.T) {
	var l leanConfigs
	cfg := &Config{}
	one, two := &tls.Config{}, &tls.Config{}
	first := l.configFor(cfg, one)
	if again := l.configFor(cfg, one); again != first || first == l.configFor(cfg, two) || first == one {
		t.Error("configurations are mixed up")
	}
	for range 3 * maxConfigs {
		l.configFor(cfg, &tls.Config{})
		if len(l.all) > maxConfigs {
			t.Fatalf("%d configurations", len(l.all))
		}
	}
	if l.configFor(&Config{StdTLS: true}, one) != one {
		t.Error("secrets are captured although the lean layer is off")
	}
}

// TestEarlyQueue: nothing is queued through an incomplete handshake.
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
