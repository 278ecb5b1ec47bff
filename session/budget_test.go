package session_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roost/router"
	"roost/session"
	"roost/stanza"
)

// most is how many stanzas one turn may queue for clients: its budget, and what
// the last stanza may add to it.
const most = 72

// turns gives a session input and runs what is posted, a turn for each. It returns
// the largest number of stanzas that one turn has queued. between is called after
// each turn.
func (c *crowd) turns(s *session.Session, input string, between func()) (largest int) {
	k := s.Conn().(*link)
	rest := []byte(input)
	turn := func(f func()) {
		before := c.stanzas
		f()
		largest = max(largest, c.stanzas-before)
		c.sessions.EndTurn(0)
		between()
	}
	for len(rest) > 0 || k.paused || c.sessions.Counts().Waiting > 0 {
		turn(func() {
			if k.paused || len(rest) == 0 {
				(<-c.posted)(0)
			} else {
				rest = rest[s.Data(0, rest):]
			}
		})
	}
	return largest
}

// TestTurnBudget: whatever a client sends in one read, an independent client is
// answered after at most so many deliveries, and everything is delivered in the
// end.
func TestTurnBudget(t *testing.T) {
	const contacts, rounds = 300, 30
	c := newCrowdWith(t, contacts+10, contacts, -1)
	all := c.fill()
	attacker, other := all[0], all[1]
	pings := 0
	c.hook = func(to *link, p []byte) {
		if bytes.Contains(p, []byte("id='ping'")) {
			pings++
		}
	}
	ping := []byte("<iq type='get' id='ping' to='localhost'><query xmlns='urn:unknown'/></iq>")
	f := func(desc, round string, least, want int) {
		t.Helper()
		before, asked := c.stanzas, pings
		n := 0
		largest := c.turns(attacker, strings.Repeat(round, rounds), func() {
			other.Data(0, ping)
			if n++; pings != asked+n {
				t.Fatalf("%s: %d pings of %d were answered", desc, pings-asked, n)
			}
			c.sessions.EndTurn(0)
		})
		if largest > most {
			t.Errorf("%s: one turn made %d deliveries, want %d at most", desc, largest, most)
		}
		if got := c.stanzas - before - n; got < least || got > want {
			t.Errorf("%s: %d deliveries in the end, want %d to %d", desc, got, least, want)
		}
	}
	bare := attacker.BareJID()
	alternating := rounds * (contacts + 1 + 1)
	f("presence between messages", "<presence/><message to='"+bare+"'/>", alternating, alternating)
	// The presence of contacts need not come as often as the client comes.
	comes := rounds * 2 * (contacts + 1)
	f("presence that comes and goes", "<presence type='unavailable'/><presence/>", comes+contacts, comes+rounds*contacts)
	f("messages", strings.Repeat("<message to='"+bare+"'/>", 100), rounds*100, rounds*100)
}

// TestHookRunsOnceAcrossTurns: a stanza that is more work than one turn may do, and
// one that waits because those before it were, go through a hook once.
func TestHookRunsOnceAcrossTurns(t *testing.T) {
	const contacts = 300
	calls := make(map[string]int) // by id
	c := newCrowdWith(t, contacts+10, contacts, -1, func(cfg *router.Config) {
		cfg.Extensions = []router.Extension{{Name: "count", Incoming: func(_ *session.Turn, _ router.Sender, st *stanza.Stanza) router.Verdict {
			calls[string(st.ID)]++
			return router.Pass
		}}}
	})
	all := c.fill()
	var input strings.Builder
	const n = 4
	for i := range n {
		fmt.Fprintf(&input, "<presence id='here-%d'/><message id='message-%d' to='%s'/><presence id='gone-%d' type='unavailable'/>", i, i, member(1), i)
	}
	turns := 0
	c.turns(all[0], input.String(), func() { turns++ })
	if turns < 2*n*contacts/most {
		t.Fatalf("all was done in %d turns", turns)
	}
	for i := range n {
		for _, id := range []string{"here", "message", "gone"} {
			if got := calls[fmt.Sprintf("%s-%d", id, i)]; got != 1 {
				t.Errorf("the hook was called %d times for %s-%d, want once", got, id, i)
			}
		}
	}
}

// TestLargeLeave: the last presence of a resource is as much work as any, also
// where it is for those that got directed presence.
func TestLargeLeave(t *testing.T) {
	const contacts, directed = 300, 250
	c := newCrowdWith(t, contacts+directed+10, contacts, -1)
	all := c.fill()
	var b strings.Builder
	for i := range directed {
		fmt.Fprintf(&b, "<presence to='%s'/>", member(contacts/2+i+1))
	}
	b.WriteString("<presence/>") // and its roster is in memory again
	c.turns(all[0], b.String(), func() {})
	told := make(map[*link]int)
	c.hook = func(to *link, p []byte) {
		if bytes.Contains(p, []byte("type='unavailable'")) {
			told[to]++
		}
	}
	before := c.stanzas
	all[0].Closed(0, nil)
	for largest := c.stanzas - before; ; {
		if largest > most {
			t.Fatalf("one turn made %d deliveries, want %d at most", largest, most)
		}
		c.sessions.EndTurn(0)
		if c.sessions.Counts().Waiting == 0 {
			break
		}
		before = c.stanzas
		(<-c.posted)(0)
		largest = c.stanzas - before
	}
	if len(told) != contacts+directed {
		t.Errorf("%d clients have been told, want %d", len(told), contacts+directed)
	}
	for k, n := range told {
		if n != 1 {
			t.Fatalf("%p was told %d times", k, n)
		}
	}
}

// TestLeaveReplaced: a newer session with the address of one whose leaving is told
// late, because its roster has to be read, is not hidden by that.
func TestLeaveReplaced(t *testing.T) {
	const contacts = 10
	left := make(chan *session.Session, 1)
	c := newCrowdWith(t, contacts+10, contacts, -1, func(cfg *router.Config) {
		cfg.RosterCache = 1 // none stays in memory
		cfg.Extensions = []router.Extension{{Name: "left", Left: func(_ *session.Turn, s *session.Session) { left <- s }}}
	})
	all := c.fill()
	last := make(map[*link]string)
	c.hook = func(to *link, p []byte) {
		if bytes.Contains(p, []byte("from='"+member(0).String())) {
			last[to] = string(p)
		}
	}
	reads, reading, release := 0, make(chan struct{}), make(chan struct{})
	c.gate = func() {
		if reads++; reads == 1 {
			close(reading)
			<-release
		}
	}
	all[0].Closed(0, nil)
	<-reading
	heir := c.enter(0)
	c.say(heir, []byte("<presence/>")) // on a worker, because the roster has to be read
	close(release)
	if s := <-left; s != all[0] {
		t.Fatal("another session has left")
	}
	delete(last, all[0].Conn().(*link))
	for _, p := range last {
		if strings.Contains(p, "unavailable") {
			t.Errorf("the last that a client has heard is %s", p)
		}
	}
	if len(last) != contacts+1 {
		t.Errorf("%d clients have heard of it, want %d", len(last), contacts+1)
	}
}

// TestFanoutPauses: who causes more deliveries than a client may is not read for a
// while, and goes on then. Who causes few is not counted.
func TestFanoutPauses(t *testing.T) { synctest.Test(t, fanoutPauses) }

func fanoutPauses(t *testing.T) {
	const contacts, rate = 50, 1000 // one broadcast fits in a turn
	c := newCrowdWith(t, contacts+10, contacts, rate)
	all := c.fill()
	for len(c.posted) > 0 {
		(<-c.posted)(0)
	}
	c.sessions.EndTurn(0)
	k := all[0].Conn().(*link)
	reads := 0
	for ; !k.paused; reads++ {
		if reads > 10*rate/contacts {
			t.Fatalf("%d broadcasts to %d contacts, and the client is still read", reads, contacts)
		}
		all[0].Data(0, []byte("<presence/>"))
		c.sessions.EndTurn(0)
	}
	if reads < 4*rate/contacts {
		t.Errorf("the client is not read after %d broadcasts to %d contacts", reads, contacts)
	}
	if n := all[0].Data(0, []byte("<presence/>")); n != 0 {
		t.Errorf("%d bytes were used while reading was paused", n)
	}
	for k.paused {
		(<-c.posted)(0) // the loop's timer
		c.sessions.EndTurn(0)
	}
	quiet := all[1].Conn().(*link)
	for range 100 * rate {
		all[1].Data(0, []byte("<message type='headline' to='localhost'/>"))
		c.sessions.EndTurn(0)
	}
	if quiet.paused {
		t.Error("a client that causes no deliveries is not read")
	}
}

// TestComingAndGoing: what a client causes by leaving counts too, for the sessions
// that its account has afterwards. Bug: a client that logged in and left again and
// again caused it for nothing.
func TestComingAndGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const contacts, rate = 50, 1000
		c := newCrowdWith(t, contacts+10, contacts, rate)
		all := c.fill()
		settle := func() {
			for synctest.Wait(); len(c.posted) > 0; synctest.Wait() {
				(<-c.posted)(0)
				c.sessions.EndTurn(0)
			}
		}
		all[0].Closed(0, nil)
		settle()
		time.Sleep(10 * time.Second) // what filling took is forgiven
		for cycle := 1; ; cycle++ {
			s := c.enter(0)
			s.Data(0, []byte("<presence/>"))
			c.sessions.EndTurn(0)
			settle()
			if s.Conn().(*link).paused {
				// It tells its contacts that it is there, gets their presence, and tells
				// them that it is gone: three deliveries for each.
				if want := 5 * rate / (3 * contacts); cycle < want*8/10 || cycle > want*12/10 {
					t.Errorf("the client is not read when it has come %d times, want about %d", cycle, want)
				}
				return
			}
			s.Closed(0, nil)
			c.sessions.EndTurn(0)
			settle()
			if cycle > 1000 {
				t.Fatal("a client comes and goes without a limit")
			}
		}
	})
}
