package server

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"roost/internal/xmpptest"
)

// TestBlockDuringDelivery: an account blocks the sender of a flood while the messages are
// being delivered on other event loops. They are delivered up to some point, and from there
// on refused, each exactly one of both; every message that is sent after the result of the
// block is refused.
func TestBlockDuringDelivery(t *testing.T) {
	const more = 500 // messages after the result
	s := startServer(t, func(c *Config) { c.Poller.Loops = 4 })
	const ping = "<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	romeo := connect(t, s).login("romeo", "r").available()
	nurse := connect(t, s).login("nurse", "n")
	blocked := make(chan struct{})
	sent := make(chan [2]int)
	go func() {
		var atResult, n int
		for last := -1; n != last; n++ {
			select {
			case <-blocked:
				if last < 0 {
					atResult, last = n, n+more
				}
			default:
			}
			if _, err := fmt.Fprintf(nurse.conn, "<message type='chat' to='romeo@localhost' id='m%d'><body>x</body></message>", n); err != nil {
				t.Error(err)
				break
			}
		}
		_, _ = io.WriteString(nurse.conn, ping)
		sent <- [2]int{atResult, n}
	}()
	errors := make(chan string)
	go func() { errors <- nurse.ask("", "id='end'") }()
	xmpptest.Eventually(t, "messages to be delivered", func() bool { return s.router.Stats().Delivered > 100 })
	got := romeo.ask("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='nurse@localhost'/></block></iq>", "id='b'")
	close(blocked)
	refused := messageIDs(<-errors)
	counts := <-sent
	atResult, all := counts[0], counts[1]
	delivered := messageIDs(got + romeo.ask(ping, "id='end'"))
	if len(delivered) < 100 || len(refused) < more || len(delivered) > atResult {
		t.Errorf("%d of %d messages were delivered, %d refused; %d were sent before the result", len(delivered), all, len(refused), atResult)
	}
	var want []int
	for n := range all {
		want = append(want, n)
	}
	if !slices.Equal(append(delivered, refused...), want) {
		t.Errorf("%d messages were delivered and %d refused: not the first and the last of %d", len(delivered), len(refused), all)
	}
}

// messageIDs returns the numbers in the ids of messages.
func messageIDs(text string) (all []int) {
	for _, m := range regexp.MustCompile(`<message [^>]*id='m(\d+)'`).FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		all = append(all, n)
	}
	return all
}
