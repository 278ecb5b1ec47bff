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
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// move moves the socket of from to to, whose own socket is closed first.
func move(t testing.TB, from, to *echo) {
	t.Helper()
	done := make(chan error, 1)
	from.c.Post(func(int) {
		x := from.c.Unplug()
		to.c.Post(func(int) {
			if old := to.c.Unplug(); old != nil {
				old.Close(time.Minute)
			}
			if x == nil {
				done <- ErrClosed
				return
			}
			c, err := to.c.Plug(x, to)
			if err == nil {
				to.c = c.(*Conn)
				to.c.Resume()
			}
			done <- err
		})
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestPlug: another connection, of another loop, continues a stream on any stack of record
// layers: what was queued arrives, what was unread is delivered in order, also where a
// record is split, and both sides end properly. The socket that it had before is closed
// after what was queued for it.
func TestPlug(t *testing.T) {
	for _, test := range layerCases {
		for _, nested := range []bool{false, true} {
			t.Run(fmt.Sprint(test.name, ", framed ", nested), func(t *testing.T) { testPlug(t, test.tls, test.std, nested, test.version) })
		}
	}
}

// plugPeer is a client's end, with frames or without.
type plugPeer struct {
	*framedClient
	nested bool
}

func (p *plugPeer) send(t *testing.T, text string) {
	t.Helper()
	b := []byte(text)
	if p.nested {
		b = p.frame(text)
	}
	// The two parts arrive as parts of records and frames.
	for _, part := range [][]byte{b[:len(b)/2], b[len(b)/2:]} {
		if _, err := p.Write(part); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *plugPeer) want(t *testing.T, text string) {
	t.Helper()
	if !p.nested {
		expect(t, p.Conn, text)
		return
	}
	got := ""
	for len(got) < len(text) {
		got += p.read(t)
	}
	if got != text {
		t.Fatalf("got %q, want %q", got, text)
	}
}

func testPlug(t *testing.T, secure, std, nested bool, version uint16) {
	var cfg *tls.Config
	if secure {
		cfg = testTLS(t)
	}
	data := func(e *echo, p []byte) int {
		if bytes.HasSuffix(p, []byte("!")) { // the parts of a text may come one by one
			e.c.Pause()
		}
		_ = e.c.Queue(p)
		e.c.Flush()
		return len(p)
	}
	s := serve(t, Config{Loops: 2, StdTLS: std, MaxPerAddress: 10}, cfg, data)
	accept := s.config().Accept
	withFrames := *s.config()
	withFrames.Accept = func(c *Conn, l *Listener) Handler {
		h := accept(c, l)
		if nested {
			c.mu.Lock()
			c.layer = &framed{c: c, below: c.layer}
			c.mu.Unlock()
		}
		return h
	}
	s.settings.Store(&withFrames)
	connect := func() (*plugPeer, *echo) {
		p := &plugPeer{dialFramed(t, s.addr, version), nested}
		p.send(t, "hello")
		p.want(t, "hello")
		e := <-s.conns
		e.c.Authenticated()
		return p, e
	}
	old, a := connect()
	other, b := connect()
	for a.c.Loop() == b.c.Loop() {
		other, b = connect()
	}
	before := s.Stats().Conns

	other.send(t, "wait!")
	other.want(t, "wait!")
	other.send(t, "unread")
	if err := a.c.Queue([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := b.c.Queue([]byte("queued")); err != nil {
		t.Fatal(err)
	}
	layer := fmt.Sprintf("%T", layerOf(b.c))
	move(t, b, a)
	other.want(t, "queuedunread")
	other.send(t, strings.Repeat("more", 1000))
	other.want(t, strings.Repeat("more", 1000))
	onLoop(a.c, func() bool {
		if got := fmt.Sprintf("%T", a.c.layer); got != layer {
			t.Errorf("the layer is %s, want %s", got, layer)
		}
		return true
	})
	if a.c.Secure() != secure || a.c.RemoteAddr().String() != other.LocalAddr().String() {
		t.Errorf("secure %v, peer %v", a.c.Secure(), a.c.RemoteAddr())
	}
	if err := b.c.Queue([]byte("x")); err != ErrClosed {
		t.Errorf("Queue of the connection without a socket: %v", err)
	}
	old.want(t, "last words")
	if nested {
		old.end(t)
	} else if _, err := old.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the old socket ended with %v", err)
	}
	_ = old.Close()
	eventually(t, "the old socket is closed", func() bool { return s.Stats().Conns == before-1 })

	// Back, to a connection that is closed. It has none of the other's state.
	move(t, a, b)
	other.send(t, "again")
	other.want(t, "again")
	if nested {
		_, _ = other.Write(other.frame(""))
	}
	_ = other.Close()
	if err := reason(t, b); err != io.EOF {
		t.Errorf("ended with %v", err)
	}
	select {
	case err := <-a.closed:
		t.Errorf("a connection without a socket has ended with %v", err)
	default:
	}
	// A connection that has ended can continue with another socket.
	third, c := connect()
	move(t, c, b)
	third.send(t, "third")
	third.want(t, "third")
	b.c.Close(time.Minute)
	if nested {
		third.end(t)
	} else if _, err := third.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the third socket ended with %v", err)
	}
	_ = third.Close()
	if err := reason(t, b); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// end reads the peer's end.
func (c *framedClient) end(t *testing.T) {
	t.Helper()
	b, err := io.ReadAll(c)
	c.codec.read(b, func(p []byte) { t.Errorf("received %q", p) })
	if err != nil || !c.codec.ended {
		t.Errorf("ended with %v, properly %v", err, c.codec.ended)
	}
}

// TestPlugAfterFailure: what was posted for an earlier socket does not end the connection
// with its next one.
func TestPlugAfterFailure(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	first := dial(t, s.addr)
	a := <-s.conns
	second := dial(t, s.addr)
	b := <-s.conns
	plugged := make(chan struct{})
	a.c.Post(func(int) {
		earlier, x := a.c, b.c.Unplug()
		_ = first.SetLinger(0)
		_ = first.Close() // a reset: the next write fails
		_ = earlier.Queue([]byte("x"))
		for !earlier.peerGone() { // until the reset has arrived
			runtime.Gosched()
		}
		earlier.Flush()         // posts the end
		_ = earlier.hungUp(nil) // as netpoll does
		earlier.Unplug().Close(0)
		c, err := earlier.Plug(x, a)
		if err != nil {
			t.Error(err)
		}
		a.c = c.(*Conn)
		_ = earlier.hungUp(nil) // as netpoll does, late
		a.c.Resume()
		close(plugged)
	})
	<-plugged
	_, _ = second.Write([]byte("still here"))
	expect(t, second, "still here")
	onLoop(a.c, func() bool {
		if a.c.marks&markHungUp != 0 {
			t.Error("the hang-up of the earlier socket was taken for one of this")
		}
		return true
	})
	_ = second.Close()
	if err := reason(t, a); err != io.EOF {
		t.Errorf("ended with %v", err)
	}
}

// TestPlugAccounts: the peer's place in the limits and its address from a proxy move with
// the socket.
func TestPlugAccounts(t *testing.T) {
	s := serve(t, Config{Loops: 2, MaxPerAddress: 2, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, nil, nil)
	connect := func(ip string) (*net.TCPConn, *echo) {
		c := dial(t, s.addr)
		_, _ = fmt.Fprintf(c, "PROXY TCP4 %s 198.51.100.1 4711 5222\r\nx", ip)
		expect(t, c, "x")
		e := <-s.conns
		e.c.Authenticated()
		return c, e
	}
	places := func(ip string) int {
		s.addrs.mu.Lock()
		defer s.addrs.mu.Unlock()
		from, _ := networkOf(netip.MustParseAddr(ip))
		if i, ok := s.addrs.index[from]; ok {
			return int(s.addrs.places[i].n)
		}
		return 0
	}
	old, a := connect("192.0.2.1")
	c, b := connect("192.0.2.2")
	move(t, b, a)
	_ = old.Close()
	if got := a.c.RemoteAddr().Addr().String(); got != "192.0.2.2" {
		t.Errorf("the address is %s", got)
	}
	eventually(t, "only the moved socket counts", func() bool { return places("192.0.2.1") == 0 && places("192.0.2.2") == 1 })
	_ = c.Close()
	_ = reason(t, a)
	eventually(t, "nothing counts", func() bool { return places("192.0.2.2") == 0 })
	for i, chunk := range s.proxied.chunks {
		if chunk != nil {
			t.Errorf("addresses of chunk %d remain", i)
		}
	}
}

// TestPlugRaces: sockets move between connections of several loops while others queue,
// flush and close, and peers hang up. Nothing remains.
func TestPlugRaces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := serve(t, Config{Loops: 3}, testTLS(t), nil)
	files := openFiles(t)
	const n = 12
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		var peers []net.Conn
		var handlers [n]*echo
		var conns [n]atomic.Pointer[Conn]
		for i := range n {
			c := tls.Client(dial(t, s.addr), &tls.Config{InsecureSkipVerify: true})
			_, _ = c.Write([]byte("x"))
			expect(t, c, "x")
			peers = append(peers, c)
			e := <-s.conns
			e.closed = make(chan error, 1000)
			e.c.Authenticated()
			handlers[i] = e
			conns[i].Store(e.c)
		}
		var all sync.WaitGroup
		for worker := range 4 {
			r := rand.New(rand.NewPCG(seed, uint64(round*10+worker)))
			all.Go(func() {
				for range 200 {
					c := conns[r.IntN(n)].Load()
					switch r.IntN(20) {
					case 0:
						_ = peers[r.IntN(n)].(*tls.Conn).NetConn().Close()
					case 1, 2, 3:
						to := r.IntN(n)
						tryMove(c, &conns[to], handlers[to])
					default:
						_ = c.Queue(bytes.Repeat([]byte("y"), r.IntN(5000)))
						c.Flush()
						_, _ = c.RemoteAddr(), c.TLS()
					}
				}
			})
		}
		for _, p := range peers {
			all.Go(func() { _, _ = io.Copy(io.Discard, p) })
			all.Go(func() { _, _ = p.Write(bytes.Repeat([]byte("z"), 1000)) })
		}
		for i := range conns {
			defer func() { conns[i].Load().Close(0) }()
		}
		closeAll := func() {
			for _, p := range peers {
				_ = p.(*tls.Conn).NetConn().Close()
			}
		}
		time.AfterFunc(50*time.Millisecond, closeAll)
		all.Wait()
		closeAll()
		eventually(t, "all connections are closed", func() bool {
			s.sockets.mu.Lock()
			defer s.sockets.mu.Unlock()
			return s.Stats().Conns == 0 && len(s.sockets.all) == 0
		})
	}
	eventually(t, "all descriptors are closed", func() bool { return openFiles(t) <= files })
	if n := s.Stats().OutboxBytes; n != 0 {
		t.Errorf("%d bytes are in outboxes", n)
	}
}

// tryMove is move for connections that anything may happen to.
func tryMove(from *Conn, into *atomic.Pointer[Conn], h *echo) {
	if from == into.Load() {
		return
	}
	from.Post(func(int) {
		x := from.Unplug()
		if x == nil {
			return
		}
		into.Load().Post(func(int) {
			to := into.Load()
			if old := to.Unplug(); old != nil {
				old.Close(0)
			}
			if !to.closed() {
				x.Close(0)
				return
			}
			if c, err := to.Plug(x, h); err == nil {
				h.c = c.(*Conn)
				into.Store(h.c)
				h.c.Resume()
			}
		})
	})
}

// TestPlugAtClose: a socket that is on its way when the poller ends is closed.
func TestPlugAtClose(t *testing.T) {
	p, err := New(Config{Loops: 2}.unlimited())
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan *echo, 2)
	cfg := *p.config()
	cfg.Accept = func(c *Conn, _ *Listener) Handler {
		e := &echo{c: c, closed: make(chan error, 1)}
		conns <- e
		return e
	}
	p.settings.Store(&cfg)
	l, err := p.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, l.Addr().String())
	e := <-conns
	onLoop(e.c, func() bool { return e.c.Unplug() != nil })
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("the read ended with %v", err)
	}
}
