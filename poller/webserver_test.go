//go:build linux

package poller

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"roost/poller/websocket"
)

// speaker is a handler of messages: it echoes each complete message.
type speaker struct {
	c        *Conn
	have     []byte
	split    bool // pause in the middle of each part, and at its end
	secured  bool // Secured was called
	messages bool // the connection had messages when it was accepted
	closed   chan error
}

func (s *speaker) Message(_ int, p []byte, last bool) int {
	n := len(p)
	if s.split && n > 0 {
		s.c.Pause()
		s.c.Resume()
		if n > 1 {
			s.have = append(s.have, p[:n/2]...)
			return n / 2
		}
	}
	s.have = append(s.have, p...)
	if last {
		_ = s.c.Queue(s.have)
		s.c.Flush()
		s.have = s.have[:0]
	}
	return n
}

func (s *speaker) Data(int, []byte) int                                 { panic("a stream") }
func (s *speaker) KeepAlive([]byte) bool                                { return false }
func (s *speaker) Secured(int, *tls.ConnectionState, *x509.Certificate) { s.secured = true }
func (s *speaker) Drained(int)                                          {}
func (s *speaker) Expired(int, error)                                   {}
func (s *speaker) Closed(_ int, err error)                              { s.closed <- err }

// webServer is a poller with a listener for WebSocket. Messages that begin with "x" get
// "[inserted]" after it.
type webServer struct {
	*Poller
	addr     string
	speakers chan *speaker
}

func serveWeb(t testing.TB, cfg Config, tlsConfig *tls.Config, proxy netip.Addr, split bool) *webServer {
	t.Helper()
	s := &webServer{speakers: make(chan *speaker, 100)}
	requests := &websocket.Config{Path: "/ws", Protocol: "xmpp", Origins: []string{"https://good.example"}, Page: func(path, host string) *websocket.Page {
		if path == "/page" {
			return &websocket.Page{Type: "text/plain", Body: "for " + host}
		}
		return nil
	}, Late: func(path string) bool { return path == "/late" }}
	var page func(*websocket.PageRequest, netip.AddrPort, bool, func(*websocket.Page))
	if cfg.WebSocket != nil {
		page = cfg.WebSocket.Page
	}
	cfg.Loops = 1
	cfg.WebSocket = &WebSocket{
		Page:   page,
		Config: func() *websocket.Config { return requests },
		Proxy:  func(a netip.Addr) bool { return a == proxy },
		Insert: func(p []byte) (int, string) {
			if p[0] == 'x' {
				return 1, "[inserted]"
			}
			return 0, ""
		},
	}
	cfg.Accept = func(c *Conn, _ *Listener) Handler {
		h := &speaker{c: c, split: split, messages: c.Messages(), closed: make(chan error, 1)}
		s.speakers <- h
		return h
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	l, err := p.ListenWebSocket("127.0.0.1:0", tlsConfig)
	if err != nil {
		t.Fatal(err)
	}
	s.Poller, s.addr = p, l.Addr().String()
	return s
}

const webRequestText = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: other, xmpp\r\n"

// webClient is a client after its request.
type webClient struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

// dialWeb connects and sends a request with additional header fields, and bytes after it.
func (s *webServer) dialWeb(t testing.TB, version uint16, fields, after string) *webClient {
	t.Helper()
	var c net.Conn = dial(t, s.addr)
	if version != 0 {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
	}
	w := &webClient{t: t, Conn: c, r: bufio.NewReader(c)}
	w.write(webRequestText + fields + "\r\n" + after)
	if resp := w.response(); resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Protocol") != "xmpp" ||
		resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	return w
}

func (w *webClient) write(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, text); err != nil {
		w.t.Fatal(err)
	}
}

func (w *webClient) response() *http.Response {
	w.t.Helper()
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// read returns the next frame: its opcode and payload.
func (w *webClient) read() string {
	w.t.Helper()
	h, err := ws.ReadHeader(w.r)
	if err != nil {
		return err.Error()
	}
	p := make([]byte, h.Length)
	if _, err := io.ReadFull(w.r, p); err != nil || ws.CheckHeader(h, ws.StateClientSide) != nil || !h.Fin {
		return fmt.Sprintf("%v: %v", h, err)
	}
	switch {
	case h.OpCode == ws.OpClose && len(p) == 2:
		return fmt.Sprintf("close %d", binary.BigEndian.Uint16(p))
	case h.OpCode == ws.OpText:
		return string(p)
	}
	return fmt.Sprintf("%d %s", h.OpCode, p)
}

func (w *webClient) want(frames ...string) {
	w.t.Helper()
	for _, want := range frames {
		if got := w.read(); got != want {
			w.t.Fatalf("got %.200q, want %.200q", got, want)
		}
	}
}

// masked returns a client's frame.
func masked(op ws.OpCode, fin bool, payload string) string {
	var b bytes.Buffer
	_ = ws.WriteFrame(&b, ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload))))
	return b.String()
}

func messageFrame(payload string) string { return masked(ws.OpText, true, payload) }

// ended returns the error with which a connection has ended.
func (s *speaker) ended(t testing.TB) error {
	t.Helper()
	select {
	case err := <-s.closed:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the connection has not ended")
	}
	return nil
}
