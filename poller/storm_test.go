//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/bytebufferpool"
)

// TestStorm: two thousand concurrent new connections are all served, and an existing one
// is served meanwhile.
func TestStorm(t *testing.T) {
	const storm = 2000
	s := serve(t, Config{Loops: 2}, nil, nil)
	old := dial(t, s.addr)
	if !echoes(t, old) {
		t.Fatal("the first connection is not served")
	}
	var during atomic.Int64 // echoes of the old connection meanwhile
	stop := make(chan struct{})
	var talk sync.WaitGroup
	talk.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if !echoes(t, old) {
				t.Error("the storm ended another connection")
				return
			}
			during.Add(1)
		}
	})
	clients := make([]net.Conn, storm)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := i; j < storm; j += 50 {
				c, err := net.Dial("tcp", s.addr)
				if err != nil {
					t.Error(err)
					return
				}
				clients[j] = c
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, c := range clients {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	if t.Failed() {
		close(stop)
		talk.Wait()
		return
	}
	eventually(t, "all accepted", func() bool { return s.Stats().Conns == storm+1 })
	close(stop)
	talk.Wait()
	if n := during.Load(); n == 0 {
		t.Error("the old connection was not served during the storm")
	}
	for _, c := range clients {
		_ = c.SetDeadline(time.Now().Add(waitLimit))
		if !echoes(t, c) {
			t.Fatal("a connection of the storm is not served")
		}
	}
}

// TestTurns: one wake-up accepts a limited number of connections, so that a backlog of
// any length does not delay others.
func TestTurns(t *testing.T) {
	var most, before atomic.Int64
	var s *testServer
	ready := make(chan struct{})
	cfg := Config{Loops: 1}
	cfg.AfterBatch = func(int) {
		select {
		case <-ready:
		default:
			return
		}
		n := s.Stats().Accepted
		most.Store(max(most.Load(), n-before.Swap(n)))
	}
	s = serve(t, cfg, nil, nil)
	close(ready)
	blocked, release := make(chan struct{}), make(chan struct{})
	s.loops[0].post(nil, func(int) { close(blocked); <-release })
	<-blocked
	const backlog = 3 * maxAccepts
	for range backlog {
		dial(t, s.addr)
	}
	close(release)
	eventually(t, "all accepted", func() bool { return s.Stats().Conns == backlog })
	if n := most.Load(); n == 0 || n > maxAccepts {
		t.Errorf("%d connections were accepted in one batch, the limit is %d", n, maxAccepts)
	}
}

// TestBusyNeighbour: a connection that never stops sending does not delay other
// connections: between two of their events it is read a limited number of times.
func TestBusyNeighbour(t *testing.T) {
	var busy *Conn
	var first sync.Once
	var run, longest int // loop: reads of the busy connection within one batch
	var mu sync.Mutex
	s := serve(t, Config{Loops: 1, ReadBuffer: 4096, AfterBatch: func(int) {
		mu.Lock()
		run = 0
		mu.Unlock()
	}}, nil, func(e *echo, p []byte) int {
		first.Do(func() { busy = e.c })
		if e.c == busy {
			mu.Lock()
			run++
			longest = max(longest, run)
			mu.Unlock()
			return len(p)
		}
		_ = e.c.Queue(p)
		e.c.Flush()
		return len(p)
	})
	c := dial(t, s.addr)
	_ = c.SetDeadline(time.Time{})
	go func() {
		flood := make([]byte, 1<<20)
		for {
			if _, err := c.Write(flood); err != nil {
				return
			}
		}
	}()
	eventually(t, "the busy one is busy", func() bool { return s.Stats().Reads > 100 })
	other := dial(t, s.addr)
	for range 200 {
		if !echoes(t, other) {
			t.Fatal("the neighbour is not served")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if longest > maxReads {
		t.Errorf("%d reads of one connection in a batch, the limit is %d", longest, maxReads)
	}
}

// TestDropsLeaveNothing: a thousand connections dropped in any state leave no descriptor,
// no goroutine, no entry: plain and TLS ones, in the middle of a handshake, of a record
// and of a write, paused, and with a deadline.
func TestDropsLeaveNothing(t *testing.T) {
	const each = 250
	hold := make(chan struct{})
	paused := serve(t, Config{Loops: 1}, nil, func(e *echo, p []byte) int {
		select {
		case <-hold:
			return len(p)
		default:
		}
		e.c.SetDeadline(time.Hour)
		e.c.Pause()
		go func() { <-hold; e.c.Resume() }()
		return len(p) / 2
	})
	full := serve(t, Config{Loops: 1, Outbox: 8 << 20}, nil, func(e *echo, p []byte) int {
		_ = e.c.Queue(bytes.Repeat(p, 1<<20))
		e.c.Flush()
		return len(p)
	})
	secure := serve(t, Config{Loops: 1}, testTLS(t), nil)
	servers := []*testServer{paused, full, secure}
	files, goroutines := openFiles(t), runtime.NumGoroutine()

	var clients []net.Conn
	for i := range each {
		c := dial(t, paused.addr)
		_, _ = c.Write([]byte("half of this is kept"))
		clients = append(clients, c)

		if i%10 == 0 { // each of these has a megabyte queued
			c = dial(t, full.addr)
			_, _ = c.Write([]byte("x"))
			clients = append(clients, c)
		}

		c = dial(t, secure.addr) // incomplete ClientHello
		_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1})
		clients = append(clients, c)

		c = dial(t, secure.addr)
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte{23, 3, 3, 1, 0, 9, 9}) // part of a record
		clients = append(clients, c)
	}
	for _, s := range servers {
		eventually(t, "all accepted", func() bool { return s.Stats().Conns == s.Stats().Accepted && s.Stats().Conns > 0 })
	}
	for i, c := range clients {
		if i%2 == 0 {
			_ = c.(*net.TCPConn).SetLinger(0) // a reset
		}
		_ = c.Close()
	}
	close(hold)
	for _, s := range servers {
		eventually(t, "all closed", func() bool { return s.Stats().Conns == 0 })
		for _, l := range s.loops {
			eventually(t, "nothing is left in the loop", func() bool {
				empty := make(chan bool)
				l.post(nil, func(int) { empty <- len(l.conns)+len(l.unread)+len(l.timed) == 0 })
				return <-empty
			})
		}
	}
	eventually(t, "descriptors are back", func() bool { return openFiles(t) <= files })
	eventually(t, "goroutines are back", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// TestListenerCloses: closing a listener releases its descriptors, and the connections
// that it accepted stay open.
func TestListenerCloses(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	files := openFiles(t)
	for range 20 {
		l, err := s.Listen("127.0.0.1:0", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, l.Addr().String())
		if !echoes(t, c) {
			t.Fatal("not served")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if !echoes(t, c) {
			t.Fatal("closing a listener ended a connection")
		}
		if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
			t.Fatal("a closed listener accepts")
		}
		_ = c.Close()
	}
	eventually(t, "descriptors are back", func() bool { return openFiles(t) <= files })
}

// TestManyDisconnect: lists that have grown for many connections shrink after those have
// disconnected.
func TestManyDisconnect(t *testing.T) {
	const n = 10_000
	l := &loop{p: new(Poller), start: time.Now(), unread: make(map[*Conn]*bytebufferpool.ByteBuffer)}
	l.p.settings.Store(new(Config))
	conns := make([]*Conn, n)
	for i := range conns {
		c := &Conn{loop: l}
		conns[i] = c
		l.add(c)
		c.setDeadline(time.Hour)
		l.stash(c, []byte("rest"))
	}
	before := reflect.ValueOf(l.unread).Pointer()
	for _, c := range conns {
		c.setDeadline(0)
		inputPool.Put(l.unstash(c))
		l.remove(c)
	}
	for range 20 { // each check halves them at most
		l.tick(0)
	}
	if cap(l.conns) > 2048 || cap(l.timed) > 2048 {
		t.Errorf("capacity for %d connections and %d deadlines without any", cap(l.conns), cap(l.timed))
	}
	if reflect.ValueOf(l.unread).Pointer() == before {
		t.Error("a large map is kept")
	}
}
