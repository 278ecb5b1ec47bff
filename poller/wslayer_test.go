//go:build linux

package poller

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"roost/poller/websocket"
)

// TestWebSocket: messages stay intact over every layer, however their bytes are split and
// whether the handler pauses or not, control frames get their responses, and both sides can
// close.
func TestWebSocket(t *testing.T) {
	long := strings.Repeat("0123456789", 7000)
	whole := messageFrame(long)
	session := messageFrame("one") + masked(ws.OpText, false, "tw") + masked(ws.OpPing, true, "p1") + masked(ws.OpContinuation, false, "") +
		masked(ws.OpContinuation, true, "o") + messageFrame("x") + masked(ws.OpPong, true, "unasked") + whole + masked(ws.OpText, false, "last") +
		masked(ws.OpContinuation, true, "") + masked(ws.OpClose, true, "\x03\xe8bye")
	for _, c := range layerCases {
		for _, split := range []bool{false, true} {
			for _, size := range []int{1 << 20, 1000, 1} {
				if size == 1 && (c.tls || split) {
					continue
				}
				t.Run(fmt.Sprintf("%s, pauses %v, pieces of %d", c.name, split, size), func(t *testing.T) {
					var cfg *tls.Config
					if c.tls {
						cfg = testTLS(t)
					}
					s := serveWeb(t, Config{StdTLS: c.std, UnauthMemory: -1}, cfg, netip.Addr{}, split) // or the outbox is small
					long, text := long, session
					if size == 1 {
						long = long[:300]
						text = strings.Replace(session, whole, messageFrame(long), 1)
					}
					client := s.dialWeb(t, c.version, "", "")
					done := make(chan struct{})
					go func() {
						defer close(done)
						for p := text; len(p) > 0; p = p[min(size, len(p)):] {
							if _, err := io.WriteString(client.Conn, p[:min(size, len(p))]); err != nil {
								return
							}
						}
					}()
					var got []string
					for len(got) < 7 {
						got = append(got, client.read())
					}
					<-done
					h := <-s.speakers
					messages := h.messages
					if i := slices.Index(got, "10 p1"); i < 0 {
						t.Error("no pong")
					} else {
						got = slices.Delete(got, i, i+1)
					}
					if want := []string{"one", "two", "x[inserted]", long, "last", "close 1000"}; !slices.Equal(got, want) {
						t.Errorf("got %.60q", got)
					}
					if err := h.ended(t); err != io.EOF {
						t.Errorf("ended with %v, want EOF", err)
					}
					if !messages {
						t.Error("the connection has no messages")
					}
					if h.secured != c.tls {
						t.Errorf("secured: %v", h.secured)
					}
				})
			}
		}
	}
}

// TestWebSocketEnds: each end of a connection gets the right close frame and error.
func TestWebSocketEnds(t *testing.T) {
	for _, c := range layerCases {
		t.Run(c.name, func(t *testing.T) {
			var cfg *tls.Config
			if c.tls {
				cfg = testTLS(t)
			}
			s := serveWeb(t, Config{StdTLS: c.std}, cfg, netip.Addr{}, false)
			f := func(send, answer, end string) {
				t.Helper()
				client := s.dialWeb(t, c.version, "", messageFrame("a"))
				client.want("a")
				client.write(send + messageFrame("after the end"))
				if answer != "" {
					client.want(answer, "EOF")
				}
				_ = client.Close()
				if err := (<-s.speakers).ended(t); fmt.Sprint(err) != end {
					t.Errorf("%q: ended with %v, want %s", send, err, end)
				}
			}
			f(masked(ws.OpClose, true, "\x0b\xb8"), "close 3000", "EOF")
			f(masked(ws.OpClose, true, ""), "8 ", "EOF")
			violation := func(code int) string {
				return fmt.Sprintf("websocket: the client has violated the protocol (close code %d)", code)
			}
			f(masked(ws.OpClose, true, "\x03"), "close 1002", violation(1002))
			f(masked(ws.OpClose, true, "\x03\xed"), "close 1002", violation(1002)) // 1005
			f(masked(ws.OpClose, true, "\x03\xe8\xff"), "close 1007", violation(1007))
			f(masked(ws.OpBinary, true, "x"), "close 1003", violation(1003))
			f("\x81\x01a", "close 1002", violation(1002))
			f("\x81\xff\x00\x00\x00\x00\xff\xff\xff\xff1234", "close 1009", violation(1009))
			if x := s.Stats(); x.WebSocketConns != 0 || x.WebSockets != 8 || x.WebSocketFailures != [FrameFailures]int64{3, 1, 1, 1} || x.TLSFailed != [HandshakeFailures]int64{} {
				t.Errorf("counted %d connections, %d of them open, failures %v, of TLS %v", x.WebSockets, x.WebSocketConns, x.WebSocketFailures, x.TLSFailed)
			}

			client := s.dialWeb(t, c.version, "", messageFrame("a")) // the server ends
			client.want("a")
			if n := s.Stats().WebSocketConns; n != 1 {
				t.Errorf("%d connections are open, want 1", n)
			}
			h := <-s.speakers
			_ = h.c.Queue([]byte("last words"))
			h.c.Close(time.Minute)
			client.want("last words", "close 1000", "EOF")
			_ = client.Close()
			if err := h.ended(t); err != nil {
				t.Errorf("our end: %v", err)
			}

			client = s.dialWeb(t, c.version, "", messageFrame("a")) // no close frame
			client.want("a")
			_ = client.Conn.(interface{ CloseWrite() error }).CloseWrite()
			if c.tls {
				_ = client.Conn.(*tls.Conn).NetConn().(*net.TCPConn).CloseWrite()
			}
			if err := (<-s.speakers).ended(t); err != ErrNoClose {
				t.Errorf("without a close frame: %v", err)
			}
		})
	}
}

// TestWebSocketRequests: what is not a request for the endpoint gets a response, and no
// handler; the request may arrive in pieces.
func TestWebSocketRequests(t *testing.T) {
	s := serveWeb(t, Config{}, nil, netip.Addr{}, false)
	f := func(request string, status int, body string) {
		t.Helper()
		c := dial(t, s.addr)
		for _, p := range []string{request[:len(request)/2], request[len(request)/2:]} {
			_, _ = io.WriteString(c, p)
		}
		all, err := io.ReadAll(c)
		if err != nil && len(all) == 0 {
			t.Fatalf("%.60q: %v", request, err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(all)), nil)
		if err != nil {
			t.Fatalf("%.60q: %v in %q", request, err, all)
		}
		got, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status || !strings.Contains(string(got), body) {
			t.Errorf("%.60q: %s %q, want %d %q", request, resp.Status, got, status, body)
		}
	}
	field := func(old, changed string) string { return strings.Replace(webRequestText, old, changed, 1) + "\r\n" }
	f(field("GET /ws", "GET /elsewhere"), 404, "another path")
	f(field("GET /ws", "POST /ws"), 405, "")
	f(field("HTTP/1.1", "HTTP/1.0"), 505, "")
	f(field("Version: 13", "Version: 8"), 426, "")
	f(field("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400, "")
	f(field("Upgrade: websocket\r\n", ""), 400, "")
	f(field("Host: a\r\n", ""), 400, "")
	f(field("other, xmpp", "other"), 400, "subprotocol xmpp")
	f(field("Host: a\r\n", "Host: a\r\nOrigin: https://bad.example\r\n"), 403, "origin")
	f(field("Host: a\r\n", "Host: a\r\nno field\r\n"), 400, "")
	f("GET /page?x HTTP/1.1\r\nHost: the.host:123\r\n\r\n", 200, "for the.host:123")
	f("HEAD /page HTTP/1.1\r\nHost: b\r\n\r\n", 200, "")
	f("GET /none HTTP/1.1\r\nHost: b\r\n\r\n", 404, "")
	f("<stream:stream xmlns='jabber:client'>", 400, "not an HTTP request")
	f("\x16\x03\x01\x02\x00\x01\x00\x01", 400, "not an HTTP request")
	f("GET /ws HTTP/1.1\r\nHost: "+strings.Repeat("a", websocket.MaxRequest), 431, "too long")
	if x := s.Stats(); x.WebSockets != 0 || x.WebSocketPages != 2 || x.WebSocketRefused != 14 || x.Unauth != 0 {
		t.Errorf("counted %d connections, %d pages, %d refused; %d bytes held", x.WebSockets, x.WebSocketPages, x.WebSocketRefused, x.Unauth)
	}
	if len(s.speakers) != 0 {
		t.Error("there is a handler")
	}
	s.dialWeb(t, 0, "Origin: https://good.example\r\n", messageFrame("a")).want("a")
}

// TestWebSocketProxy: a listed proxy needs no TLS, and its requests name the client, to whom
// the limits apply.
func TestWebSocketProxy(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	s := serveWeb(t, Config{MaxPerAddress: 1, Blocked: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.66") }}, testTLS(t), loopback, false)
	first := s.dialWeb(t, 0, "X-Forwarded-For: 10.0.0.1, 192.0.2.1\r\n", messageFrame("a"))
	first.want("a")
	h := <-s.speakers
	if got := h.c.RemoteAddr().Addr(); got != netip.MustParseAddr("192.0.2.1") || !h.c.Secure() {
		t.Errorf("the client is %v, secure: %v", got, h.c.Secure())
	}
	refused := func(client string) {
		t.Helper()
		c := dial(t, s.addr)
		_, _ = io.WriteString(c, webRequestText+"X-Forwarded-For: "+client+"\r\n\r\n")
		if p, err := io.ReadAll(c); len(p) > 0 {
			t.Errorf("%s: got %q, %v", client, p, err)
		}
	}
	refused("192.0.2.1")  // has one already
	refused("192.0.2.66") // blocked
	s.dialWeb(t, 0, "X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: https\r\n", messageFrame("b")).want("b")
	if h := <-s.speakers; !h.c.Secure() {
		t.Error("not secure")
	}
	s.dialWeb(t, 0, "X-Forwarded-Proto: http\r\n", messageFrame("c")).want("c")
	if h := <-s.speakers; h.c.Secure() || h.c.RemoteAddr().Addr() != loopback {
		t.Errorf("secure: %v, from %v", h.c.Secure(), h.c.RemoteAddr())
	}
	_ = first.Close()
	_ = h.ended(t)
	s.dialWeb(t, 0, "X-Forwarded-For: 192.0.2.1\r\n", messageFrame("d")).want("d")

	other := serveWeb(t, Config{}, nil, netip.Addr{}, false) // not a proxy: the field means nothing
	other.dialWeb(t, 0, "X-Forwarded-For: 192.0.2.1\r\n", messageFrame("a")).want("a")
	if h := <-other.speakers; h.c.RemoteAddr().Addr() != loopback || h.c.Secure() {
		t.Errorf("from %v, secure: %v", h.c.RemoteAddr(), h.c.Secure())
	}
}

// TestPageProxy: the client that a proxy names is asked about before a page is made for it, and
// the limits apply until its connection ends.
func TestPageProxy(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	type asked struct {
		from    netip.AddrPort
		respond func(*websocket.Page)
	}
	pages := make(chan asked, 1)
	page := func(_ *websocket.PageRequest, from netip.AddrPort, _ bool, respond func(*websocket.Page)) {
		pages <- asked{from, respond}
	}
	blocked := func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.66") }
	s := serveWeb(t, Config{MaxPerAddress: 1, Blocked: blocked, WebSocket: &WebSocket{Page: page}}, nil, loopback, false)
	ask := func(client string) net.Conn {
		t.Helper()
		c := dial(t, s.addr)
		request := "GET /late HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: " + client + "\r\n\r\n"
		for _, part := range []string{request[:9], request[9:]} { // so that the first part is kept
			if _, err := io.WriteString(c, part); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	refused := func(client string) {
		t.Helper()
		if p, err := io.ReadAll(ask(client)); len(p) > 0 {
			t.Errorf("%s: got %q, %v", client, p, err)
		}
	}
	refused("192.0.2.66")
	first := ask("192.0.2.1")
	x := <-pages
	if x.from.Addr() != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("asked for %v", x.from)
	}
	refused("192.0.2.1")
	x.respond(&websocket.Page{Status: 200, Body: "a page"})
	if p, err := io.ReadAll(first); !strings.HasSuffix(string(p), "a page") {
		t.Errorf("got %q, %v", p, err)
	}
	_ = first.Close()
	eventually(t, "the connection to end", func() bool { return s.Stats().Conns == 0 })
	second := ask("192.0.2.1")
	(<-pages).respond(&websocket.Page{Status: 200, Body: "again"})
	if p, err := io.ReadAll(second); !strings.HasSuffix(string(p), "again") {
		t.Errorf("got %q, %v", p, err)
	}
}

// TestPageMemory: a request that waits for its page counts as memory before login. If there is not
// enough, the connection ends, and no page is made.
func TestPageMemory(t *testing.T) {
	responds := make(chan func(*websocket.Page), 2)
	page := func(_ *websocket.PageRequest, _ netip.AddrPort, _ bool, respond func(*websocket.Page)) {
		responds <- respond
	}
	s := serveWeb(t, Config{UnauthMemory: 20 << 10, WebSocket: &WebSocket{Page: page}}, nil, netip.Addr{}, false)
	request := "POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 7000\r\n\r\n" + strings.Repeat("x", 7000)
	ask := func() net.Conn {
		t.Helper()
		c := dial(t, s.addr)
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := ask()
	respond := <-responds
	if held := s.Stats().Unauth; held < int64(len(request)) {
		t.Errorf("%d bytes are counted, want at least %d", held, len(request))
	}
	if p, _ := io.ReadAll(ask()); len(p) > 0 || len(responds) > 0 {
		t.Errorf("got %q, and %d pages are made", p, len(responds))
	}
	respond(&websocket.Page{Status: 200, Body: "a page"})
	if p, err := io.ReadAll(first); !strings.HasSuffix(string(p), "a page") {
		t.Errorf("got %q, %v", p, err)
	}
	_ = first.Close()
	eventually(t, "the memory to be free", func() bool { return s.Stats().Unauth == 0 })
}

// TestWebSocketPlug: a connection that gets the socket of another one continues in the middle
// of a message.
func TestWebSocketPlug(t *testing.T) {
	s := serveWeb(t, Config{}, testTLS(t), netip.Addr{}, false)
	first := s.dialWeb(t, tls.VersionTLS13, "", messageFrame("a"))
	first.want("a")
	a := <-s.speakers
	second := s.dialWeb(t, tls.VersionTLS13, "", messageFrame("b"))
	second.want("b")
	b := <-s.speakers
	b.c.Authenticated()
	text := messageFrame("x in two parts")
	second.write(text[:9])
	plugged := make(chan error, 1)
	var poll func(int)
	poll = func(int) {
		if len(b.have) != 3 { // the part that has arrived
			b.c.Post(poll)
			return
		}
		x := b.c.Unplug()
		a.c.Unplug().Close(0)
		a.have = append(a.have, b.have...)
		c, err := a.c.Plug(x, a)
		if err == nil {
			a.c = c.(*Conn)
			a.c.Resume()
		}
		plugged <- err
	}
	b.c.Post(poll)
	if err := <-plugged; err != nil {
		t.Fatal(err)
	}
	second.write(text[9:])
	second.want("x[inserted] in two parts")
	second.write(masked(ws.OpClose, true, "\x03\xe8"))
	second.want("close 1000")
	if err := a.ended(t); err != io.EOF {
		t.Error(err)
	}
}
