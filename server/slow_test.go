package server

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// slowFor is the time for which a client does not read while others send to it; shorter
// with -short.
const slowFor = 30 * time.Second

// TestSlowReaderForLong: for half a minute, a client that does not read is sent messages;
// whenever it is cut off, it reconnects. Meanwhile others exchange messages, and memory
// stays within the limits of the outboxes.
func TestSlowReaderForLong(t *testing.T) {
	const outbox, stanza = 256 << 10, 30000
	s := startServer(t, func(c *Config) { c.Session.Limits.MaxStanza, c.Poller.Outbox = 64<<10, outbox })
	sender := connect(t, s).login("romeo", "sender").available()
	other := connect(t, s).login("romeo", "other").available()
	// Not connect, whose clients stay until the end of the test: hundreds of them would
	// count as growth.
	again := func() *peer {
		conn, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		return (&peer{t: t, conn: conn}).login("juliet", "slow").available()
	}
	slow := again()
	defer func() { _ = slow.conn.Close() }()
	message := "<message type='headline' to='juliet@localhost/slow'><body>" + strings.Repeat("x", stanza) + "</body></message>"
	duration := slowFor
	if testing.Short() {
		duration = 3 * time.Second
	}
	before, sent, cut := heap(), 0, 0
	for end := time.Now().Add(duration); time.Now().Before(end); sent++ {
		if s.sessions.Find("juliet@localhost", "slow") == nil {
			cut++
			_ = slow.conn.Close()
			slow = again()
		}
		// Each message is followed by one to a client that reads, and by its response:
		// both pass through the same loops as the unread ones.
		id := fmt.Sprintf("m%d", sent)
		sender.ask(message+"<message to='romeo@localhost/other' id='"+id+"'><body>x</body></message>", "")
		other.ask("", "id='"+id+"'")
		other.ask("<message to='romeo@localhost/sender' id='"+id+"'><body>x</body></message>", "")
		sender.ask("", "id='"+id+"'")
		// The outbox, stanzas in processing up to the size of a read buffer, and the
		// test's own clients.
		if sent%100 == 0 {
			if grown := heap() - before; grown > 4*outbox {
				t.Fatalf("after %d messages the heap has grown by %d KiB", sent, grown>>10)
			}
		}
	}
	t.Logf("%d messages of %d bytes to a client that does not read, which was cut off %d times; the heap has grown by %d KiB", sent, stanza, cut, (heap()-before)>>10)
	if cut == 0 {
		t.Error("the client that does not read was never cut off")
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
