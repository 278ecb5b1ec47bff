//go:build linux

package poller

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestWebSocketCloseCode: the close frame has the first code that was set, but not after the
// peer's close frame.
func TestWebSocketCloseCode(t *testing.T) {
	s := serveWeb(t, Config{}, nil, netip.Addr{}, false)
	client := s.dialWeb(t, 0, "", messageFrame("a"))
	client.want("a")
	h := <-s.speakers
	h.c.SetCloseCode(1009)
	h.c.SetCloseCode(1001)
	h.c.Close(time.Minute)
	client.want("close 1009", "EOF")
	_ = client.Close()
	if err := h.ended(t); err != nil {
		t.Error(err)
	}
	if got := s.Stats().WebSocketFailures; got != [FrameFailures]int64{FrameTooBig: 1} {
		t.Errorf("counted %v", got)
	}
	shut := &webSocket{c: h.c, flags: wsOpen | wsClosed}
	if shut.setCode(1008); shut.code != 0 {
		t.Errorf("after the peer's close frame without a code, ours has %d", shut.code)
	}
}

// TestWebSocketPongs: all pings of one read get one response, with the payload of the last.
func TestWebSocketPongs(t *testing.T) {
	s := serveWeb(t, Config{}, nil, netip.Addr{}, false)
	client := s.dialWeb(t, 0, "", messageFrame("a"))
	client.want("a")
	h := <-s.speakers
	read := func(text string) {
		h.c.Post(func(int) { // as if the layer below had read it at once
			l := h.c.layer.(*webSocket)
			l.receive([]byte(text))
			l.flush()
		})
	}
	ping := func(payload string) string { return masked(ws.OpPing, true, payload) }
	read(strings.Repeat(ping("more"), 1000) + messageFrame("b") + ping("last"))
	client.want("b", "10 last")
	half := ping("half")
	read(ping("") + messageFrame("c") + half[:3])
	client.want("c", "10 ")
	read(half[3:] + messageFrame("d"))
	client.want("d", "10 half")
}

// TestWebSocketPings: a peer that sends pings and does not read fills its outbox to the limit
// and no further, and a message to it fails.
func TestWebSocketPings(t *testing.T) {
	s := serveWeb(t, Config{UnauthMemory: -1, Outbox: 10_000, LargeWrite: 10_000}, nil, netip.Addr{}, false)
	client := s.dialWeb(t, 0, "", messageFrame("a"))
	client.want("a")
	h := <-s.speakers
	pings := strings.Repeat(masked(ws.OpPing, true, strings.Repeat("p", 125)), 400)
	_ = client.SetWriteDeadline(time.Now().Add(time.Minute))
	for range 400 {
		client.write(pings)
		if n := h.c.Queued(); n > 10_000 {
			t.Fatalf("%d bytes are queued", n)
		}
	}
}
