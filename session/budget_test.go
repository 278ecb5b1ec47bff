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

// most is the maximum number of stanzas that one turn may queue for clients: its budget,
// plus what its last stanza may add.
const most = 72

// turns passes input to a session and runs posted functions, one turn for each. It returns
// the largest number of stanzas that one turn has queued. between is called after each
// turn.
func (c *simServer) turns(s *session.Session, input string, between func()) (largest int) {
	k := s.Conn().(*simConn)
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
			switch {
			case k.paused || len(rest) == 0:
				(<-c.posted)(0)
			case k.web:
				rest = k.messages(s, rest)
			case c.records:
				rest = k.records(s, rest)
			default:
				rest = rest[s.Data(0, rest):]
			}
		})
	}
	return largest
}

// TestTurnBudget: whatever a client sends in one read, another client gets its response
// after a limited number of deliveries, and in the end everything is delivered.
func TestTurnBudget(t *testing.T) {
	t.Run("TCP", func(t *testing.T) { testTurnBudget(t, false, false) })
	t.Run("TLS", func(t *testing.T) { testTurnBudget(t, false, true) })
	t.Run("WebSocket", func(t *testing.T) { testTurnBudget(t, true, false) })
}

func testTurnBudget(t *testing.T, web, records bool) {
	const contacts, rounds = 300, 10
	c := newSimServerWith(t, contacts+10, contacts, -1)
	c.web, c.records = web, records
	all := c.fill()
	attacker, other := all[0], all[1]
	pings := 0
	c.hook = func(to *simConn, p []byte) {
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
				t.Fatalf("%s: got replies to %d of %d pings", desc, pings-asked, n)
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
	// Contacts' presence need not be sent each time the client becomes available.
	comes := rounds * 2 * (contacts + 1)
	f("presence that comes and goes", "<presence type='unavailable'/><presence/>", comes+contacts, comes+rounds*contacts)
	f("messages", strings.Repeat("<message to='"+bare+"'/>", 100), rounds*100, rounds*100)
}

// TestBudgetOfParts: a stanza in parts of one byte uses up the budget of several turns.
func TestBudgetOfParts(t *testing.T) {
	t.Run("TLS", func(t *testing.T) { testBudgetOfParts(t, false) })
	t.Run("WebSocket", func(t *testing.T) { testBudgetOfParts(t, true) })
}

func testBudgetOfParts(t *testing.T, web bool) {
	c := newSimServer(t, 2, 1)
	c.web = web
	s := c.enter(0)
	k := s.Conn().(*simConn)
	c.say(s, []byte("<presence/>"))
	before := c.stanzas
	text := []byte("<message xmlns='jabber:client' id='" + strings.Repeat("a", 900) + "' lang='" + strings.Repeat("a", 8000) + "'/>")
	turns := 1
	for i := 0; i < len(text); {
		n := 0
		if web {
			n = s.Message(0, text[i:i+1], i == len(text)-1)
		} else {
			n = s.Data(0, text[i:i+1])
		}
		if i += n; n > 0 {
			continue
		}
		if !k.paused {
			t.Fatal("a byte was not used, but reading is not paused")
		}
		turns++
		c.sessions.EndTurn(0)
		(<-c.posted)(0)
	}
	if least := len(text) / (64 * 16); turns < least {
		t.Errorf("%d bytes took %d turns, want %d at least", len(text), turns, least)
	}
	if got := c.stanzas - before; got != 1 {
		t.Errorf("%d deliveries, want 1", got)
	}
}

// TestHookRunsOnceAcrossTurns: a stanza that takes more than one turn, and one that has to
// wait for it, pass through a hook once.
func TestHookRunsOnceAcrossTurns(t *testing.T) {
	const contacts = 300
	calls := make(map[string]int) // by id
	c := newSimServerWith(t, contacts+10, contacts, -1, func(cfg *router.Config) {
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
		t.Fatalf("everything was done in only %d turns", turns)
	}
	for i := range n {
		for _, id := range []string{"here", "message", "gone"} {
			if got := calls[fmt.Sprintf("%s-%d", id, i)]; got != 1 {
				t.Errorf("the hook was called %d times for %s-%d, want once", got, id, i)
			}
		}
	}
}

// TestLargeLeave: the last presence of a resource is subject to the budget like any other,
// including that sent to entities that got directed presence.
func TestLargeLeave(t *testing.T) {
	const contacts, directed = 300, 250
	c := newSimServerWith(t, contacts+directed+10, contacts, -1)
	all := c.fill()
	var b strings.Builder
	for i := range directed {
		fmt.Fprintf(&b, "<presence to='%s'/>", member(contacts/2+i+1))
	}
	b.WriteString("<presence/>") // loads its roster again
	c.turns(all[0], b.String(), func() {})
	told := make(map[*simConn]int)
	c.hook = func(to *simConn, p []byte) {
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
		t.Errorf("%d clients were notified, want %d", len(told), contacts+directed)
	}
	for k, n := range told {
		if n != 1 {
			t.Fatalf("%p was notified %d times, want once", k, n)
		}
	}
}

// TestLeaveReplaced: if a session's end is announced late because its roster must be read,
// that does not hide a newer session with the same address.
func TestLeaveReplaced(t *testing.T) {
	const contacts = 10
	left := make(chan *session.Session, 1)
	c := newSimServerWith(t, contacts+10, contacts, -1, func(cfg *router.Config) {
		cfg.RosterCache = 1 // no roster stays in memory
		cfg.Extensions = []router.Extension{{Name: "left", Left: func(_ *session.Turn, s *session.Session) { left <- s }}}
	})
	all := c.fill()
	last := make(map[*simConn]string)
	c.hook = func(to *simConn, p []byte) {
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
		t.Fatal("another session was announced as unavailable")
	}
	delete(last, all[0].Conn().(*simConn))
	for _, p := range last {
		if strings.Contains(p, "unavailable") {
			t.Errorf("a client's last presence is %s", p)
		}
	}
	if len(last) != contacts+1 {
		t.Errorf("%d clients got presence, want %d", len(last), contacts+1)
	}
}

// TestFanoutPauses: a client that causes more deliveries than allowed is not read for a
// while, and then continues. A client that causes few is not counted.
func TestFanoutPauses(t *testing.T) { synctest.Test(t, fanoutPauses) }

func fanoutPauses(t *testing.T) {
	const contacts, rate = 50, 1000 // one broadcast fits in a turn
	c := newSimServerWith(t, contacts+10, contacts, rate)
	all := c.fill()
	for len(c.posted) > 0 {
		(<-c.posted)(0)
	}
	c.sessions.EndTurn(0)
	k := all[0].Conn().(*simConn)
	reads := 0
	for ; !k.paused; reads++ {
		if reads > 10*rate/contacts {
			t.Fatalf("the client is still read after %d broadcasts to %d contacts", reads, contacts)
		}
		all[0].Data(0, []byte("<presence/>"))
		c.sessions.EndTurn(0)
	}
	if reads < 4*rate/contacts {
		t.Errorf("the client is no longer read after only %d broadcasts to %d contacts", reads, contacts)
	}
	if n := all[0].Data(0, []byte("<presence/>")); n != 0 {
		t.Errorf("%d bytes were consumed while reading was paused", n)
	}
	for k.paused {
		(<-c.posted)(0) // the loop's timer
		c.sessions.EndTurn(0)
	}
	quiet := all[1].Conn().(*simConn)
	for range 100 * rate {
		all[1].Data(0, []byte("<message type='headline' to='localhost'/>"))
		c.sessions.EndTurn(0)
	}
	if quiet.paused {
		t.Error("a client that causes no deliveries is not read")
	}
}

// TestFanoutChargesLeaving: deliveries caused by leaving are charged to later sessions of
// the account. Bug: a client that logged in and left repeatedly caused them for free.
func TestFanoutChargesLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const contacts, rate = 50, 1000
		c := newSimServerWith(t, contacts+10, contacts, rate)
		all := c.fill()
		settle := func() {
			for synctest.Wait(); len(c.posted) > 0; synctest.Wait() {
				(<-c.posted)(0)
				c.sessions.EndTurn(0)
			}
		}
		all[0].Closed(0, nil)
		settle()
		time.Sleep(10 * time.Second) // the cost of filling the server is forgiven
		for cycle := 1; ; cycle++ {
			s := c.enter(0)
			s.Data(0, []byte("<presence/>"))
			c.sessions.EndTurn(0)
			settle()
			if s.Conn().(*simConn).paused {
				// Three deliveries for each contact: available presence to it, presence
				// from it, and unavailable presence to it.
				if want := 5 * rate / (3 * contacts); cycle < want*8/10 || cycle > want*12/10 {
					t.Errorf("the client is not read after %d logins, want about %d", cycle, want)
				}
				return
			}
			s.Closed(0, nil)
			c.sessions.EndTurn(0)
			settle()
			if cycle > 1000 {
				t.Fatal("the client was never paused")
			}
		}
	})
}
