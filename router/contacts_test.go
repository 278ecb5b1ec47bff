package router_test

import (
	"fmt"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
)

// TestManyContactsOnline: a client that becomes available gets the presence of all
// contacts, even if it is far more than the outbox holds, as fast as it reads, followed by
// the stored messages.
func TestManyContactsOnline(t *testing.T) {
	const contacts = 150
	s := xmpptest.NewServer(t, xmpptest.Config{Outbox: 32 << 10, Router: router.Config{PageBytes: 8 << 10}})
	romeo := jid.MustParse("romeo@localhost")
	status := strings.Repeat("s", 2000)
	names := addAccounts(t, s, contacts)
	for _, name := range names {
		befriend(t, s, romeo, name)
		c := loginRaw(t, s, name.Local(), plainHeader)
		c.say("<presence><status>"+status+"</status></presence>", "</presence>")
	}
	nurse := loginRaw(t, s, "nurse", plainHeader)
	nurse.write("<message type='chat' to='romeo@localhost' id='waits'><body>b</body></message>")
	nurse.sync()

	c := loginRaw(t, s, "romeo", plainHeader)
	c.got, c.used = "", 0
	c.write("<presence/>")
	// The client reads nothing until the socket is full.
	it := s.Sessions.Find("romeo@localhost", "r")
	xmpptest.Eventually(t, "the socket to be full", func() bool { return it.Conn().Queued() > 0 })
	c.await("id='waits'")
	for strings.Count(c.got, "</status>") < contacts {
		c.await("</status>")
	}
	for _, name := range names {
		if n := strings.Count(c.got, "from='"+name.String()+"/r'"); n != 1 {
			t.Errorf("the presence of %s was received %d times", name, n)
		}
	}
}

// TestManyContactsUnacked: a client with stream management whose contacts' presence is more
// than it may have unacknowledged gets all of it, although it acknowledges late. Bug: the
// socket accepted all at once, and the client was disconnected, at each of its logins.
func TestManyContactsUnacked(t *testing.T) {
	const contacts, unacked = 40, 64 << 10
	var cfg xmpptest.Config
	cfg.Router.PageBytes, cfg.Session.Unacked = 8<<10, unacked
	s := xmpptest.NewServer(t, cfg)
	romeo := jid.MustParse("romeo@localhost")
	names := addAccounts(t, s, contacts)
	for _, name := range names {
		befriend(t, s, romeo, name)
		c := loginRaw(t, s, name.Local(), plainHeader)
		c.say("<presence><status>"+strings.Repeat("s", 3000)+"</status></presence>", "</presence>")
	}
	c := loginManaged(t, s, "romeo", "r")
	c.write("<presence/>")
	for acked, n := 0, 0; n < contacts; n = strings.Count(c.got, "</status>") {
		c.await("</status>")
		c.sync()
		if len(c.got)-acked > unacked/2 {
			t.Fatalf("%d bytes were sent before the previous ones were acknowledged", len(c.got)-acked)
		}
		acked = len(c.got)
		h := strings.Count(c.got, "<message") + strings.Count(c.got, "<presence") + strings.Count(c.got, "<iq")
		c.write(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", h))
	}
	for _, name := range names {
		if n := strings.Count(c.got, "from='"+name.String()+"/r'"); n != 1 {
			t.Errorf("the presence of %s was received %d times", name, n)
		}
	}
}

// addAccounts adds n accounts.
func addAccounts(t *testing.T, s *xmpptest.Server, n int) (names []jid.JID) {
	t.Helper()
	romeo, err := s.Store.Account(t.Context(), jid.MustParse("romeo@localhost"))
	if err != nil {
		t.Fatal(err)
	}
	var accounts []store.Account
	for i := range n {
		names = append(names, jid.MustParse(fmt.Sprintf("contact%d@localhost", i)))
		accounts = append(accounts, store.Account{JID: names[i], Credentials: romeo.Credentials})
	}
	if _, _, err := s.Store.ImportAccounts(t.Context(), accounts, store.SkipExisting); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestManyRequests: many subscription requests from strangers cannot prevent a user from
// logging in.
func TestManyRequests(t *testing.T) {
	const requests = 100
	s := xmpptest.NewServer(t, xmpptest.Config{Outbox: 32 << 10, Router: router.Config{PageBytes: 8 << 10}})
	romeo := jid.MustParse("romeo@localhost")
	ro, err := s.Store.Roster(t.Context(), romeo)
	if err != nil {
		t.Fatal(err)
	}
	for i := range requests {
		from := jid.MustParse(fmt.Sprintf("stranger%d@localhost", i))
		text := fmt.Sprintf("<presence type='subscribe' from='%s' to='%s'><status>%s</status></presence>", from, romeo, strings.Repeat("s", 3000))
		_, err = s.Store.ApplyRoster(t.Context(), []store.RosterUpdate{{
			Owner: romeo, Expect: ro.Version, AddRequest: &store.Request{From: from, Stanza: []byte(text)},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	c := loginRaw(t, s, "romeo", plainHeader)
	c.write("<presence/>")
	it := s.Sessions.Find("romeo@localhost", "r")
	xmpptest.Eventually(t, "the socket to be full", func() bool { return it.Conn().Queued() > 0 })
	for range requests {
		c.await("</status></presence>")
	}
	c.sync()
	if n := strings.Count(c.got, "type='subscribe'"); n != requests {
		t.Errorf("received %d requests, want %d", n, requests)
	}
}

// largePresence is presence that is far larger than a page of what is sent after a login.
func largePresence(mark string) string {
	return "<presence><status>" + mark + strings.Repeat("s", 40000) + "</status></presence>"
}

// pacedServer has an outbox that holds one large presence but not two.
func pacedServer(t *testing.T) *xmpptest.Server {
	return xmpptest.NewServer(t, xmpptest.Config{Outbox: 64 << 10, Router: router.Config{PageBytes: 16 << 10}})
}

// manyResources logs in resources of an account, each of which sends large presence.
func manyResources(t *testing.T, s *xmpptest.Server, user string, n int) (all []*rawClient) {
	for i := range n {
		c := loginAs(t, s, user, fmt.Sprint("x", i), plainHeader)
		c.write(largePresence(fmt.Sprint("mark", i, " ")))
		all = append(all, c)
		for range i {
			c.await("</status></presence>")
		}
		for _, x := range all {
			x.await("</status></presence>") // a broadcast, which all have to read
		}
	}
	return all
}

// fullSocket waits until a client that does not read has more to read than its socket
// holds.
func fullSocket(t *testing.T, s *xmpptest.Server, resource string) {
	t.Helper()
	it := s.Sessions.Find("romeo@localhost", resource)
	xmpptest.Eventually(t, "the socket to be full", func() bool { return it.Conn().Queued() > 0 })
}

// TestManyResources: the presence of one account's resources, too, is sent as fast as the
// client reads, whether after a login, an approval or a probe.
func TestManyResources(t *testing.T) {
	romeo, juliet := jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost")
	f := func(desc, of string, prepare func(*xmpptest.Server), cause func(*xmpptest.Server, *rawClient)) {
		t.Run(desc, func(t *testing.T) {
			s := pacedServer(t)
			prepare(s)
			const resources = 9
			manyResources(t, s, of, resources)
			c := loginRaw(t, s, "romeo", plainHeader)
			c.got, c.used = "", 0
			cause(s, c)
			// The client reads nothing until the socket is full.
			fullSocket(t, s, "r")
			for range resources {
				c.await("</status></presence>")
			}
			c.sync()
			for i := range resources {
				if n := strings.Count(c.got, fmt.Sprint("<status>mark", i, " ")); n != 1 {
					t.Errorf("the presence of resource %d was received %d times", i, n)
				}
			}
		})
	}
	friends := func(s *xmpptest.Server) { befriend(t, s, romeo, juliet) }
	online := func(_ *xmpptest.Server, c *rawClient) { c.write("<presence/>") }
	f("a contact's at a login", "juliet", friends, online)
	f("one's own at a login", "romeo", func(*xmpptest.Server) {}, online)
	f("a probe", "juliet", friends, func(_ *xmpptest.Server, c *rawClient) {
		c.write("<presence type='probe' to='juliet@localhost'/>")
	})
	f("an approval", "juliet", func(*xmpptest.Server) {}, func(s *xmpptest.Server, c *rawClient) {
		c.say("<presence/>", "<presence")
		approver := loginAs(t, s, "juliet", "approver", plainHeader)
		approver.say("<presence type='subscribed' to='romeo@localhost'/>", "")
		approver.sync()
		c.write("<presence type='subscribe' to='juliet@localhost'/>")
	})
}

// TestChangesWhileWaiting: a client that reads slowly is sent the state at the time when it
// has read, not the state when it logged in.
func TestChangesWhileWaiting(t *testing.T) {
	s := pacedServer(t)
	romeo := jid.MustParse("romeo@localhost")
	befriend(t, s, romeo, jid.MustParse("juliet@localhost"))
	befriend(t, s, romeo, jid.MustParse("nurse@localhost"))
	juliets := manyResources(t, s, "juliet", 9)
	nurses := manyResources(t, s, "nurse", 2)
	c := loginRaw(t, s, "romeo", plainHeader)
	c.got, c.used = "", 0
	c.write("<presence/>")
	fullSocket(t, s, "r")
	// One resource leaves, one changes, one is added; and nurse is removed from the
	// contacts.
	juliets[0].say("<presence type='unavailable'/>", "type='unavailable'")
	juliets[1].say("<presence><status>changed</status></presence>", "changed")
	late := loginAs(t, s, "juliet", "late", plainHeader)
	late.say("<presence><status>late</status></presence>", "late")
	nurses[0].say("<presence type='unsubscribed' to='romeo@localhost'/>", "")
	nurses[0].sync()
	// Presence that is sent once there is space in the socket is queued before the reply to
	// the ping that follows: if nothing else is received, that was all.
	for before := -2000; len(c.got)-before > 1000; {
		before = len(c.got)
		c.sync()
	}
	last := make(map[string]string)
	for _, p := range strings.Split(c.got, "<presence ")[1:] {
		_, from, _ := strings.Cut(p, "from='")
		from, _, _ = strings.Cut(from, "'")
		last[from] = p
	}
	for i := range 9 {
		from, want := fmt.Sprintf("juliet@localhost/x%d", i), fmt.Sprint("mark", i, " ")
		switch i {
		case 0:
			want = "type='unavailable'"
		case 1:
			want = "changed"
		}
		if got := last[from]; !strings.Contains(got, want) && !(i == 0 && got == "") {
			t.Errorf("the last presence of %s is %.80q, want %q", from, got, want)
		}
	}
	if got := last["juliet@localhost/late"]; !strings.Contains(got, "late") {
		t.Errorf("the presence of the added resource is %.80q", got)
	}
	for i := range 2 {
		if got := last[fmt.Sprintf("nurse@localhost/x%d", i)]; got != "" && !strings.Contains(got, "type='unavailable'") {
			t.Errorf("the presence of a removed contact: %.80q", got)
		}
	}
}

// befriend subscribes the user to the contact's presence.
func befriend(t *testing.T, s *xmpptest.Server, user, contact jid.JID) {
	t.Helper()
	for _, side := range []struct {
		owner, other jid.JID
		sub          store.Subscription
	}{{user, contact, store.To}, {contact, user, store.From}} {
		ro, err := s.Store.Roster(t.Context(), side.owner)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Store.ApplyRoster(t.Context(), []store.RosterUpdate{{
			Owner: side.owner, Expect: ro.Version, Put: &store.RosterItem{JID: side.other, Subscription: side.sub},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
}
