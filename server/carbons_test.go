package server

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/internal/xmpptest"
)

// TestCarbonsOnce: while messages to an account are delivered, one of its resources keeps
// changing between a negative and a non-negative priority. It gets each message exactly
// once, as it was sent or as a copy. Another keeps asking for copies and against them, and
// gets no message twice.
func TestCarbonsOnce(t *testing.T) {
	const messages, changes = 3000, 1500
	s := startServer(t, func(c *Config) { c.Poller.Loops = 4 })
	const enable = "<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
	connect(t, s).login("romeo", "always").available() // somebody always takes the message
	swings := connect(t, s).login("romeo", "swings").available()
	swings.ask(enable, "id='e'")
	toggles := connect(t, s).login("romeo", "toggles")
	juliet := connect(t, s).login("juliet", "j")

	var writers, readers sync.WaitGroup
	write := func(p *peer, a, b string) {
		writers.Go(func() {
			for range changes {
				if _, err := io.WriteString(p.conn, a+b); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	// What is between them keeps the second presence from replacing the first at once.
	const ping = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	write(swings, "<presence><priority>-1</priority></presence>"+ping, "<presence/>"+ping)
	write(toggles, enable, "<iq type='set' id='d'><disable xmlns='urn:xmpp:carbons:2'/></iq>")
	got := map[*peer]*map[string]int{}
	for _, p := range []*peer{swings, toggles} {
		counts := make(map[string]int)
		got[p] = &counts
		readers.Go(func() { countMessages(t, p, counts) })
	}
	for n := range messages {
		if _, err := fmt.Fprintf(juliet.conn, "<message type='chat' to='romeo@localhost' id='m%d'><body>x</body></message>", n); err != nil {
			t.Fatal(err)
		}
	}
	writers.Wait()
	for _, name := range []string{"swings", "toggles"} { // after all others from juliet
		juliet.ask("<message type='chat' to='romeo@localhost/"+name+"' id='end'><no-copy xmlns='urn:xmpp:hints'/></message>"+
			ping, "id='p'")
	}
	readers.Wait()
	for n := range messages {
		id := fmt.Sprint("m", n)
		if c := (*got[swings])[id]; c != 1 {
			t.Errorf("the resource that changes its priority got %s %d times", id, c)
		}
		if c := (*got[toggles])[id]; c > 1 {
			t.Errorf("the resource that toggles carbons got %s %d times", id, c)
		}
	}
}

// countMessages counts messages from juliet, original or copied, by id, until one with the
// id "end" arrives.
func countMessages(t *testing.T, p *peer, counts map[string]int) {
	const from = "from='juliet@localhost/j' "
	_ = p.conn.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
	buf := make([]byte, 64<<10)
	var have string
	for counts["end"] == 0 {
		n, err := p.conn.Read(buf)
		if err != nil {
			t.Error(err)
			return
		}
		have += string(buf[:n])
		for {
			begin := strings.Index(have, from)
			end := strings.Index(have[max(begin, 0):], "</message>")
			if begin < 0 || end < 0 {
				break
			}
			_, id, _ := strings.Cut(have[begin:begin+end], " id='")
			id, _, _ = strings.Cut(id, "'")
			counts[id]++
			have = have[begin+end:]
		}
	}
}
