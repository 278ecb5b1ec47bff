package server

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"roost/internal/teststores"
	"roost/internal/xmpptest"
)

// TestKillDurable kills a server that stores messages before it delivers them (--durable)
// with SIGKILL, again and again, at any moment, while two clients send messages to an account
// whose client has stream management or none, does not read, has lost its connection, or is
// offline. All that was acknowledged to the senders arrives, in the order in which it was
// sent. On one connection nothing arrives twice, and on a later one only with a delay stamp.
func TestKillDurable(t *testing.T) {
	teststores.RunDurable(t, func(t *testing.T, k teststores.Kind) { testKillDurable(t, t.TempDir(), k.URL(t)) })
}

// killedSender is a sender and what the recipient has of its messages.
type killedSender struct {
	name  string
	next  int          // number of its next message
	acked []int        // numbers of those that the server has acknowledged
	count atomic.Int64 // the number of these
	got   map[int]bool // numbers of those that have arrived
	last  int          // the number of the one that has arrived last for the first time
}

func testKillDurable(t *testing.T, dir, url string) {
	const rounds = 10
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	senders := map[string]*killedSender{}
	for _, name := range []string{"romeo", "nurse"} {
		senders[name] = &killedSender{name: name, got: make(map[int]bool), last: -1}
	}
	for round := range rounds {
		cmd, addr := startChild(t, dir, url, childDurableEnv+"=1")
		var wg sync.WaitGroup
		var received string
		juliet := dialTo(t, addr)
		switch mode := round % 5; mode {
		case 0, 1: // with stream management, and without
			ready := make(chan struct{})
			acks := rand.New(rand.NewPCG(seed, uint64(round)))
			wg.Go(func() { received = juliet.receiveAll(mode == 0, acks, ready) })
			<-ready
		case 2, 3: // it acknowledges nothing
			juliet.login("juliet", "j").ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "<enabled ")
			juliet.ask("<presence/>", "<presence from=")
			if mode == 3 {
				_ = juliet.conn.Close() // the session waits to be resumed
			}
		} // else it is offline
		for _, s := range senders {
			p := dialTo(t, addr)
			wg.Go(func() { s.sendUntilKilled(p) })
		}
		for _, s := range senders {
			enough := s.count.Load() + 1 + random.Int64N(40)
			xmpptest.Eventually(t, "enough messages to be acknowledged", func() bool { return s.count.Load() >= enough })
		}
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		wg.Wait()
		checkReceived(t, senders, received)
	}

	_, addr := startChild(t, dir, url, childDurableEnv+"=1")
	juliet := dialTo(t, addr).login("juliet", "j")
	juliet.ask("<presence/>", "<presence from=")
	text := ""
	for i, end := 0, time.Now().Add(xmpptest.WaitLimit); !allReceived(senders, text) && time.Now().Before(end); i++ {
		id := fmt.Sprintf("id='end%d'", i) // many pages are sent as fast as they are read: replies overtake them
		text += juliet.ask("<iq type='get' "+id+" to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", id)
	}
	checkReceived(t, senders, text)
	for _, s := range senders {
		for _, i := range s.acked {
			if !s.got[i] {
				t.Errorf("message %d of %s was acknowledged and is lost; %d were sent", i, s.name, s.next)
			}
		}
	}
}

// allReceived reports whether all that was acknowledged has arrived before, or is in a text.
func allReceived(senders map[string]*killedSender, text string) bool {
	here := make(map[string]bool)
	for _, m := range wholeMessage.FindAllStringSubmatch(text, -1) {
		here[m[1]+" "+m[2]] = true
	}
	for _, s := range senders {
		for _, i := range s.acked {
			if !s.got[i] && !here[fmt.Sprint(s.name, " ", i)] {
				return false
			}
		}
	}
	return true
}

// sendUntilKilled sends messages until the server is killed. Some of them are on the way at
// that time.
func (s *killedSender) sendUntilKilled(p *peer) {
	p.quietly(func() {
		p.login(s.name, "s").ask("<enable xmlns='urn:xmpp:sm:3'/>", "<enabled ")
		for first := s.next; ; {
			text := ""
			for range 3 {
				text += fmt.Sprintf("<message type='chat' to='juliet@localhost' id='m%d'><body>b</body></message>", s.next)
				s.next++
			}
			p.ask(text+"<r xmlns='urn:xmpp:sm:3'/>", fmt.Sprintf("h='%d'", s.next-first))
			s.acked = append(s.acked, s.next-3, s.next-2, s.next-1)
			s.count.Store(int64(len(s.acked)))
		}
	})
}

// receiveAll becomes available and returns all that it then receives until the server is
// killed. With stream management it acknowledges now and then.
func (p *peer) receiveAll(managed bool, random *rand.Rand, ready chan<- struct{}) (all string) {
	p.quietly(func() {
		p.login("juliet", "j")
		if managed {
			p.ask("<enable xmlns='urn:xmpp:sm:3'/>", "<enabled ")
		}
		all = p.ask("<presence/>", "<presence from=") + p.have.String()
		close(ready)
		for buf := make([]byte, 64<<10); ; {
			n, err := p.conn.Read(buf)
			all += string(buf[:n])
			if err != nil {
				return
			}
			if managed && random.IntN(3) > 0 {
				h := strings.Count(all, "</message>") + strings.Count(all, "<presence ")
				_, _ = fmt.Fprintf(p.conn, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", h)
			}
		}
	})
	return all
}

var wholeMessage = regexp.MustCompile(`<message from='(\w+)@localhost/s'[^>]* id='m(\d+)'.*?</message>`)

// checkReceived checks what has arrived on one connection.
func checkReceived(t *testing.T, senders map[string]*killedSender, text string) {
	t.Helper()
	here := make(map[string][]int)
	for _, m := range wholeMessage.FindAllStringSubmatch(text, -1) {
		s := senders[m[1]]
		id, err := strconv.Atoi(m[2])
		if s == nil || err != nil {
			t.Fatalf("%q", m[0])
		}
		here[s.name] = append(here[s.name], id)
		switch {
		case s.got[id] && !strings.Contains(m[0], "urn:xmpp:delay"):
			t.Errorf("message %d of %s arrives again without a delay stamp", id, s.name)
		case !s.got[id] && id < s.last:
			t.Errorf("message %d of %s arrives after %d", id, s.name, s.last)
		}
		s.last = max(s.last, id)
		s.got[id] = true
	}
	for name, ids := range here {
		if sorted := slices.Compact(slices.Sorted(slices.Values(ids))); !slices.Equal(sorted, ids) {
			t.Errorf("the messages of %s arrived as %v", name, ids)
		}
	}
}
