package router_test

import (
	"strings"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/teststores"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
)

// twoNodes starts two nodes with a store, on which romeo and juliet are contacts, and
// mercutio and juliet.
func twoNodes(t *testing.T) (c *memnodes.Cluster, a, b *xmpptest.Server) {
	t.Helper()
	c = memnodes.New()
	location := teststores.SQLite.New(t)
	a = xmpptest.NewServer(t, xmpptest.Config{Cluster: c, Location: location})
	b = xmpptest.NewServer(t, xmpptest.Config{Cluster: c, Location: location})
	for owner, contacts := range map[string][]string{"juliet": {"romeo", "mercutio"}, "romeo": {"juliet"}, "mercutio": {"juliet"}} {
		update := store.RosterUpdate{Owner: jid.MustParse(owner + "@localhost")}
		for _, contact := range contacts {
			ro, err := a.Store.Roster(t.Context(), update.Owner)
			if err != nil {
				t.Fatal(err)
			}
			update.Expect, update.Put = ro.Version, &store.RosterItem{JID: jid.MustParse(contact + "@localhost"), Subscription: store.Both}
			if _, err = a.Store.ApplyRoster(t.Context(), []store.RosterUpdate{update}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c, a, b
}

// goOnline logs a client in and makes it available.
func goOnline(t *testing.T, s *xmpptest.Server, user, resource string) *rawClient {
	t.Helper()
	c := loginAs(t, s, user, resource, plainHeader)
	c.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "id='roster'")
	c.say("<presence/>", "<presence from='"+user+"@localhost/"+resource+"'")
	return c
}

// leave closes a client's stream, and waits until the server has.
func leave(c *rawClient) {
	c.t.Helper()
	c.say("</stream:stream>", "</stream:stream>")
}

// has returns whether a client has received a text since the last call of await that found
// something. It first waits until all that nodes have sent each other was handled.
func (c *rawClient) has(cluster *memnodes.Cluster, text string) bool {
	c.t.Helper()
	at := c.used
	cluster.Wait()
	c.sync()
	return strings.Contains(c.got[at:c.used], text)
}

// TestSplit: a node is cut off, and comes back. Meanwhile each side serves its own clients,
// messages for the other one are stored, and requests are bounced; afterwards both have the
// presence of the other, and the messages.
func TestSplit(t *testing.T) {
	cluster, a, b := twoNodes(t)
	romeo := goOnline(t, a, "romeo", "r")
	juliet := goOnline(t, b, "juliet", "j")
	mercutio := goOnline(t, b, "mercutio", "m")
	romeo.await("<presence from='juliet@localhost/j'")
	juliet.await("<presence from='romeo@localhost/r'")
	cluster.Wait()

	a.Node().Cut()
	juliet.await("<presence type='unavailable' from='romeo@localhost/r'")
	romeo.say("<iq type='get' id='v' to='juliet@localhost/j'><query xmlns='jabber:iq:version'/></iq>", "<remote-server-timeout ")
	romeo.say("<message id='n' to='juliet@localhost/j'><body>normal</body></message>", "<remote-server-timeout ")
	romeo.write("<message type='chat' to='mercutio@localhost/m'><body>stored</body></message>")
	nurse := goOnline(t, a, "nurse", "n")
	nurse.write("<message type='chat' to='romeo@localhost/r'><body>here</body></message>")
	romeo.await("here")
	mercutio.write("<message type='chat' to='juliet@localhost'><body>there</body></message>")
	juliet.await("there")
	leave(juliet)

	a.Node().Heal()
	romeo.await("<presence type='unavailable' from='juliet@localhost' ")
	mercutio.await("stored")
	mercutio.write("<message type='chat' to='nurse@localhost/n'><body>again</body></message>")
	nurse.await("again")
	juliet = goOnline(t, b, "juliet", "j")
	juliet.await("<presence from='romeo@localhost/r'")
	romeo.await("<presence from='juliet@localhost/j'")
	if nurse.has(cluster, "<presence") {
		t.Error("those who are no contacts got presence")
	}
}

// TestSplitPresence: when a node is back, the presence of its clients and that of their
// contacts is announced again.
func TestSplitPresence(t *testing.T) {
	_, a, b := twoNodes(t)
	romeo := goOnline(t, a, "romeo", "r")
	juliet := goOnline(t, b, "juliet", "j")
	juliet.await("<presence from='romeo@localhost/r'")
	a.Node().Cut()
	juliet.await("<presence type='unavailable' from='romeo@localhost/r'")
	juliet.say("<presence><show>away</show></presence>", "away")
	a.Node().Heal()
	juliet.await("<presence from='romeo@localhost/r'")
	romeo.await("<presence type='unavailable' from='juliet@localhost' ")
	romeo.await("<show>away</show>")
}

// TestSplitConflict: a client has bound the same resource on another node while its own node
// was cut off. The new session stays, and no one takes the end of the old one for its end.
func TestSplitConflict(t *testing.T) {
	cluster, a, b := twoNodes(t)
	old := goOnline(t, a, "romeo", "r")
	juliet := goOnline(t, b, "juliet", "j")
	cluster.Wait()
	a.Node().Cut()
	juliet.await("<presence type='unavailable' from='romeo@localhost/r'")
	romeo := goOnline(t, b, "romeo", "r")
	juliet.await("<presence from='romeo@localhost/r'")
	a.Node().Heal()
	old.await("<conflict ")
	xmpptest.Eventually(t, "the old session ends", func() bool { return a.Sessions.Counts().Bound == 0 })
	if juliet.has(cluster, "type='unavailable'") {
		t.Error("the new session is taken for the old one")
	}
	if got := cluster.Places("romeo@localhost"); len(got) != 1 || got[0].Node != b.Node().Self() || !got[0].Available {
		t.Errorf("%+v", got)
	}
	juliet.write("<message type='chat' to='romeo@localhost/r'><body>you?</body></message>")
	romeo.await("you?")
}

// TestMissing: the directory does not have a resource for a while, because it could not be registered
// or the directory has lost its entry. Contacts that log in or leave meanwhile, and the resource, have
// each other's presence when it is registered.
func TestMissing(t *testing.T) {
	cluster, a, b := twoNodes(t)
	mercutio := goOnline(t, a, "mercutio", "m")
	juliet := goOnline(t, b, "juliet", "j")
	juliet.await("<presence from='mercutio@localhost/m'")
	b.Node().Unregister("juliet@localhost", "j")
	leave(mercutio)
	romeo := goOnline(t, a, "romeo", "r")
	if romeo.has(cluster, "from='juliet@localhost") || juliet.has(cluster, "<presence") {
		t.Fatal("the resource is not missing")
	}
	b.Node().Repeat(router.LostEntries)
	romeo.await("<presence from='juliet@localhost/j'")
	juliet.await("<presence type='unavailable' from='mercutio@localhost' ")
	juliet.await("<presence from='romeo@localhost/r'")
}

// TestMissingOnly: resources that are in the directory do not exchange presence when they are
// registered again.
func TestMissingOnly(t *testing.T) {
	cluster, a, b := twoNodes(t)
	romeo, juliet := goOnline(t, a, "romeo", "r"), goOnline(t, b, "juliet", "j")
	romeo.await("<presence from='juliet@localhost/j'")
	juliet.await("<presence from='romeo@localhost/r'")
	cluster.Wait()
	juliet.sync()
	b.Node().Repeat(router.LostEntries)
	juliet.sync()
	if romeo.has(cluster, "<presence") || juliet.has(cluster, "<presence") {
		t.Errorf("presence was sent again: %s; %s", romeo.got, juliet.got)
	}
}

// TestMissingBeforeAvailable: a message was stored for an account whose only resource was not in the
// directory, and not available yet. It gets the message when it is.
func TestMissingBeforeAvailable(t *testing.T) {
	cluster, a, b := twoNodes(t)
	juliet := loginAs(t, b, "juliet", "j", plainHeader)
	b.Node().Unregister("juliet@localhost", "j")
	romeo := loginAs(t, a, "romeo", "r", plainHeader)
	romeo.write("<message type='chat' to='juliet@localhost'><body>stored</body></message>")
	romeo.sync()
	cluster.Wait()
	b.Node().Repeat(router.LostEntries)
	juliet.write("<presence/>")
	juliet.await("stored")
}

// TestLostUpdate: the directory has lost, or refused, the last change of whether a resource is available
// and of its priority. It is right again when the resource is registered again.
func TestLostUpdate(t *testing.T) {
	cluster, _, b := twoNodes(t)
	juliet := goOnline(t, b, "juliet", "j")
	const account, resource = "juliet@localhost", "j"
	want := router.Place{Resource: resource, Node: b.Node().Self()}
	check := func() {
		t.Helper()
		b.Node().Repeat(router.LostEntries)
		if got := cluster.Places(account); len(got) != 1 || got[0] != want {
			t.Errorf("the directory has %+v, want %+v", got, want)
		}
	}
	juliet.say("<presence><priority>5</priority></presence>", "<priority>5")
	b.Node().Update(account, resource, false, 0)
	want.Available, want.Priority = true, 5
	check()
	b.Node().Update(account, resource, true, -1)
	check()
	juliet.say("<presence type='unavailable'/>", "type='unavailable'")
	b.Node().Update(account, resource, true, 5)
	want.Available, want.Priority = false, 0
	check()
}

// TestMissingWhereItStays: the directory has lost the entry of a session while it was moving. A contact
// that has logged in meanwhile sees it when it stays where it was.
func TestMissingWhereItStays(t *testing.T) {
	_, nodes := newCluster(t, 3, xmpptest.Config{})
	a, b := nodes[0], nodes[1]
	befriend(t, a, jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost"))
	juliet, id := resumableAs(t, a, "juliet", "j")
	juliet.say("<presence/>", "<presence from='juliet@localhost/j'")
	taking, goOn := make(chan struct{}), make(chan struct{})
	take := func(takeFunc) (router.Registered, error) {
		close(taking)
		<-goOn
		return router.Registered{Taken: true}, nil
	}
	n := &takingNodes{Node: b.Node()}
	n.take.Store(&take)
	b.Router.Join(n)
	juliet = requestAt(t, b, "juliet", id)
	<-taking
	a.Node().Unregister("juliet@localhost", "j")
	romeo := goOnline(t, nodes[2], "romeo", "r")
	close(goOn)
	juliet.await("<item-not-found")
	romeo.await("<presence from='juliet@localhost/j'")
}
