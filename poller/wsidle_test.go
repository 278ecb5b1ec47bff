//go:build linux

package poller

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
	"unsafe"

	"roost/poller/websocket"
)

// silentSpeaker is silent for messages in one part.
type silentSpeaker struct{ silent }

func (h *silentSpeaker) Message(loop int, p []byte, _ bool) int { return h.Data(loop, p) }

// TestWebSocketSize limits what WebSocket adds to an idle connection; see
// TestWebSocketIdleObjects.
func TestWebSocketSize(t *testing.T) {
	if n := unsafe.Sizeof(webSocket{}); n > 48 {
		t.Errorf("%d bytes", n)
	}
}

// TestWebSocketIdleObjects: WebSocket adds one object to an idle connection, whose size
// TestWebSocketSize limits: the request and its response leave nothing. Objects are counted,
// because the lists of a loop grow in steps: per connection, they differ by some 20 bytes.
func TestWebSocketIdleObjects(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's build has other objects")
	}
	requests := &websocket.Config{Path: "/ws", Protocol: "xmpp"}
	p, err := New(Config{
		Loops: 1, IdleTimeout: time.Hour, Accept: func(c *Conn, _ *Listener) Handler { return &silentSpeaker{silent{c}} },
		WebSocket: &WebSocket{Config: func() *websocket.Config { return requests }, Insert: func([]byte) (int, string) { return 0, "" }},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	l, err := p.ListenWebSocket("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(webRequestText + "\r\n" + messageFrame("hello"))
	first := dial(t, l.Addr().String())
	if _, err := first.Write(text); err != nil {
		t.Fatal(err)
	}
	var got []byte // the response and the echo have the same length for all clients
	for !bytes.HasSuffix(got, []byte("hello")) {
		var b [1]byte
		if _, err := io.ReadFull(first, b[:]); err != nil {
			t.Fatal(err)
		}
		got = append(got, b[0])
	}
	_ = first.Close()
	eventually(t, "the first connection has ended", func() bool { return p.Stats().Conns == 0 })
	web, webObjects := idleHeapOf(t, p, l.Addr().(*net.TCPAddr).Port, 2000, text, got)
	// A loop forgets some of what has ended at its next turn only, which must not be during the
	// other measurement.
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	tcp, tcpObjects := idleConns(t, 2000)
	t.Logf("%.0f bytes in %.2f objects; without WebSocket %.0f in %.2f", web, webObjects, tcp, tcpObjects)
	if added := webObjects - tcpObjects; added > 1.1 {
		t.Errorf("WebSocket adds %.2f objects to an idle connection", added)
	}
}
