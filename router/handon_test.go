package router_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
)

const smEnable = "<enable xmlns='urn:xmpp:sm:3'/>"

// loginManaged logs in and enables stream management.
func loginManaged(t testing.TB, s *xmpptest.Server, user, resource string) *rawClient {
	t.Helper()
	c := loginAs(t, s, user, resource, plainHeader)
	c.say(smEnable, "<enabled ")
	c.got, c.used = "", 0
	return c
}

// lose cuts the client's connection and waits until its session has left.
func (c *rawClient) lose(s *xmpptest.Server, full string) {
	c.t.Helper()
	j := jid.MustParse(full)
	_ = c.conn.Close()
	xmpptest.Eventually(c.t, "the session to leave", func() bool { return s.Sessions.Find(j.BareString(), j.Resource()) == nil })
}

var messageID = regexp.MustCompile(`<message[^>]* id='m\.(\d+)'`)

// received returns the numbers of the messages that the client has received.
func (c *rawClient) received() (ids []int) {
	for _, m := range messageID.FindAllStringSubmatch(c.got, -1) {
		id, err := strconv.Atoi(m[1])
		if err != nil {
			c.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// TestHandOnOrder: while a sender continues, the receiver's connection is lost again and
// again, at any moment, with any number of messages unacknowledged. Each connection gets the
// messages after the last one that was acknowledged, in order and without a gap: none is
// lost, and none that was acknowledged is repeated.
func TestHandOnOrder(t *testing.T) { testHandOnOrder(t, xmpptest.Config{}) }

func testHandOnOrder(t *testing.T, cfg xmpptest.Config) {
	const connections = 30
	random := rand.New(rand.NewPCG(3, 4))
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	sent, next := 0, 0
	send := func(n int) {
		for ; n > 0; n-- {
			romeo.write(fmt.Sprintf("<message type='chat' to='juliet@localhost' id='m.%d'><body>b</body></message>", sent))
			sent++
		}
	}
	for range connections {
		send(random.IntN(4))
		romeo.sync()
		juliet := loginManaged(t, s, "juliet", "r")
		juliet.write("<presence/>")
		juliet.sync()
		send(random.IntN(10))
		juliet.sync()
		stanzas := strings.Count(juliet.got, "<message") + strings.Count(juliet.got, "<presence") + strings.Count(juliet.got, "<iq")
		ids := juliet.received()
		for i, id := range ids {
			if id != next+i {
				t.Fatalf("message %d follows %d that were acknowledged; received %v", id, next, ids)
			}
		}
		// Acknowledge up to some message, counting the stanzas before it.
		if n := random.IntN(len(ids) + 1); n > 0 {
			end := strings.Index(juliet.got, fmt.Sprintf("id='m.%d'", next+n-1))
			before := juliet.got[:end]
			h := strings.Count(before, "<message") + strings.Count(before, "<presence") + strings.Count(before, "<iq")
			juliet.write(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", min(h, stanzas)))
			juliet.sync()
			next += n
		}
		send(random.IntN(10))
		juliet.lose(s, "juliet@localhost/r")
		romeo.sync()
	}
	last := loginRaw(t, s, "juliet", plainHeader)
	last.write("<presence/>")
	last.sync()
	ids := last.received()
	if len(ids) != sent-next || len(ids) > 0 && (ids[0] != next || ids[len(ids)-1] != sent-1) {
		t.Errorf("received %v at last, want %d to %d", ids, next, sent-1)
	}
	awaitStored(t, s, 0)
}

var delayStamp = regexp.MustCompile(`<delay xmlns='urn:xmpp:delay' from='localhost' stamp='([^']*)'/>`)

// TestHandOnStamps: an offline message that is not acknowledged is stored again with its
// first stamp, and so is a message that another resource got instead. Neither gets a second
// one. A sender's own stamp is content.
func TestHandOnStamps(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	const theirs = "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2001-01-01T00:00:00.000Z'/>"
	romeo.write("<message type='chat' to='juliet@localhost' id='m.0'><body>b</body>" + theirs + "</message>")
	romeo.sync()
	first := ""
	for i, resource := range []string{"a", "b", "c", "d"} {
		juliet := loginManaged(t, s, "juliet", resource)
		juliet.write("<presence/>")
		juliet.sync()
		stamps := delayStamp.FindAllStringSubmatch(juliet.got, -1)
		if len(stamps) != 2 || stamps[0][1] != "2001-01-01T00:00:00.000Z" {
			t.Fatalf("connection %d received %q", i, juliet.got)
		}
		if first == "" {
			first = stamps[1][1]
		} else if first != stamps[1][1] {
			t.Errorf("connection %d: the stamp is %s, want %s", i, stamps[1][1], first)
		}
		if i == 2 { // the next resource gets it before it is stored
			next := loginManaged(t, s, "juliet", "next")
			next.write("<presence/>")
			next.sync()
			juliet.lose(s, "juliet@localhost/"+resource)
			next.await("id='m.0'")
			next.sync()
			if got := delayStamp.FindAllStringSubmatch(next.got, -1); len(got) != 2 || got[1][1] != first {
				t.Errorf("the other resource received %q", next.got)
			}
			next.lose(s, "juliet@localhost/next")
			continue
		}
		juliet.lose(s, "juliet@localhost/"+resource)
	}
}

// TestHandOnErrors: the sender of a request that was not acknowledged, or of a message that
// is for one resource only, gets an error. Presence, responses and pushes are dropped.
func TestHandOnErrors(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	juliet := loginManaged(t, s, "juliet", "r")
	juliet.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "id='roster'")
	juliet.say("<iq type='set' id='push'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query></iq>", "id='push'")
	romeo.write("<iq type='get' id='request' to='juliet@localhost/r'><ping xmlns='urn:xmpp:ping'/></iq>" +
		"<iq type='result' id='response' to='juliet@localhost/r'/>" +
		"<presence id='directed' to='juliet@localhost/r'/>" +
		"<message type='headline' id='headline' to='juliet@localhost/r'/>" +
		"<message type='error' id='error' to='juliet@localhost/r'/>" +
		"<message id='normal' to='juliet@localhost/r'><body>b</body></message>")
	romeo.sync()
	juliet.await("id='normal'")
	romeo.got, romeo.used = "", 0
	juliet.lose(s, "juliet@localhost/r")
	romeo.await("id='normal'") // the last one
	romeo.sync()
	for _, id := range []string{"request", "normal"} {
		if n := strings.Count(romeo.got, "type='error' id='"+id+"'"); n != 1 {
			t.Errorf("%d errors for %s: %s", n, id, romeo.got)
		}
	}
	for _, id := range []string{"response", "directed", "headline", "'error'", "push"} {
		if strings.Contains(romeo.got, "id='"+id) {
			t.Errorf("a reply to %s: %s", id, romeo.got)
		}
	}
	if n, err := s.Store.CountOffline(t.Context(), jid.MustParse("juliet@localhost")); n != 0 || err != nil {
		t.Errorf("%d stanzas were stored, %v", n, err)
	}
}

// TestHandOnCopies: several resources get the same messages, acknowledge some of them, and
// end in any order, or at the same time. A message that one of them has acknowledged is not
// handed on. Each of the others is stored once, in order, when the last resource has ended.
// No resource gets a message twice.
func TestHandOnCopies(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	next := 0
	for round := range 40 {
		clients := make(map[string]*rawClient)
		var order []string
		for _, resource := range []string{"a", "b", "c", "d"}[:2+random.IntN(3)] {
			clients[resource] = loginManaged(t, s, "juliet", resource)
			clients[resource].write("<presence/>")
			clients[resource].sync()
			order = append(order, resource)
		}
		first, acked := next, make(map[int]bool)
		for range 1 + random.IntN(3) {
			n := random.IntN(6)
			romeo.sendNumbered(next, next+n, "b")
			romeo.sync()
			next += n
			for _, c := range clients {
				c.sync()
				if got := c.received(); !slices.Equal(got, numbers(first, next)) {
					t.Fatalf("round %d: received %v, want %d to %d", round, got, first, next-1)
				}
				if n := random.IntN(next - first + 1); n > 0 {
					c.ack(first + n - 1)
					c.sync()
					for id := range n {
						acked[first+id] = true
					}
				}
			}
		}
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for len(order) > 0 {
			ending := order[:1+random.IntN(len(order))]
			order = order[len(ending):]
			for _, resource := range ending {
				_ = clients[resource].conn.Close()
			}
			for _, resource := range ending {
				clients[resource].lose(s, "juliet@localhost/"+resource)
			}
			for _, resource := range order {
				c := clients[resource]
				c.sync()
				if got := c.received(); !slices.Equal(got, numbers(first, next)) {
					t.Fatalf("round %d: after another resource has ended: received %v, want %d to %d", round, got, first, next-1)
				}
			}
		}
		var want []int
		for id := first; id < next; id++ {
			if !acked[id] {
				want = append(want, id)
			}
		}
		last := loginAs(t, s, "juliet", "last", plainHeader)
		last.write("<presence/>")
		last.sync()
		if got := last.received(); !slices.Equal(got, want) {
			t.Fatalf("round %d: %v were stored, want %v", round, got, want)
		}
		last.say("</stream:stream>", "</stream:stream>")
		last.lose(s, "juliet@localhost/last")
	}
}

// TestHandOnCarbons: copies by carbons are not handed on.
func TestHandOnCarbons(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	carbons := loginManaged(t, s, "juliet", "carbons")
	carbons.say("<iq type='set' id='enable'><enable xmlns='urn:xmpp:carbons:2'/></iq>", "id='enable'")
	carbons.say("<presence><priority>-1</priority></presence>", "</presence>")
	other := loginManaged(t, s, "juliet", "other")
	other.write("<presence/>")
	other.sync()
	romeo.write("<message type='chat' to='juliet@localhost/other' id='m.1'><body>b</body></message>")
	other.await("id='m.1'")
	carbons.await("<received xmlns='urn:xmpp:carbons:2'")
	carbons.lose(s, "juliet@localhost/carbons")
	if n := storedMessages(t, s); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
	other.sync()
	if n := strings.Count(other.got, "id='m.1'"); n != 1 {
		t.Errorf("the message was received %d times: %s", n, other.got)
	}
}

// TestHandOnChatStates: chat states are not handed on. One that was held for an inactive
// client may have reached another resource before.
func TestHandOnChatStates(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	phone, desk := loginManaged(t, s, "juliet", "phone"), loginManaged(t, s, "juliet", "desk")
	for _, c := range []*rawClient{phone, desk} {
		c.ask("<presence/>")
	}
	phone.ask(inactive)
	romeo.ask("<message type='chat' to='juliet@localhost' id='m.1'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>")
	desk.await("id='m.1'")
	phone.write(active)
	phone.await("id='m.1'")
	phone.lose(s, "juliet@localhost/phone")
	desk.sync()
	if got := desk.received(); !slices.Equal(got, []int{1}) {
		t.Errorf("received %v", got)
	}
}

// TestHandOnAtStop: messages that are not acknowledged when the server stops are stored, in
// order, even if all resources of the account have them or leave at the same time.
func TestHandOnAtStop(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	for _, resource := range []string{"a", "b"} {
		juliet := loginManaged(t, s, "juliet", resource)
		juliet.write("<presence/>")
		juliet.sync()
	}
	for i := range 5 {
		romeo.write(fmt.Sprintf("<message type='chat' to='juliet@localhost/a' id='m.%d'><body>b</body></message>", i))
	}
	romeo.sync()
	if err := s.Sessions.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	messages, _, err := s.Store.Offline(t.Context(), jid.MustParse("juliet@localhost"), 0, 1<<20)
	if err != nil || len(messages) != 5 {
		t.Fatalf("%d messages are in the store, %v; want 5", len(messages), err)
	}
	for i, m := range messages {
		if !strings.Contains(string(m.Stanza), fmt.Sprintf("id='m.%d'", i)) {
			t.Errorf("message %d is %s", i, m.Stanza)
		}
	}
}

// TestHandOnDeletedAccount: what the client of a deleted account has not acknowledged is not
// stored for an account that is created under the same name.
func TestHandOnDeletedAccount(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	ctx, owner := t.Context(), jid.MustParse("juliet@localhost")
	romeo := loginRaw(t, s, "romeo", plainHeader)
	juliet := loginManaged(t, s, "juliet", "r")
	juliet.write("<presence/>")
	juliet.sync()
	romeo.write("<message type='chat' to='juliet@localhost' id='m.0'><body>b</body></message>")
	romeo.sync()
	juliet.await("id='m.0'")
	account, err := s.Store.Account(ctx, owner)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Store.DeleteAccount(ctx, owner, account.Event); err != nil {
		t.Fatal(err)
	}
	if err := s.Store.CreateAccount(ctx, account); err != nil {
		t.Fatal(err)
	}
	juliet.lose(s, "juliet@localhost/r")
	if n, err := s.Store.CountOffline(ctx, owner); n != 0 || err != nil {
		t.Errorf("%d messages were stored for the new account, %v", n, err)
	}
}

// TestHandOnCommits: a session that ends with many messages unacknowledged stores them in
// few transactions, in order, and reads its account as often. The senders of those for which
// there is no space get an error, if they may know that the account exists.
func TestHandOnCommits(t *testing.T) {
	const n = 1000
	cfg := xmpptest.Config{}
	cfg.Router.MaxOffline = 1500
	s, st := slowServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	juliet := loginManaged(t, s, "juliet", "r")
	juliet.write("<presence/>")
	juliet.sync()
	romeo.sendNumbered(0, n, "b")
	romeo.sync()
	juliet.await(fmt.Sprintf("id='m.%d'", n-1))
	reads := st.Calls("Account")
	juliet.lose(s, "juliet@localhost/r")
	if single, batches := st.Calls("AppendOffline"), st.Calls("AppendOfflineAll"); single != 0 || batches == 0 || batches > 6 {
		t.Errorf("%d messages were stored in %d and %d calls of the store, want 0 and at most 6", n, single, batches)
	}
	if n := st.Calls("Account") - reads; n > 1 {
		t.Errorf("the account was read %d times", n)
	}
	messages, _, err := s.Store.Offline(t.Context(), jid.MustParse("juliet@localhost"), 0, 1<<30)
	if err != nil || len(messages) != 750 { // romeo's share
		t.Fatalf("%d messages are in the store, %v; want 750", len(messages), err)
	}
	for i, m := range messages {
		if !strings.Contains(string(m.Stanza), fmt.Sprintf("id='m.%d'", i)) {
			t.Fatalf("message %d is %s", i, m.Stanza)
		}
	}
	stats := s.Router.Stats()
	if stats.Stored != 750 || stats.Refused != n-750 {
		t.Errorf("%d messages were counted as stored and %d as refused", stats.Stored, stats.Refused)
	}
}
