//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// randomHandler echoes like a real handler with little memory: when the outbox is full it
// pauses until it is drained. At random it pauses without a reason, consumes a part of
// its input, and is resumed from another goroutine.
type randomHandler struct {
	t      *testing.T
	c      *Conn
	rnd    *rand.Rand // loop
	inside bool       // loop
	closed int        // loop
	wg     *sync.WaitGroup
}

func (h *randomHandler) Data(_ int, p []byte) int {
	if h.inside || h.closed > 0 {
		h.t.Error("Data within Data or after Closed")
	}
	h.inside = true
	defer func() { h.inside = false }()
	n := len(p)
	if h.rnd.IntN(4) == 0 {
		n = h.rnd.IntN(n + 1)
	}
	err := h.c.Queue(p[:n])
	if err == ErrFull {
		// Drained is only called after the socket was full, not after output was queued
		// without a flush.
		if !h.c.Flush() {
			err = h.c.Queue(p[:n])
		}
	}
	switch err {
	case nil:
		if h.rnd.IntN(8) > 0 {
			h.c.Flush()
		} else {
			h.c.Post(func(int) { h.c.Flush() })
		}
	case ErrFull:
		h.c.Pause() // until Drained
		return 0
	default:
		return len(p) // the connection has ended
	}
	if n < len(p) || h.rnd.IntN(8) == 0 {
		h.c.Pause()
		delay := time.Duration(h.rnd.IntN(300)) * time.Microsecond // any value: no check depends on it
		h.wg.Go(func() { time.Sleep(delay); h.c.Resume() })
	}
	return n
}

func (h *randomHandler) Secured(int, *tls.ConnectionState, *x509.Certificate) {}

func (h *randomHandler) KeepAlive([]byte) bool { return false }
func (h *randomHandler) Drained(int)           { h.c.Resume() }

// Expired leaves the end to the poller.
func (h *randomHandler) Expired(int, error) {}

func (h *randomHandler) Closed(int, error) {
	if h.closed++; h.closed > 1 {
		h.t.Error("Closed twice")
	}
}

// TestRandomOperations: for any random operations of a handler and a peer, every byte
// comes back in order, also to a peer that has closed its side, each connection ends
// once, and resets do not affect other connections.
func TestRandomOperations(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v/seed=%d", secure, seed), func(t *testing.T) {
			runRandom(t, seed, secure)
		})
	}
}

func runRandom(t *testing.T, seed uint64, secure bool) {
	const conns = 40
	var handlers, clients sync.WaitGroup
	var made uint64 // under mu
	cfg := Config{Loops: 2, Outbox: 16 << 10, ReadBuffer: 8 << 10}
	var mu sync.Mutex
	cfg.Accept = func(c *Conn, _ *Listener) Handler {
		mu.Lock()
		defer mu.Unlock()
		made++
		return &randomHandler{t: t, c: c, rnd: rand.New(rand.NewPCG(seed, made)), wg: &handlers}
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Listen("127.0.0.1:0", tlsIf(t, secure))
	if err != nil {
		t.Fatal(err)
	}
	quickly(t, p)
	for i := range uint64(conns) {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 1000+i))
			if err := randomClient(rnd, l.Addr().String(), secure, i%4 == 3); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	clients.Wait()
	eventually(t, "all closed", func() bool { return p.Stats().Conns == 0 })
	handlers.Wait()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// randomClient writes and reads pieces of random sizes, and ends by closing its side and
// reading to the end, or by a reset in the middle.
func randomClient(rnd *rand.Rand, addr string, secure, reset bool) error {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(waitLimit))
	_ = raw.(*net.TCPConn).SetReadBuffer(4096 << rnd.IntN(6))
	c := raw.(halfCloser)
	if secure {
		c = tlsClient(raw)
	}
	sent := make([]byte, 1<<(10+rnd.IntN(9)))
	for i := range sent {
		sent[i] = byte(rnd.Uint32())
	}
	wrote := make(chan error, 1)
	pieces := rand.New(rand.NewPCG(rnd.Uint64(), 0))
	go func() {
		for p := sent; len(p) > 0; {
			n := min(1+pieces.IntN(20_000), len(p))
			if _, err := c.Write(p[:n]); err != nil {
				wrote <- err
				return
			}
			p = p[n:]
			time.Sleep(time.Duration(pieces.IntN(200)) * time.Microsecond) // random, like everything else here
		}
		if reset {
			wrote <- nil
			return
		}
		wrote <- c.CloseWrite()
	}()
	if reset {
		_, _ = io.ReadFull(c, make([]byte, rnd.IntN(len(sent))))
		_ = raw.(*net.TCPConn).SetLinger(0)
		_ = raw.Close()
		<-wrote
		return nil
	}
	var got bytes.Buffer
	for {
		_, err := io.CopyN(&got, c, int64(1+rnd.IntN(20_000)))
		if err != nil && err != io.EOF {
			return fmt.Errorf("after %d bytes of %d: %w", got.Len(), len(sent), err)
		}
		if err == io.EOF {
			break
		}
		time.Sleep(time.Duration(rnd.IntN(500)) * time.Microsecond)
	}
	if err := <-wrote; err != nil {
		return err
	}
	if !bytes.Equal(got.Bytes(), sent) {
		return fmt.Errorf("%d bytes came back of %d, or others", got.Len(), len(sent))
	}
	return nil
}

// halfCloser is a connection whose write side can be closed separately.
type halfCloser interface {
	io.ReadWriter
	CloseWrite() error
}

func tlsClient(raw net.Conn) halfCloser {
	return tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
}

func tlsIf(t *testing.T, secure bool) *tls.Config {
	if !secure {
		return nil
	}
	return testTLS(t)
}
