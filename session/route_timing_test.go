package session_test

import (
	"testing"

	"roost/router"
	"roost/session"
	"roost/xep"
)

// withExtensions registers all extensions, as on a real server.
func withExtensions(cfg *router.Config) { cfg.Extensions = xep.New(xep.Config{}).All() }

// chatStanza returns a typical chat message, with an id, a chat state and a request for a
// receipt.
func chatStanza(to string) []byte {
	return []byte("<message type='chat' to='" + to + "' id='5f0c2b9e-7e0e-4a8b-9e55'><body>Wherefore art thou, Romeo?</body>" +
		"<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>")
}

// TestRoutingAllocatesNothing: a chat message between two clients, by full and by bare JID,
// a headline, an iq to a full JID and its response, directed presence, and broadcast
// presence to ten contacts are routed without an allocation, from the first byte of the
// stanza to the recipient's outbox, with all extensions registered.
func TestRoutingAllocatesNothing(t *testing.T) {
	c := newSimServerWith(t, 11, 10, 0, withExtensions)
	s := c.fill()[0]
	f := func(desc, stanza string, recipients int) {
		t.Helper()
		b := []byte(stanza)
		before := c.stanzas
		c.say(s, b)
		if got := c.stanzas - before; got != recipients {
			t.Errorf("%s: went to %d clients, want %d", desc, got, recipients)
		}
		if n := testing.AllocsPerRun(1000, func() { c.say(s, b) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", desc, n)
		}
	}
	to := member(1).String()
	f("a message to a full JID", string(chatStanza(to+"/phone")), 1)
	f("a message to a bare JID", string(chatStanza(to)), 1)
	f("a headline", "<message type='headline' to='"+to+"'><body>news</body></message>", 1)
	f("an iq", "<iq type='get' id='1' to='"+to+"/phone'><query xmlns='jabber:iq:version'/></iq>", 1)
	f("its answer", "<iq type='result' id='1' to='"+to+"/phone'><query xmlns='jabber:iq:version'/></iq>", 1)
	f("an unknown iq", "<iq type='get' id='1'><query xmlns='urn:unknown'/></iq>", 1)
	f("a ping", "<iq type='get' id='1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", 1)
	f("presence", "<presence><show>away</show><status>reading</status></presence>", 11)
	f("the same presence", "<presence/>", 11)
}

// BenchmarkChat routes chat messages between two clients: parsing, the tables,
// stamping, the outbox.
func BenchmarkChat(b *testing.B) {
	c := newSimServerWith(b, 100000, 0, 0, withExtensions)
	all := c.fill()
	for _, to := range []string{"full", "bare"} {
		b.Run(to, func(b *testing.B) {
			var stanzas [4096][]byte
			for i := range stanzas {
				who := member(i * 7919 % c.n).String()
				if to == "full" {
					who += "/phone"
				}
				stanzas[i] = chatStanza(who)
			}
			b.SetBytes(int64(len(stanzas[0])))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.say(all[i*31%c.n], stanzas[i%len(stanzas)])
				i++
			}
		})
	}
}

// BenchmarkPresence broadcasts presence to ten contacts and the client itself.
func BenchmarkPresence(b *testing.B) {
	c := newSimServer(b, 1000, 10)
	all := c.fill()
	stanzas := [][]byte{[]byte("<presence><show>away</show></presence>"), []byte("<presence/>")}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c.say(all[i%c.n], stanzas[i/c.n%2])
		i++
	}
}

// fill adds all clients, available.
func (c *simServer) fill() (all []*session.Session) {
	for i := range c.n {
		s := c.enter(i)
		c.say(s, []byte("<presence/>"))
		all = append(all, s)
	}
	return all
}
