package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"roost/internal/xmpptest"
	"roost/parser"
	"roost/poller"
	"roost/session"
	"roost/store"
	"roost/xep"
)

// webStream is a client's connection over WebSocket that behaves as a TCP connection: what is
// written are units of a stream, which are sent as messages, and the other way round.
type webStream struct {
	net.Conn
	r        *bufio.Reader
	fragment int // size of the fragments that messages are sent in; 0: one

	parser  parser.Parser
	scratch *parser.Scratch
	out     []byte // received, not read yet
	ended   bool
	code    ws.StatusCode // of the server's close frame
}

// webAddr returns the address of a server's listener for WebSocket.
func (s *Server) webAddr() string {
	for _, a := range s.Addrs() {
		if a.Name == webSocketListener {
			return a.Addr.String()
		}
	}
	return ""
}

// webDial opens a connection with TLS to a server's listener for WebSocket.
func (s *Server) webDial(t testing.TB) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.webAddr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// webRequest is a client's request for the endpoint.
func webRequest(fields ...string) string {
	all := append([]string{"GET /xmpp-websocket HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: xmpp"}, fields...)
	return strings.Join(all, "\r\n") + "\r\n\r\n"
}

// respond sends a request and returns the response.
func respond(t testing.TB, c net.Conn, request string) (*http.Response, *bufio.Reader) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(xmpptest.WaitLimit))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp, r
}

// openWeb opens a stream over a new connection.
func openWeb(t testing.TB, c net.Conn, fields ...string) *webStream {
	t.Helper()
	resp, r := respond(t, c, webRequest(fields...))
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Protocol") != "xmpp" || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("%s, %v", resp.Status, resp.Header)
	}
	return &webStream{Conn: c, r: r, scratch: parser.NewScratch(parser.Limits{MaxStanza: 1 << 20})}
}

const framingNS = "urn:ietf:params:xml:ns:xmpp-framing"

func (w *webStream) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if trimmed := bytes.TrimLeft(rest, " \t\r\n"); w.parser.Idle() && (bytes.HasPrefix(trimmed, []byte("<?xml")) || bytes.HasPrefix(trimmed, []byte("<stream:stream"))) {
			w.parser.Reset()
			rest = trimmed
		}
		ev, n, err := w.parser.Next(w.scratch, rest)
		if err != nil {
			w.parser.Reset()
			return len(p), w.message(rest) // the server has to notice it
		}
		rest = rest[n:]
		root := w.scratch.Tape().Root()
		switch ev {
		case parser.StreamOpen:
			b := []byte("<open xmlns='" + framingNS + "'")
			for _, name := range []string{"to", "from", "version"} {
				if v := root.Attr(name); v != nil {
					b = append(parser.AppendEscaped(append(b, " "+name+"='"...), string(v)), '\'')
				}
			}
			if v := root.AttrNS("http://www.w3.org/XML/1998/namespace", "lang"); v != nil {
				b = append(parser.AppendEscaped(append(b, " xml:lang='"...), string(v)), '\'')
			}
			err = w.message(append(b, "/>"...))
		case parser.Stanza:
			b := root.AppendXML(nil)
			if at, declaration := session.DeclareNamespace(b); declaration != "" {
				b = append(append(append([]byte(nil), b[:at]...), declaration...), b[at:]...)
			}
			err = w.message(b)
		case parser.StreamClose:
			err = w.message([]byte("<close xmlns='" + framingNS + "'/>"))
		}
		if err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// message sends a message.
func (w *webStream) message(p []byte) error {
	var b bytes.Buffer
	op := ws.OpText
	for first := true; first || len(p) > 0; first = false {
		n := len(p)
		if w.fragment > 0 {
			n = min(n, w.fragment)
		}
		f := ws.MaskFrame(ws.NewFrame(op, n == len(p), p[:n]))
		if err := ws.WriteFrame(&b, f); err != nil {
			return err
		}
		op, p = ws.OpContinuation, p[n:]
	}
	_, err := w.Conn.Write(b.Bytes())
	return err
}

// control sends a control frame.
func (w *webStream) control(op ws.OpCode, payload string) error {
	var b bytes.Buffer
	if err := ws.WriteFrame(&b, ws.MaskFrame(ws.NewFrame(op, true, []byte(payload)))); err != nil {
		return err
	}
	_, err := w.Conn.Write(b.Bytes())
	return err
}

// errFrame is the error for a frame that the server must not send.
var errFrame = errors.New("a frame of the server is wrong")

// frame returns the next frame.
func (w *webStream) frame() (ws.Frame, error) {
	h, err := ws.ReadHeader(w.r)
	if err != nil {
		return ws.Frame{}, err
	}
	if err := ws.CheckHeader(h, ws.StateClientSide); err != nil {
		return ws.Frame{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	p := make([]byte, h.Length)
	_, err = io.ReadFull(w.r, p)
	return ws.Frame{Header: h, Payload: p}, err
}

func (w *webStream) Read(p []byte) (int, error) {
	for len(w.out) == 0 {
		if w.ended {
			return 0, io.EOF
		}
		f, err := w.frame()
		if err != nil {
			return 0, err
		}
		switch f.Header.OpCode {
		case ws.OpClose:
			_ = w.control(ws.OpClose, string(f.Payload))
			w.ended = true
			w.code, _ = ws.ParseCloseFrameData(f.Payload)
		case ws.OpText:
			w.out = streamed(f.Payload)
		default:
			return 0, errFrame
		}
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	return n, nil
}

// streamed returns a message as a part of a stream. A message that is no XML document by
// itself is returned as an error in the stream.
func streamed(message []byte) []byte {
	text := string(message)
	var p parser.Parser
	p.Documents()
	s := parser.NewScratch(parser.Limits{MaxStanza: 64 << 20})
	ev, n, err := p.Next(s, message)
	root := s.Tape().Root()
	switch {
	case ev != parser.Stanza || n != len(message) || err != nil:
		return []byte("<not-a-document/>")
	case strings.HasPrefix(text, "<open"):
		text = strings.Replace(text, "<open xmlns='"+framingNS+"'", "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'", 1)
		return []byte(strings.TrimSuffix(text, "/>") + ">")
	case strings.HasPrefix(text, "<close"):
		return []byte("</stream:stream>")
	case len(root.Space()) == 0:
		return []byte("<no-namespace/>")
	}
	return message
}

// dialogueXEP is what the dialogues of the extensions expect.
var dialogueXEP = xep.Config{
	Register: true, Iterations: store.MinIterations,
	Contacts:     map[string][]string{"abuse": {"mailto:abuse@localhost"}, "admin": {"mailto:xmpp@localhost", "xmpp:admin@localhost"}},
	OutageStatus: []string{"https://status.example.org/outage.json"},
}

// dialogueXEPOf returns the settings for a file.
func dialogueXEPOf(file string) xep.Config {
	cfg := dialogueXEP
	switch strings.TrimSuffix(filepath.Base(file), ".txt") {
	case "preauth", "commands":
		cfg.Register, cfg.Invitations, cfg.MaxInvitations = false, xep.InviteUsers, 4
	}
	return cfg
}

// TestWebSocketDialogues plays the dialogues of session, router and xep over WebSocket with
// TLS: with whole messages, and with one fragment for each byte. Most of their time is
// waiting, so they are played at the same time.
func TestWebSocketDialogues(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]string{
		"01-header-errors": "it is about the headers of RFC 6120",
		"05-first-level":   "it uses a prefix that the header declares",
		"08-sasl-space":    "there is no white space between messages",
		"68-sasl2":         "there is no white space between messages",
		"16-sasl.txt":      "it compares the features, which have channel bindings here",
		"27-language":      "a message does not inherit a language",
		"27-no-prefix":     "it is about the headers of RFC 6120",
		"invitation.txt":   "an invitation has a page here",
		"38-many-requests": "no operator sets this limit: only the router's own tests do",
	}
	for _, dir := range []string{"session", "router", "xep"} {
		files, err := filepath.Glob("../" + dir + "/testdata/*.txt")
		if err != nil || len(files) == 0 {
			t.Fatalf("no dialogues of %s: %v", dir, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				for part, why := range elsewhere {
					if strings.Contains(file, part) {
						t.Skip(why)
					}
				}
				d, err := xmpptest.Load(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, fragment := range []int{0, 1} {
					dir := t.TempDir()
					start := func() (*Server, func(...*peer)) {
						return restartable(t, func(cfg *Config) {
							configureFor(file, cfg)
							cfg.XEP = dialogueXEPOf(file)
							cfg.WebSocket.Addr, cfg.DataDir = "127.0.0.1:0", dir
							cfg.Session.Linger = 100 * time.Millisecond // clients do not close their connections at a restart
						})
					}
					s, stop := start()
					restart := func() error {
						stop()
						s, stop = start()
						return nil
					}
					dial := func() (net.Conn, error) {
						w := openWeb(t, s.webDial(t))
						w.fragment = fragment
						return w, nil
					}
					if err := (xmpptest.Player{Dial: dial, Restart: restart}).Play(d); err != nil {
						t.Errorf("fragments of %d bytes: %v", fragment, err)
					}
				}
			})
		}
	}
}

// TestHostMeta: the listener serves the documents by which clients find the endpoint
// (XEP-0156), to pages of all origins. The URL is the configured one, or made of the domain
// that the client has asked.
func TestHostMeta(t *testing.T) {
	s := startServer(t, func(cfg *Config) {
		cfg.Domains = []string{"localhost", "example.net"}
		cfg.WebSocket.Addr = "127.0.0.1:0"
	})
	_, port, _ := net.SplitHostPort(s.webAddr())
	get := func(path, host, kind string) string {
		t.Helper()
		resp, _ := respond(t, s.webDial(t), "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != kind || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %s, %v, %v", path, resp.Status, resp.Header, err)
		}
		return string(body)
	}
	xrd := func(url string) string {
		return "<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n" +
			"  <Link rel='urn:xmpp:alt-connections:websocket' href='" + url + "'/>\n</XRD>\n"
	}
	for host, domain := range map[string]string{"localhost": "localhost", "Example.NET:" + port: "example.net", "evil.example": "localhost", "": "localhost"} {
		if got, want := get("/.well-known/host-meta", host, "application/xrd+xml"), xrd("wss://"+domain+":"+port+"/xmpp-websocket"); got != want {
			t.Errorf("for %q: %s\nwant %s", host, got, want)
		}
	}
	want := `{"links":[{"rel":"urn:xmpp:alt-connections:websocket","href":"wss://localhost:` + port + `/xmpp-websocket"}]}` + "\n"
	if got := get("/.well-known/host-meta.json", "localhost", "application/json"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	cfg := *s.config()
	cfg.WebSocket.URL, cfg.WebSocket.Path = "wss://chat.example.org/x?a='&b", "/other"
	if err := s.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got, want := get("/.well-known/host-meta", "localhost", "application/xrd+xml"), xrd("wss://chat.example.org/x?a=&#39;&amp;b"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	resp, _ := respond(t, s.webDial(t), webRequest())
	if resp.StatusCode != 404 {
		t.Errorf("the former path: %s", resp.Status)
	}
}

// TestWebSocketMistakes: mistakes in the configuration are found before the server starts.
func TestWebSocketMistakes(t *testing.T) {
	f := func(w WebSocket, field string) {
		t.Helper()
		cfg := Config{C2S: "127.0.0.1:0", DataDir: "x", WebSocket: w}
		err := cfg.Validate()
		var wrong *FieldError
		if field == "" && err != nil || field != "" && (!errors.As(err, &wrong) || wrong.Field != field) {
			t.Errorf("%+v: %v, want a mistake in %q", w, err, field)
		}
	}
	f(WebSocket{}, "")
	f(WebSocket{Addr: ":443", Path: "/ws", Origins: []string{"https://a.example", "http://localhost:8080"}, Proxies: []string{"127.0.0.1", "10.0.0.0/8"}, URL: "wss://a.example/ws"}, "")
	f(WebSocket{Addr: "443"}, "WebSocket.Addr")
	f(WebSocket{Path: "ws"}, "WebSocket.Path")
	f(WebSocket{Path: "/ws?x"}, "WebSocket.Path")
	f(WebSocket{Path: "/a b"}, "WebSocket.Path")
	f(WebSocket{Path: "/.well-known/host-meta"}, "WebSocket.Path")
	f(WebSocket{Path: "/invite/x"}, "WebSocket.Path")
	f(WebSocket{Origins: []string{"https://a.example/"}}, "WebSocket.Origins")
	f(WebSocket{Origins: []string{"a.example"}}, "WebSocket.Origins")
	f(WebSocket{Proxies: []string{"proxy.example"}}, "WebSocket.Proxies")
	f(WebSocket{URL: "ws://a.example/ws"}, "WebSocket.URL")
	f(WebSocket{URL: "https://a.example/ws"}, "WebSocket.URL")
}

// TestWebSocketShutdown: a server that stops sends the error, the end of the stream and a
// close frame.
func TestWebSocketShutdown(t *testing.T) {
	s := startServer(t, func(cfg *Config) { cfg.WebSocket.Addr = "127.0.0.1:0" })
	w := openWeb(t, s.webDial(t))
	p := &peer{t: t, conn: w}
	p.ask(testHeader, "</stream:features>")
	if err := s.sessions.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := p.ask("", "</stream:stream>"); !strings.Contains(got, "<system-shutdown ") {
		t.Errorf("%s", got)
	}
	if n, err := w.Read(make([]byte, 1)); err != io.EOF || w.code != ws.StatusGoingAway {
		t.Errorf("%d bytes, %v; a close frame with %d", n, err, w.code)
	}
}

// TestWebSocketCloseCodes: a client that does not know XMPP is told why the connection ends,
// too, by the code of the close frame (RFC 6455 section 7.4.1,
// https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1). The limits are those of TCP.
func TestWebSocketCloseCodes(t *testing.T) {
	s := startServer(t, func(cfg *Config) { cfg.WebSocket.Addr = "127.0.0.1:0" })
	f := func(desc string, send func(*webStream) error, want string, code ws.StatusCode) {
		t.Helper()
		for _, fragment := range []int{0, 1} {
			w := openWeb(t, s.webDial(t))
			w.fragment = fragment
			p := &peer{t: t, conn: w}
			p.ask(testHeader, "</stream:features>")
			if err := send(w); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(w)
			if err != nil || want != "" && !strings.Contains(string(got), want) || want == "" && len(got) > 0 || w.code != code {
				t.Errorf("%s, in fragments of %d: %s, %v, code %d; want %s, code %d", desc, fragment, got, err, w.code, want, code)
			}
		}
	}
	message := func(text string) func(*webStream) error {
		return func(w *webStream) error { return w.message([]byte(text)) }
	}
	f("not UTF-8", message("<a>\xff"), "<unsupported-encoding ", 1007)
	f("half a character", message("<a b='\xf0\x9f'/>"), "<unsupported-encoding ", 1007)
	f("too large", message("<auth a='"+strings.Repeat("a", 20_000)), "<policy-violation ", 1009)
	f("too deep", message(strings.Repeat("<a>", 1000)), "<policy-violation ", 1008)
	f("not XML", message("<a"), "<not-well-formed ", 1000)
	f("the end", message("<close xmlns='"+framingNS+"'/>"), "</stream:stream>", 1000)
	f("a binary message", func(w *webStream) error { return w.control(ws.OpBinary, "<a/>") }, "", 1003)
	f("a continuation of nothing", func(w *webStream) error { return w.control(ws.OpContinuation, "<a/>") }, "", 1002)
	if got := s.poller.Stats().WebSocketFailures; got != [poller.FrameFailures]int64{2, 2, 4, 2} {
		t.Errorf("counted %v", got)
	}
}

// TestWebSocketPlaintext: without TLS and a proxy that has it, clients cannot log in, and a
// client on TCP gets their messages in its framing.
func TestWebSocketPlaintext(t *testing.T) {
	s := startServer(t, func(cfg *Config) {
		cfg.WebSocket.Addr, cfg.WebSocket.Proxies, cfg.Session.AllowPlaintext = "127.0.0.1:0", []string{"127.0.0.1"}, false
	})
	dial := func(fields ...string) *peer {
		c, err := net.Dial("tcp", s.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return &peer{t: t, conn: openWeb(t, c, fields...)}
	}
	if got := dial("X-Forwarded-Proto: http").ask(testHeader, "</stream:features>"); strings.Contains(got, "mechanism") || strings.Contains(got, "starttls") {
		t.Errorf("without TLS: %s", got)
	}
	if got := dial("X-Forwarded-Proto: https").ask(testHeader, "</stream:features>"); !strings.Contains(got, "<mechanism>PLAIN</mechanism>") || strings.Contains(got, "PLUS") {
		t.Errorf("with TLS up to the proxy: %s", got)
	}
}
