package router_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"roost/internal/xmpptest"
)

const (
	blockFriar      = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='friar@localhost'/></block></iq>"
	unblockFriar    = "<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'><item jid='friar@localhost'/></unblock></iq>"
	unblockParis    = "<iq type='set' id='q'><unblock xmlns='urn:xmpp:blocking'><item jid='paris@localhost'/></unblock></iq>"
	friarBlocked    = "<block xmlns='urn:xmpp:blocking'><item jid='friar@localhost'/></block>"
	friarUnblocked  = "<unblock xmlns='urn:xmpp:blocking'><item jid='friar@localhost'/></unblock>"
	parisUnblocked  = "<unblock xmlns='urn:xmpp:blocking'><item jid='paris@localhost'/></unblock>"
	requestedBefore = "<blocklist xmlns='urn:xmpp:blocking'>"
)

// saveBlocking has romeo's phone block paris and request his blocklist, and stops a.
func (n *savedNodes) saveBlocking() {
	n.t.Helper()
	phone := resumeAt(n.t, n.a, "romeo", n.id, "0")
	phone.say(blockParis, "id='p'")
	phone.say(getBlocklist, requestedBefore)
	_ = phone.conn.Close()
	n.stop()
}

// pushes returns how many pushes a client was sent.
func pushes(c *rawClient) int { return strings.Count(c.got, "id='push-") }

// TestSavedBlocklist: another node has changed a blocklist while a session waits in the store, and
// nobody remembers it when the session is resumed, on the node that has saved it or another one. "The
// server MUST also send an IQ-set to all of the user's resources that have requested the blocklist,
// containing the blocked item(s)" (https://xmpp.org/extensions/xep-0191.html#block): the client is
// pushed what has changed, once.
func TestSavedBlocklist(t *testing.T) {
	for _, node := range []string{"a", "c"} {
		t.Run(node, func(t *testing.T) {
			n := newSavedNodes(t)
			n.saveBlocking()
			tablet := goOnline(t, n.b, "romeo", "tablet")
			tablet.say(blockFriar, "id='b'")
			tablet.say(unblockParis, "id='q'")
			n.b.Node().Kill()
			romeo := n.request(n.start(node))
			romeo.await("<resumed ")
			romeo.awaitAll(0, friarBlocked, parisUnblocked)
			romeo.sync()
			if got := pushes(romeo); got != 2 {
				t.Errorf("%d pushes, want 2: %s", got, romeo.got)
			}
		})
	}
}

// TestSavedBlocklistUnchanged: nothing is pushed if the blocklist has not changed, and a node that
// starts reads many at once.
func TestSavedBlocklistUnchanged(t *testing.T) {
	n := newSavedNodes(t)
	n.saveBlocking()
	n.a = n.start("a")
	romeo := n.request(n.a)
	romeo.await("<resumed ")
	xmpptest.Eventually(t, "the node has compared the lists", func() bool { return n.onA.Calls("BlockedOf") == 1 })
	romeo.sync()
	if pushes(romeo) != 0 {
		t.Errorf("nothing has changed: %s", romeo.got)
	}
}

// TestSavedBlocklistAgain: before a client was told what has changed in its blocklist, its session is
// saved again.
func TestSavedBlocklistAgain(t *testing.T) {
	n := newSavedNodes(t)
	n.saveBlocking()
	tablet := goOnline(t, n.b, "romeo", "tablet")
	tablet.say(blockFriar, "id='b'")
	tablet.say(unblockParis, "id='q'")
	n.b.Node().Kill()
	n.onA.SetFault(func(op string) error {
		if op == "BlockedOf" || op == "Roster" {
			return errors.New("no connection")
		}
		return nil
	})
	n.a = n.start("a")
	romeo := n.request(n.a)
	romeo.await("<resumed ")
	romeo.sync()
	if pushes(romeo) != 0 {
		t.Errorf("the client has the changes although the store cannot be read: the test does not test anything: %s", romeo.got)
	}
	_ = romeo.conn.Close()
	n.stop()
	n.onA.SetFault(nil)
	romeo = n.request(n.start("c"))
	romeo.await("<resumed ")
	romeo.awaitAll(0, friarBlocked, parisUnblocked)
}

// TestSavedBlocklistWithoutStore: the store cannot be read when the session is back. What the client
// has applies meanwhile, and it is pushed what has changed when the store can be read.
// Bug: the session could not be resumed.
func TestSavedBlocklistWithoutStore(t *testing.T) {
	for _, op := range []string{"BlockedOf", "Roster"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newSavedNodes(t)
				n.saveBlocking()
				tablet := goOnline(t, n.b, "romeo", "tablet")
				tablet.say(blockFriar, "id='b'")
				paris := goOnline(t, n.b, "paris", "r")
				n.onA.SetFault(func(o string) error {
					if o == op {
						return errors.New("no connection")
					}
					return nil
				})
				n.a = n.start("a")
				romeo := n.request(n.a)
				romeo.await("<resumed ")
				barred(t, n.cluster, paris, romeo, "romeo@localhost/r")
				n.onA.SetFault(nil)
				romeo.awaitAll(0, friarBlocked)
			})
		})
	}
}

// TestSavedBlocklistWhileSaving: a blocklist changes while the session is being saved. The client is
// sent the push, and after its resumption also that of what was undone meanwhile.
func TestSavedBlocklistWhileSaving(t *testing.T) {
	n := newSavedNodes(t)
	phone := resumeAt(t, n.a, "romeo", n.id, "0")
	phone.say(getBlocklist, "<blocklist xmlns='urn:xmpp:blocking'/>")
	_ = phone.conn.Close()
	tablet := goOnline(t, n.b, "romeo", "tablet")
	n.cluster.Wait()
	n.onA.SetFault(func(op string) error {
		if op == "RosterVersions" { // the node has noted which list the client has
			tablet.say(blockFriar, "id='b'")
			n.cluster.Wait()
		}
		return nil
	})
	n.stop()
	tablet.say(unblockFriar, "id='u'")
	romeo := n.request(n.start("c"))
	romeo.await("<resumed ")
	romeo.awaitAll(0, friarBlocked, friarUnblocked)
	if strings.LastIndex(romeo.got, friarBlocked) > strings.LastIndex(romeo.got, friarUnblocked) {
		t.Errorf("the client takes the contact for blocked: %s", romeo.got)
	}
}

// TestSavedBlocked: a client blocks a contact while another session of its account is saved. When that
// is back, on whatever node, the contact is told that it is unavailable: "the user's server MUST send
// unavailable presence information to the JID" (https://xmpp.org/extensions/xep-0191.html#block).
func TestSavedBlocked(t *testing.T) {
	for _, node := range []string{"a", "c"} {
		t.Run(node, func(t *testing.T) {
			n := newSavedNodes(t)
			n.stop()
			tablet := goOnline(t, n.b, "romeo", "tablet")
			tablet.say(strings.ReplaceAll(blockParis, "paris", "juliet"), "id='p'")
			n.cluster.Wait()
			n.juliet.sync()
			at := len(n.juliet.got)
			n.request(n.start(node)).await("<resumed ")
			n.juliet.awaitAll(at, "<presence type='unavailable' from='romeo@localhost/r'")
		})
	}
}
