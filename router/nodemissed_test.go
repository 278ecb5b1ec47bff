package router_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store/faultstore"
	"roost/store/memstore"
)

const (
	blockRomeo   = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block></iq>"
	unblockRomeo = "<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></unblock></iq>"
	blockParis   = "<iq type='set' id='p'><block xmlns='urn:xmpp:blocking'><item jid='paris@localhost'/></block></iq>"
	addFriar     = "<iq type='set' id='a'><query xmlns='jabber:iq:roster'><item jid='friar@localhost' name='Laurence'/></query></iq>"
	removeNurse  = "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost' subscription='remove'/></query></iq>"
	addNurse     = "<iq type='set' id='n'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query></iq>"
)

// awaitAll waits until the client has received all texts, in any order, after the first bytes.
func (c *rawClient) awaitAll(from int, texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		c.used = from
		c.await(text)
	}
	c.used = len(c.got)
}

// barred checks that a client does not get a message of romeo to an account.
func barred(t *testing.T, cluster *memnodes.Cluster, romeo, to *rawClient, address string) {
	t.Helper()
	romeo.ask("<message type='chat' id='x' to='" + address + "'><body>barred</body></message>")
	if to.has(cluster, "barred") {
		t.Errorf("%s gets a message of a sender that was blocked", address)
	}
}

// TestJoinedUnknown: a node has just joined, and has read an account's roster. Another one that
// does not know of it yet changes the roster and the blocklist. Whoever logs in at the new node
// has what was changed.
func TestJoinedUnknown(t *testing.T) {
	cluster := memnodes.New()
	cluster.LearnLate()
	cfg := xmpptest.Config{Cluster: cluster, Location: memstore.New()}
	a := xmpptest.NewServer(t, cfg)
	release := a.Node().Hold()
	b := xmpptest.NewServer(t, cfg)
	leave(goOnline(t, b, "juliet", "first")) // its roster stays in memory
	old := goOnline(t, a, "juliet", "old")
	old.say(blockRomeo, "type='result'")
	old.say(addFriar, "type='result'")
	release()
	cluster.Wait()
	romeo, juliet := goOnline(t, b, "romeo", "r"), goOnline(t, b, "juliet", "new")
	if !strings.Contains(juliet.got, "Laurence") {
		t.Error("the client gets a roster that another node has changed since")
	}
	barred(t, cluster, romeo, juliet, "juliet@localhost/new")
	old.say(unblockRomeo, "type='result'") // from here on it is told as any other
	cluster.Wait()
	romeo.write("<message type='chat' to='juliet@localhost/new'><body>welcome</body></message>")
	juliet.await("welcome")
}

// TestJoinedMeanwhile is TestJoinedUnknown with a client that has logged in at the new node before
// the other one knows of that node.
func TestJoinedMeanwhile(t *testing.T) {
	cluster := memnodes.New()
	cluster.LearnLate()
	cfg := xmpptest.Config{Cluster: cluster, Location: memstore.New()}
	a := xmpptest.NewServer(t, cfg)
	release := a.Node().Hold()
	b := xmpptest.NewServer(t, cfg)
	leave(goOnline(t, b, "juliet", "first"))
	old := goOnline(t, a, "juliet", "old")
	old.say(addFriar, "type='result'")
	old.say(blockRomeo, "type='result'")
	juliet, romeo := goOnline(t, b, "juliet", "new"), goOnline(t, b, "romeo", "r")
	from := len(juliet.got)
	release()
	juliet.awaitAll(from, "Laurence")
	barred(t, cluster, romeo, juliet, "juliet@localhost/new")
}

// TestSplitRoster: while a node is cut off, an account's roster and blocklist change on both sides.
// When the node is back, the clients on both sides learn of it.
func TestSplitRoster(t *testing.T) { synctest.Test(t, testSplitRoster) }

func testSplitRoster(t *testing.T) {
	cluster, nodes := newCluster(t, 2, xmpptest.Config{})
	a, b := nodes[0], nodes[1]
	here, there := goOnline(t, a, "juliet", "a"), goOnline(t, b, "juliet", "b")
	there.say(addNurse, "jid='nurse@localhost'")
	here.await("jid='nurse@localhost'")
	romeo := goOnline(t, a, "romeo", "r")
	here.say("<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>", "<blocklist ")
	romeo.say("<message type='chat' to='juliet@localhost/a'><body>before</body></message>", "")
	here.await("before")
	cluster.Wait()

	a.Node().Cut()
	there.say(removeNurse, "type='result'")
	there.say(blockRomeo, "type='result'")
	here.say(addFriar, "type='result'")
	at, atThere := len(here.got), len(there.got)
	a.Node().Heal()
	here.awaitAll(at, "<item jid='nurse@localhost' subscription='remove'/>", "<block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block>")
	there.awaitAll(atThere, "Laurence")
	barred(t, cluster, romeo, here, "juliet@localhost/a")

	a.Node().Cut()
	there.say(unblockRomeo, "type='result'")
	at = len(here.got)
	a.Node().Heal()
	here.awaitAll(at, "<unblock xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></unblock>")
	romeo.write("<message type='chat' to='juliet@localhost/a'><body>welcome</body></message>")
	here.await("welcome")
}

// TestSplitUnavailable: a client that has sent no presence gets the blocklist, too, when its node
// is back, also if nobody remembers the change.
func TestSplitUnavailable(t *testing.T) { synctest.Test(t, testSplitUnavailable) }

func testSplitUnavailable(t *testing.T) {
	cluster, nodes := newCluster(t, 3, xmpptest.Config{})
	here := loginAs(t, nodes[0], "juliet", "a", plainHeader)
	there := loginAs(t, nodes[1], "juliet", "b", plainHeader)
	here.say("<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>", "<blocklist ")
	romeo := loginAs(t, nodes[2], "romeo", "r", plainHeader)
	nodes[0].Node().Cut()
	there.say(blockRomeo, "type='result'")
	cluster.Wait()
	nodes[1].Node().Kill()
	nodes[0].Node().Heal()
	here.await("<block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block>")
	barred(t, cluster, romeo, here, "juliet@localhost/a")
}

// TestBlockWithoutStore: another node changes a blocklist while this one cannot read the store. What
// has changed applies at once, and contacts are told when the store can be read again.
func TestBlockWithoutStore(t *testing.T) { synctest.Test(t, testBlockWithoutStore) }

func testBlockWithoutStore(t *testing.T) {
	var faults faultstore.Faults
	cluster, location := memnodes.New(), memstore.New()
	a := xmpptest.NewServer(t, xmpptest.Config{Cluster: cluster, Location: location, Store: faults.Options()})
	b := xmpptest.NewServer(t, xmpptest.Config{Cluster: cluster, Location: location})
	befriend(t, a, jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost"))
	here, there := goOnline(t, a, "juliet", "a"), goOnline(t, b, "juliet", "b")
	here.say("<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>", "<blocklist ")
	romeo := goOnline(t, b, "romeo", "r")
	romeo.await("from='juliet@localhost/a'")
	cluster.Wait()
	at := len(romeo.got)
	faults.SetFault(func(string) error { return errors.New("no connection") })
	there.say(blockRomeo, "type='result'")
	cluster.Wait()
	barred(t, cluster, romeo, here, "juliet@localhost/a")
	from := len(here.got)
	faults.SetFault(nil)
	here.awaitAll(from, "<block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block>")
	romeo.awaitAll(at, "<presence type='unavailable' from='juliet@localhost/a'")
	faults.SetFault(func(string) error { return errors.New("no connection") })
	there.say(unblockRomeo, "type='result'")
	cluster.Wait()
	romeo.write("<message type='chat' to='juliet@localhost/a'><body>welcome</body></message>")
	here.await("welcome")
	faults.SetFault(nil)
}

// TestSavedRoster: another client changes an account's roster and blocklist while the session of a
// stopped node waits in the store. When it is resumed, on that node or another one, its client
// learns of it.
func TestSavedRoster(t *testing.T) {
	for _, node := range []string{"a", "b", "c"} {
		t.Run(node, func(t *testing.T) {
			n := newSavedNodes(t)
			c := n.start("c")
			phone := resumeAt(t, n.a, "romeo", n.id, "0")
			phone.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "id='roster'")
			_ = phone.conn.Close()
			n.stop()
			tablet := goOnline(t, n.b, "romeo", "tablet")
			tablet.say(addFriar, "type='result'")
			tablet.say(strings.ReplaceAll(blockRomeo, "romeo", "paris"), "type='result'")
			paris := goOnline(t, n.b, "paris", "r")
			switch node {
			case "a":
				c = n.start("a")
			case "b":
				c = n.b
			}
			romeo := n.request(c)
			romeo.await("<resumed ")
			romeo.awaitAll(0, "Laurence")
			barred(t, n.cluster, paris, romeo, "romeo@localhost/r")
		})
	}
}

// registeringNodes calls a function before a session's entry is taken over from another node.
type registeringNodes struct {
	*memnodes.Node
	f func()
}

func (n *registeringNodes) Register(ctx context.Context, account, resource string, r router.Registration) (router.Registered, error) {
	if r.From != 0 {
		n.f()
	}
	return n.Node.Register(ctx, account, resource, r)
}

// TestBlockWhileMoving: another client blocks someone while a session of the account is on its way
// to another node. The node that the session leaves is told, before the session has left, or later.
func TestBlockWhileMoving(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("told later: %v", late), func(t *testing.T) {
			cluster, nodes := newCluster(t, 3, xmpptest.Config{})
			arrives, goOn := make(chan struct{}), make(chan struct{})
			nodes[1].Router.Join(&registeringNodes{nodes[1].Node(), func() {
				close(arrives)
				<-goOn
			}})
			romeo, tablet := goOnline(t, nodes[2], "romeo", "r"), goOnline(t, nodes[2], "juliet", "tablet")
			phone := loginAs(t, nodes[0], "juliet", "phone", plainHeader)
			id := phone.enable()
			phone.ask("<presence/>")
			phone.ask(getBlocklist)
			cluster.Wait()
			phone = dialRaw(t, nodes[1])
			authenticate(phone, "juliet", plainHeader)
			phone.write("<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + id + "'/>")
			<-arrives
			release := func() {}
			if late {
				release = nodes[2].Node().HoldSent()
			}
			tablet.say(blockRomeo, "type='result'")
			cluster.Wait()
			close(goOn)
			phone.await("<resumed ")
			xmpptest.Eventually(t, "the session has left", func() bool { return nodes[0].Sessions.Find("juliet@localhost", "phone") == nil })
			release()
			cluster.Wait()
			barred(t, cluster, romeo, phone, "juliet@localhost/phone")
			phone.awaitAll(0, "<block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block>")
		})
	}
}

// TestBlockWhileRosterChanges: a roster is changed on a node while another one changes the account's
// blocklist. Whoever logs in afterwards has the new list.
// Bug: the node kept the roster in memory with the earlier list.
func TestBlockWhileRosterChanges(t *testing.T) {
	var faults faultstore.Faults
	cluster, location := memnodes.New(), memstore.New()
	a := xmpptest.NewServer(t, xmpptest.Config{Cluster: cluster, Location: location, Store: faults.Options()})
	b := xmpptest.NewServer(t, xmpptest.Config{Cluster: cluster, Location: location})
	juliet, romeo, paris := goOnline(t, b, "juliet", "b"), goOnline(t, a, "romeo", "r"), goOnline(t, a, "paris", "r")
	cluster.Wait()
	release := faults.StopWrites()
	before := faults.Calls("ApplyRoster")
	romeo.write("<presence type='subscribe' to='juliet@localhost'/>")
	xmpptest.Eventually(t, "the roster to be changed", func() bool { return faults.Calls("ApplyRoster") > before })
	juliet.say(blockParis, "id='p'")
	cluster.Wait()
	release()
	romeo.await("ask='subscribe'")
	other := goOnline(t, a, "juliet", "a")
	barred(t, cluster, paris, other, "juliet@localhost/a")
}

// TestPushWhileMoving: another client changes the roster while a session of the account is on its way
// to another node. The node that the session leaves is told, before the session has left, or later.
// The client is pushed the change once.
func TestPushWhileMoving(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("told later: %v", late), func(t *testing.T) {
			cluster, nodes := newCluster(t, 3, xmpptest.Config{})
			arrives, goOn := make(chan struct{}), make(chan struct{})
			nodes[1].Router.Join(&registeringNodes{nodes[1].Node(), func() {
				close(arrives)
				<-goOn
			}})
			tablet, phone := goOnline(t, nodes[2], "juliet", "tablet"), loginAs(t, nodes[0], "juliet", "phone", plainHeader)
			id := phone.enable()
			phone.ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
			cluster.Wait()
			phone = dialRaw(t, nodes[1])
			authenticate(phone, "juliet", plainHeader)
			phone.write("<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + id + "'/>")
			<-arrives
			release := func() {}
			if late {
				release = nodes[2].Node().HoldSent()
			}
			tablet.say(addFriar, "type='result'")
			cluster.Wait()
			close(goOn)
			phone.await("<resumed ")
			xmpptest.Eventually(t, "the session has left", func() bool { return nodes[0].Sessions.Find("juliet@localhost", "phone") == nil })
			release()
			phone.awaitAll(0, "Laurence")
			cluster.Wait()
			phone.sync()
			if n := strings.Count(phone.got, "Laurence"); n != 1 {
				t.Errorf("the client was pushed the change %d times", n)
			}
		})
	}
}

// TestPushOrder: two nodes change an item of a roster, and a third one is told of the first change
// last. Its client has the item as it is in the end, changed or removed.
func TestPushOrder(t *testing.T) {
	const change = "<iq type='set' id='a'><query xmlns='jabber:iq:roster'><item jid='friar@localhost' %s/></query></iq>"
	for _, last := range []string{"name='two'", "subscription='remove'"} {
		cluster, nodes := newCluster(t, 3, xmpptest.Config{})
		a, b, c := goOnline(t, nodes[0], "juliet", "a"), goOnline(t, nodes[1], "juliet", "b"), goOnline(t, nodes[2], "juliet", "c")
		a.say(addFriar, "type='result'")
		c.await("Laurence")
		cluster.Wait()
		release := nodes[0].Node().HoldSent()
		a.say(fmt.Sprintf(change, "name='one'"), "type='result'")
		b.say(fmt.Sprintf(change, last), "type='result'")
		c.await(last)
		release()
		cluster.Wait()
		c.sync()
		if item := c.got[strings.LastIndex(c.got, "<item jid='friar@localhost'"):]; !strings.HasPrefix(item, "<item jid='friar@localhost' "+last) {
			t.Errorf("the last push is %q, want %q", item, last)
		}
	}
}
