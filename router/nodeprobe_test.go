package router_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
)

// TestProbeMoved: a client asks for the presence of a contact whose session moves while the
// request is on its way, to the client's own node or to a third one.
func TestProbeMoved(t *testing.T) {
	for to, desc := range map[int]string{0: "the client's node", 2: "a third node"} {
		settle, nodes, romeo, juliet, _ := threeNodes(t)
		id := juliet.enable()
		juliet.ask("<presence><status>mine</status></presence>")
		settle()
		leave(romeo)
		release := nodes[1].Node().HoldFor("romeo@localhost")
		romeo = loginRaw(t, nodes[0], "romeo", plainHeader)
		romeo.ask("<presence/>")
		_ = juliet.conn.Close()
		juliet = resumeAt(t, nodes[to], "juliet", id, "0")
		settle()
		if got := romeo.ask(""); strings.Contains(got, "mine") {
			t.Fatalf("%s: nothing was on its way: %s", desc, got)
		}
		release()
		settle()
		romeo.sync()
		if got := strings.Count(romeo.got, "<status>mine"); got != 1 {
			t.Errorf("%s: the client was sent the presence %d times", desc, got)
		}
		juliet.sync()
	}
}

// TestProbeFirst: the request for the presence of a contact's resource on another node gets there before
// that node has learned that the contact has approved the subscription, or unblocked the client.
func TestProbeFirst(t *testing.T) {
	const blocking = "xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></"
	for _, x := range []struct {
		friends bool
		before  string // what romeo does
		mine    string // and juliet
		change  string // what she does then
	}{
		{false, "<presence type='subscribe' to='juliet@localhost'/>", "", "<presence type='subscribed' to='romeo@localhost'/>"},
		{true, "", "<iq type='set' id='b'><block " + blocking + "block></iq>", "<iq type='set' id='u'><unblock " + blocking + "unblock></iq>"},
	} {
		cluster, nodes := newCluster(t, 2, xmpptest.Config{})
		if x.friends {
			befriend(t, nodes[0], jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost"))
		}
		desk, phone := goOnline(t, nodes[0], "juliet", "desk"), goOnline(t, nodes[1], "juliet", "phone")
		desk.ask(x.mine)
		cluster.Wait()
		phone.sync()
		romeo := goOnline(t, nodes[0], "romeo", "r")
		romeo.ask(x.before)
		cluster.Wait()
		phone.sync()
		release := nodes[1].Node().HoldFor("juliet@localhost")
		desk.ask(x.change)
		romeo.await("<presence from='juliet@localhost/phone'")
		release()
	}
}
