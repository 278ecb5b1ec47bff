package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestWebSocketClients runs the scenarios over WebSocket, with TLS and without it, against a
// server in its own process.
func TestWebSocketClients(t *testing.T) {
	for _, tls := range []TLSMode{NoTLS, DirectTLS} {
		t.Run(string(tls), func(t *testing.T) {
			args := []string{"--ws", "127.0.0.1:0"}
			if tls == NoTLS {
				args = append(args, "--ws-proxy", "127.0.0.0/8")
			}
			r := startRoost(t, 20, args...)
			for _, by := range loginsBy {
				cfg := by(Config{Target: r.web, WebSocket: true, TLS: tls, Resume: true, SM: true, Carbons: true, Accounts: 20})
				f := newTestClients(t, cfg)
				idle, err := f.Idle(t.Context(), IdleConfig{Sessions: 20, Base: 5, Settle: 10 * time.Millisecond, Hold: 300 * time.Millisecond, Ping: 100 * time.Millisecond})
				if err != nil || idle.Failed+idle.Lost != 0 {
					t.Errorf("%+v, %v", idle, err)
				}
				message, err := f.Message(t.Context(), MessageConfig{Pairs: 5, Warmup: 50 * time.Millisecond, Duration: 300 * time.Millisecond})
				if err != nil || message.Messages == 0 {
					t.Errorf("%+v, %v", message, err)
				}
				resume, err := f.Resume(t.Context(), ResumeConfig{Pairs: 10, Count: 50, Gap: 2})
				if err != nil || resume.Resumptions != 50 || resume.Failed+int(resume.Lost+resume.Twice+resume.Disordered) != 0 {
					t.Errorf("%+v, %v", resume, err)
				}
				if s := f.Status(); s.Online != 20 || s.Lost != 0 {
					t.Errorf("%+v, want 20 online", s)
				}
				login, err := newTestClients(t, cfg).LoginStorm(t.Context(), LoginConfig{Count: 50})
				if err != nil || login.Failed != 0 || login.PerSecond <= 0 {
					t.Errorf("%+v, %v", login, err)
				}
			}
			err := newTestClients(t, Config{Target: r.web, WebSocket: true, TLS: tls, WebSocketPath: "/none"}).Login(t.Context(), 1)
			if err == nil || !strings.Contains(err.Error(), "there is no WebSocket endpoint at /none: \"HTTP/1.1 404 ") {
				t.Error(err)
			}
		})
	}
}

// TestWebSocketFrames: a client understands frames that arrive byte by byte, fragments and
// lengths of each form, and returns pings and the close frame.
func TestWebSocketFrames(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	result := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			result <- err
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		result <- serveFrames(conn)
	}()
	cs := newTestClients(t, Config{Target: l.Addr().String(), WebSocket: true, Mechanism: Plain})
	err = cs.Login(t.Context(), 1)
	if err == nil || !strings.Contains(err.Error(), "the server closed the stream") {
		t.Error(err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// readFrame reads a frame of a client.
func readFrame(r io.Reader) (ws.OpCode, string, error) {
	h, err := ws.ReadHeader(r)
	if err == nil {
		err = ws.CheckHeader(h, ws.StateServerSide)
	}
	if err == nil && h.Length > 1<<20 {
		err = fmt.Errorf("a frame of %d bytes", h.Length)
	}
	if err != nil {
		return 0, "", err
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(r, payload)
	ws.Cipher(payload, h.Mask, 0)
	return h.OpCode, string(payload), err
}

func serveFrames(conn net.Conn) error {
	u := ws.Upgrader{Protocol: func(name []byte) bool { return string(name) == "xmpp" }}
	if _, err := u.Upgrade(conn); err != nil {
		return err
	}
	expect := func(op ws.OpCode, begin string) error {
		got, payload, err := readFrame(conn)
		if err == nil && (got != op || !strings.HasPrefix(payload, begin)) {
			err = errors.New("received " + payload + " instead of " + begin)
		}
		return err
	}
	send := func(op ws.OpCode, fin bool, payload string) error {
		for _, b := range ws.MustCompileFrame(ws.NewFrame(op, fin, []byte(payload))) {
			if _, err := conn.Write([]byte{b}); err != nil {
				return err
			}
		}
		return nil
	}
	features := "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>" + strings.Repeat("<x xmlns='urn:x'/>", 20)
	long := strings.Repeat("<x xmlns='urn:x'/>", 5000)
	return errors.Join(
		expect(ws.OpText, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"),
		send(ws.OpText, true, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"),
		send(ws.OpText, false, features),
		send(ws.OpPing, true, "now"),
		expect(ws.OpPong, "now"),
		send(ws.OpContinuation, false, long),
		send(ws.OpContinuation, true, "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>"),
		expect(ws.OpText, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"),
		send(ws.OpClose, true, "\x03\xe8"),
		expect(ws.OpClose, "\x03\xe8"),
	)
}

// TestWebSocketMessages: each element is a message, which declares its namespace.
func TestWebSocketMessages(t *testing.T) {
	for _, test := range []struct{ sent, want string }{
		{"<iq id='1'/>", "<iq xmlns='jabber:client' id='1'/>"},
		{"<presence/>", "<presence xmlns='jabber:client'/>"},
		{"<message><body>x</body></message><r xmlns='urn:xmpp:sm:3'/>", "<message xmlns='jabber:client'><body>x</body></message>|<r xmlns='urn:xmpp:sm:3'/>"},
		{"<a xmlns='urn:xmpp:sm:3' h='1'/>", "<a xmlns='urn:xmpp:sm:3' h='1'/>"},
		{"<r xmlns='urn:xmpp:sm:3'/>", "<r xmlns='urn:xmpp:sm:3'/>"},
		{"<message>" + strings.Repeat("x", 70_000) + "</message>", "<message xmlns='jabber:client'>" + strings.Repeat("x", 70_000) + "</message>"},
	} {
		var got []string
		for r := strings.NewReader(string(appendMessages(nil, []byte(test.sent)))); r.Len() > 0; {
			_, payload, err := readFrame(r)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, payload)
		}
		if text := strings.Join(got, "|"); text != test.want {
			t.Errorf("%.100s: sent %.200s", test.sent, text)
		}
	}
}
