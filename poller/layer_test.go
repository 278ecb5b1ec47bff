//go:build linux

package poller

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// framed is a record layer for tests. Each message is a frame with a length and a number,
// XORed with the number. Both directions are numbered, so that frames that are lost,
// joined, or sealed out of order are detected. An empty frame marks the end.
type framed struct {
	c     *Conn
	below recordLayer

	sent uint32 // under mu
	buf  []byte // under mu: the frame being sealed

	// loop
	above receiver
	codec frames
}

// errNoEnd ends a connection whose peer has closed it without an empty frame.
var errNoEnd = errors.New("no frame says that this is the end")

func (l *framed) open(p []byte, above receiver) error {
	l.above = above
	return l.below.open(p, l)
}

func (l *framed) resume(above receiver) error {
	l.above = above
	return l.below.resume(l)
}

func (l *framed) receive(p []byte) { l.codec.read(p, l.above.receive) }

// seal passes the frame in two parts, as layers do that put something in front of a message.
func (l *framed) seal(m message) error {
	l.buf = appendFrame(l.buf[:0], l.sent, append(m.head[:m.n:m.n], m.body...))
	f := message{n: frameHeader}
	copy(f.head[:], l.buf)
	f.body = l.buf[frameHeader:]
	if err := l.below.seal(f); err != nil {
		return err
	}
	l.sent++
	return nil
}

func (l *framed) eof() error {
	switch err := l.below.eof(); {
	case err != nil:
		return err
	case !l.codec.ended:
		return errNoEnd
	}
	return nil
}

func (l *framed) closeWrite() {
	l.c.mu.Lock()
	_ = l.seal(message{})
	l.c.mu.Unlock()
	l.below.closeWrite()
}

func (l *framed) free() error  { return l.below.free() }
func (l *framed) secure() bool { return l.below.secure() }

func (l *framed) messages() bool { return false }

func (l *framed) rebase(bottom recordLayer) recordLayer {
	l.below = l.below.rebase(bottom)
	return l
}

func (l *framed) moveTo(c *Conn) recordLayer {
	l.c, l.below = c, l.below.moveTo(c)
	return l
}

const frameHeader = 6

func appendFrame(dst []byte, number uint32, p []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p)))
	dst = binary.BigEndian.AppendUint32(dst, number)
	for _, b := range p {
		dst = append(dst, b^byte(number)^0x5a)
	}
	return dst
}

// frames splits input into frames.
type frames struct {
	in    []byte
	next  uint32
	ended bool
}

func (f *frames) read(p []byte, message func([]byte)) {
	f.in = append(f.in, p...)
	for len(f.in) >= frameHeader {
		n := frameHeader + int(binary.BigEndian.Uint16(f.in))
		if len(f.in) < n {
			return
		}
		text := slices.Clone(f.in[frameHeader:n])
		for i := range text {
			text[i] ^= byte(f.next) ^ 0x5a
		}
		if number := binary.BigEndian.Uint32(f.in[2:]); number != f.next || f.ended {
			text = fmt.Appendf(nil, "frame %d in the place of %d, after the end %v", number, f.next, f.ended)
		}
		f.next++
		f.in = f.in[n:]
		if len(text) == 0 {
			f.ended = true
			continue
		}
		message(text)
	}
}

// framedClient is the client side of a framed layer.
type framedClient struct {
	net.Conn
	sent  uint32
	codec frames
	got   []string
}

// frame returns the client's next frame.
func (c *framedClient) frame(text string) []byte {
	c.sent++
	return appendFrame(nil, c.sent-1, []byte(text))
}

// read returns the next message, "" for the end of the connection.
func (c *framedClient) read(t testing.TB) string {
	t.Helper()
	buf := make([]byte, 4096)
	for len(c.got) == 0 {
		n, err := c.Read(buf)
		c.codec.read(buf[:n], func(p []byte) { c.got = append(c.got, string(p)) })
		if err == io.EOF && len(c.got) == 0 {
			return ""
		}
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	text := c.got[0]
	c.got = c.got[1:]
	return text
}

// layerCase is a layer that others may be on top of.
type layerCase struct {
	name    string
	tls     bool
	std     bool
	version uint16
	lower   string
}

var layerCases = []layerCase{
	{"plain", false, false, 0, "*poller.plain"},
	{"lean TLS", true, false, tls.VersionTLS13, "*poller.leanTLS"},
	{"crypto/tls, TLS 1.3", true, true, tls.VersionTLS13, "*poller.stdTLS"},
	{"crypto/tls, TLS 1.2", true, false, tls.VersionTLS12, "*poller.stdTLS"},
}

// serveFramed serves connections that have a framed layer on top of the listener's layer.
func serveFramed(t *testing.T, lc *layerCase, data func(e *echo, p []byte) int) (addr string, conns chan *echo) {
	conns = make(chan *echo, 1)
	var cfg *tls.Config
	if lc.tls {
		cfg = testTLS(t)
	}
	p, err := New(Config{Loops: 1, StdTLS: lc.std, Accept: func(c *Conn, _ *Listener) Handler {
		e := &echo{c: c, data: data, closed: make(chan error, 1)}
		c.mu.Lock()
		c.layer = &framed{c: c, below: c.layer}
		c.mu.Unlock()
		conns <- e
		return e
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	l, err := p.Listen("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), conns
}

func dialFramed(t *testing.T, addr string, version uint16) *framedClient {
	raw := dial(t, addr)
	if version == 0 {
		return &framedClient{Conn: raw}
	}
	return &framedClient{Conn: tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})}
}

// connectFramed connects to a server that echoes.
func connectFramed(t *testing.T, addr string, version uint16, conns chan *echo) (*framedClient, *echo) {
	t.Helper()
	client := dialFramed(t, addr, version)
	_, _ = client.Write(client.frame("x"))
	if got := client.read(t); got != "x" {
		t.Fatalf("got %q", got)
	}
	return client, <-conns
}

// TestLayersNest: a layer works on top of each of the others, through a handler and a
// socket: messages stay intact however they are split, a pause loses nothing and
// preserves the order, and both layers see both ends.
func TestLayersNest(t *testing.T) {
	for _, c := range layerCases {
		t.Run(c.name, func(t *testing.T) {
			addr, conns := serveFramed(t, &c, func(e *echo, p []byte) int {
				if strings.HasPrefix(string(p), "pause") {
					e.c.Pause()
					e.c.Resume() // soon; until then, input waits
				}
				if err := e.c.Queue(fmt.Appendf(nil, "[%s]", p)); err != nil {
					t.Error(err)
				}
				e.c.Flush()
				return len(p)
			})
			client := dialFramed(t, addr, c.version)
			want := func(text string) {
				t.Helper()
				if got := client.read(t); got != text {
					t.Fatalf("got %q, want %q", got, text)
				}
			}
			for _, b := range client.frame("byte by byte") {
				if _, err := client.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			want("[byte by byte]")
			if _, err := client.Write(append(client.frame("one"), client.frame(strings.Repeat("x", 40_000))...)); err != nil {
				t.Fatal(err)
			}
			want("[one]")
			want("[" + strings.Repeat("x", 40_000) + "]")

			e := <-conns
			onLoop(e.c, func() bool {
				top, _ := e.c.layer.(*framed)
				if got := fmt.Sprintf("%T", top.below); got != c.lower {
					t.Errorf("the layer below is %s, want %s", got, c.lower)
				}
				if e.c.Secure() != c.tls {
					t.Errorf("secure: %v", e.c.Secure())
				}
				return true
			})

			var all []byte
			for i := range 20 {
				all = append(all, client.frame(fmt.Sprint("pause ", i))...)
			}
			if _, err := client.Write(all); err != nil {
				t.Fatal(err)
			}
			got := ""
			for strings.Count(got, "pause") < 20 {
				got += client.read(t)
			}
			text := strings.NewReplacer("[", "", "]", "").Replace(got)
			for i := range 20 {
				if part := fmt.Sprint("pause ", i); !strings.HasPrefix(text, part) {
					t.Fatalf("%q does not begin with %q", text, part)
				} else {
					text = text[len(part):]
				}
			}

			if _, err := client.Write(client.frame("")); err != nil {
				t.Fatal(err)
			}
			if err := client.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if !c.tls { // for TLS, the end of the records is enough
				want("")
			}
			if err := reason(t, e); err != io.EOF {
				t.Errorf("a proper end: %v, want EOF", err)
			}
		})
	}
}

// TestLayersEnd: closing sends the last message of each layer, from top to bottom. If the
// peer only ends the lower layer, that is not a proper end.
func TestLayersEnd(t *testing.T) {
	for _, c := range layerCases {
		t.Run(c.name, func(t *testing.T) {
			addr, conns := serveFramed(t, &c, nil)
			client, e := connectFramed(t, addr, c.version, conns)
			_ = e.c.Queue([]byte("last words"))
			e.c.Close(time.Minute)
			if got := client.read(t); got != "last words" {
				t.Errorf("got %q", got)
			}
			if got := client.read(t); got != "" || !client.codec.ended {
				t.Errorf("got %q, and the end of the frames: %v", got, client.codec.ended)
			}
			_ = client.Close()
			if err := reason(t, e); err != nil {
				t.Errorf("our end: %v", err)
			}

			client, e = connectFramed(t, addr, c.version, conns)
			_ = client.Conn.(interface{ CloseWrite() error }).CloseWrite()
			if c.tls {
				_ = client.Conn.(*tls.Conn).NetConn().(*net.TCPConn).CloseWrite()
			}
			if err := reason(t, e); err != errNoEnd {
				t.Errorf("without an empty frame: %v", err)
			}
		})
	}
}

// TestLayersSealInOrder: messages queued by many goroutines are numbered by the upper
// layer and sealed by the lower layer in the same order.
func TestLayersSealInOrder(t *testing.T) {
	const writers, each = 4, 300
	for _, c := range layerCases {
		t.Run(c.name, func(t *testing.T) {
			addr, conns := serveFramed(t, &c, nil)
			client, e := connectFramed(t, addr, c.version, conns)
			var wg sync.WaitGroup
			defer wg.Wait()
			for w := range writers {
				wg.Go(func() {
					for i := range each {
						if err := e.c.Queue(fmt.Appendf(nil, "%d %d", w, i)); err != nil {
							t.Error(err)
						}
						e.c.Flush()
					}
				})
			}
			next := make([]int, writers)
			for range writers * each {
				var w, i int
				text := client.read(t)
				if _, err := fmt.Sscanf(text, "%d %d", &w, &i); err != nil || i != next[w] {
					t.Fatalf("got %q, want message %d of that writer", text, next[w])
				}
				next[w]++
			}
		})
	}
}

// TestQueueMessages: several messages that are queued together are separate messages for the
// layer, one write for the limits of the outbox, and queued all or not at all.
func TestQueueMessages(t *testing.T) {
	for _, c := range layerCases {
		t.Run(c.name, func(t *testing.T) {
			addr, conns := serveFramed(t, &c, nil)
			client, e := connectFramed(t, addr, c.version, conns)
			change := *e.c.loop.p.config()
			change.Outbox, change.LargeWrite = 1000, 30_000
			e.c.loop.p.settings.Store(&change)
			e.c.Authenticated() // before it, there are no large writes
			if err := e.c.Queue([]byte("first")); err != nil {
				t.Fatal(err)
			}
			big := strings.Repeat("a", 20_000)
			if err := e.c.QueueMessages([]byte(big+"bccc"), []int{20_000, 20_001, 20_004}, false); err != nil {
				t.Fatalf("one large write: %v", err)
			}
			if err := e.c.QueueMessages([]byte(big+big), []int{20_000, 40_000}, false); err != ErrFull {
				t.Errorf("another one: %v, want ErrFull", err)
			}
			e.c.Flush()
			for _, want := range []string{"first", big, "b", "ccc"} {
				if got := client.read(t); got != want {
					t.Fatalf("got %.20q of %d bytes, want %.20q", got, len(got), want)
				}
			}
			e.c.Reserve()
			if err := e.c.QueueMessages([]byte("x"), []int{1}, false); err != ErrReserved {
				t.Errorf("after Reserve: %v", err)
			}
			if err := e.c.QueueMessages([]byte("yz"), []int{1, 2}, true); err != nil {
				t.Errorf("of the owner of the outbox: %v", err)
			}
			e.c.Flush()
			if a, b := client.read(t), client.read(t); a != "y" || b != "z" {
				t.Errorf("got %q and %q", a, b)
			}
			_ = e.c.QueueMessages(nil, nil, true)
		})
	}
}
