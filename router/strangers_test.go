package router_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/router"
	"roost/store/memstore"
)

const (
	tooManyMessages = "<error type='wait'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>You have sent too many messages to people who have not added you as a contact, or replied. Try again later.</text></error>"
	tooManyRequests = "<error type='wait'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>You have sent too many subscription requests. Try again later.</text></error>"
)

// chatTo sends messages, and returns how many were refused by the limit for strangers.
func (c *rawClient) chatTo(to string, n int) (refused int) {
	c.t.Helper()
	for range n {
		refused += strings.Count(c.ask("<message type='chat' to='"+to+"' id='m'><body>b</body></message>"), tooManyMessages)
	}
	return refused
}

// TestStrangerMessages: an account may send as many messages an hour to strangers as the limit
// says, whether they exist or not; to others, as many as it wants. Its resources share the
// limit.
func TestStrangerMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfg xmpptest.Config
		cfg.Location = memstore.New()
		cfg.Router.StrangerMessages, cfg.Router.Exempt = 4, []string{"nurse@localhost"}
		s := xmpptest.NewServer(t, cfg)
		online := func(user, resource string) *rawClient {
			c := loginAs(t, s, user, resource, plainHeader)
			c.ask("<presence/>")
			return c
		}
		romeo, other, juliet := online("romeo", "r"), online("romeo", "other"), online("juliet", "r")
		f := func(desc string, c *rawClient, to string, n, refused int) {
			t.Helper()
			if got := c.chatTo(to, n); got != refused {
				t.Errorf("%s: %d of %d messages to %s were refused, want %d", desc, got, n, to, refused)
			}
		}
		f("strangers", romeo, "juliet@localhost", 1, 0)
		f("a full JID", romeo, "juliet@localhost/r", 1, 0)
		f("no account", romeo, "nobody@localhost", 1, 0)
		f("the other resource, offline", other, "paris@localhost", 3, 2)
		f("no account", romeo, "nobody@localhost", 1, 1)
		f("the own account", romeo, "romeo@localhost", 5, 0)
		f("another account", juliet, "paris@localhost", 4, 0)
		for _, to := range []string{"juliet@localhost", "juliet@localhost/r"} { // which would be delivered
			if got := romeo.ask("<message type='groupchat' to='" + to + "' id='g'><body>b</body></message>"); !strings.Contains(got, tooManyMessages) {
				t.Errorf("groupchat to %s: %s", to, got)
			}
		}
		for range 2 { // by the server's roster, and by the cache
			f("exempt", online("nurse", "r"), "juliet@localhost", 5, 0)
		}
		f("a reply to who is exempt", juliet, "nurse@localhost", 5, 0)
		juliet.sync()
		if n := strings.Count(juliet.got, "from='romeo@localhost/"); n != 2 {
			t.Errorf("juliet has got %d messages, want 2: %s", n, juliet.got)
		}
		if st := s.Router.Stats(); st.StrangerMessages != 5 || st.Refused != 6 {
			t.Errorf("%+v", st)
		}

		// Juliet has used up her limit. She may reply to romeo; then he may go on.
		f("a reply", juliet, "romeo@localhost", 5, 0)
		f("replied to", romeo, "juliet@localhost", 5, 0)
		f("others", romeo, "paris@localhost", 1, 1)
		time.Sleep(15*time.Minute + time.Second)
		f("after a quarter of an hour", romeo, "paris@localhost", 2, 1)
		time.Sleep(pairTime)
		f("the conversation is remembered", romeo, "juliet@localhost", 5, 0)
		time.Sleep(2 * pairTime)
		f("the conversation is forgotten", romeo, "juliet@localhost", 5, 1)

		// Contacts.
		romeo.write("<presence type='subscribe' to='paris@localhost'/>")
		romeo.sync()
		f("a request that nobody has answered", romeo, "paris@localhost", 1, 1)
		paris := online("paris", "r")
		f("who has got a request", paris, "romeo@localhost", 10, 0)
		paris.ask("<presence type='subscribed' to='romeo@localhost'/>")
		time.Sleep(4 * pairTime)
		f("who has approved the sender", romeo, "paris@localhost", 10, 0)
		f("whom the sender has approved", paris, "romeo@localhost", 10, 0)

		s.Router.SetConfig(router.Config{})
		f("no limit", romeo, "juliet@localhost", 20, 0)
	})
}

// pairTime is how long conversations are remembered.
const pairTime = 12 * time.Hour

// TestSubscriptionRequestLimit: an account may send as many subscription requests an hour as
// the limit says. Those that it repeats do not count, and nor do other changes.
func TestSubscriptionRequestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfg xmpptest.Config
		cfg.Location = memstore.New()
		cfg.Router.SubscriptionRequests, cfg.Router.Exempt = 3, []string{"nurse@localhost"}
		s := xmpptest.NewServer(t, cfg)
		f := func(c *rawClient, kind, to string, want bool) {
			t.Helper()
			got := c.ask("<presence type='" + kind + "' to='" + to + "' id='p'/>")
			if strings.Contains(got, tooManyRequests) == want {
				t.Errorf("%s to %s: %s", kind, to, got)
			}
			if !want && (!strings.Contains(got, "<presence type='error' id='p' from='"+to+"'") || strings.Contains(got, "<iq type='set'")) {
				t.Errorf("%s to %s: the reply is %s", kind, to, got)
			}
		}
		romeo := goOnline(t, s, "romeo", "r")
		for range 3 {
			f(romeo, "subscribe", "juliet@localhost", true)
			f(romeo, "subscribe", "nobody@localhost", true)
		}
		f(romeo, "subscribe", "paris@localhost", true)
		f(romeo, "subscribe", "mercutio@localhost", false)
		f(romeo, "subscribe", "nobody2@localhost", false)
		f(romeo, "unsubscribe", "paris@localhost", true)
		f(romeo, "subscribe", "paris@localhost", false)
		f(romeo, "subscribe", "juliet@localhost", true)
		juliet := goOnline(t, s, "juliet", "r")
		f(juliet, "subscribed", "romeo@localhost", true)
		f(romeo, "subscribe", "juliet@localhost", true)
		if n := s.Router.Stats().SubscriptionRequests; n != 3 {
			t.Errorf("%d were refused, want 3", n)
		}
		nurse := goOnline(t, s, "nurse", "r")
		for i := range 10 {
			f(nurse, "subscribe", fmt.Sprintf("a%d@localhost", i), true)
		}
		time.Sleep(20*time.Minute + time.Second)
		f(romeo, "subscribe", "paris@localhost", true)
		f(romeo, "subscribe", "mercutio@localhost", false)
		s.Router.SetConfig(router.Config{})
		f(romeo, "subscribe", "mercutio@localhost", true)
	})
}

// TestStrangerRequested: who has requested a subscription may answer the messages of the one who
// has not approved it yet.
func TestStrangerRequested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfg xmpptest.Config
		cfg.Location = memstore.New()
		cfg.Router.StrangerMessages = 2
		s := xmpptest.NewServer(t, cfg)
		romeo, juliet := goOnline(t, s, "romeo", "r"), goOnline(t, s, "juliet", "r")
		romeo.write("<presence type='subscribe' to='juliet@localhost'/>")
		romeo.sync()
		if n := romeo.chatTo("juliet@localhost", 3); n != 1 {
			t.Errorf("before: %d of 3 messages were refused, want 1", n)
		}
		if n := juliet.chatTo("romeo@localhost", 5); n != 0 {
			t.Errorf("to who has requested: %d messages were refused, want 0", n)
		}
		if n := romeo.chatTo("juliet@localhost", 5); n != 0 {
			t.Errorf("answers: %d were refused, want 0", n)
		}
	})
}

// TestStrangerRooms: messages to rooms do not count, which are those of type groupchat to other
// servers.
func TestStrangerRooms(t *testing.T) {
	x := newRouted(t)
	x.s.Router.SetConfig(router.Config{StrangerMessages: 1})
	c := loginAs(t, x.s, "juliet", "j", plainHeader)
	for range 3 {
		if got := c.ask("<message type='groupchat' to='room@far.example' id='g'><body>b</body></message>"); strings.Contains(got, "policy-violation") {
			t.Error(got)
		}
	}
	if n := c.chatTo("room@far.example", 3); n != 2 {
		t.Errorf("%d others were refused, want 2", n)
	}
}

// TestStrangersOnNodes: a reply is recognized on the node of its recipient, too.
func TestStrangersOnNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfg xmpptest.Config
		cfg.Router.StrangerMessages = 2
		var nodes []*xmpptest.Server
		var cluster *memnodes.Cluster
		cluster, nodes = newCluster(t, 2, cfg)
		romeo, juliet := goOnline(t, nodes[0], "romeo", "r"), goOnline(t, nodes[1], "juliet", "j")
		if n := juliet.chatTo("nobody@localhost", 3); n != 1 {
			t.Errorf("%d were refused, want 1", n)
		}
		if n := romeo.chatTo("juliet@localhost", 3); n != 1 {
			t.Errorf("%d were refused, want 1", n)
		}
		cluster.Wait()
		if n := juliet.chatTo("romeo@localhost/r", 3); n != 0 {
			t.Errorf("%d replies were refused, want 0", n)
		}
		cluster.Wait()
		if n := romeo.chatTo("juliet@localhost/j", 3); n != 0 {
			t.Errorf("%d messages were refused after the reply, want 0", n)
		}
	})
}

// TestStrangersUnread: a message of whose sender the roster cannot be read gets an error, and
// does not count.
func TestStrangersUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfg xmpptest.Config
		cfg.Location = memstore.New()
		cfg.Router.StrangerMessages, cfg.Router.RosterCache = 1, 1
		s, st := slowServer(t, cfg)
		romeo := loginRaw(t, s, "romeo", plainHeader)
		time.Sleep(time.Hour) // the roster is not in memory any more
		st.SetFault(func(method string) error {
			if method == "Roster" || method == "LoginState" {
				return fmt.Errorf("%s failed", method)
			}
			return nil
		})
		if got := romeo.ask("<message type='chat' to='juliet@localhost' id='m'><body>b</body></message>"); !strings.Contains(got, "<internal-server-error") {
			t.Errorf("%s", got)
		}
		st.SetFault(nil)
		if n := romeo.chatTo("juliet@localhost", 2); n != 1 {
			t.Errorf("%d were refused, want 1", n)
		}
	})
}
