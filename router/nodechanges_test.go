package router_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
)

const enableResume = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"

var resumeID = regexp.MustCompile(`<enabled [^>]*\bid='([^']*)'`)

// enable enables stream management, and returns the resumption ID.
func (c *rawClient) enable() (id string) {
	c.t.Helper()
	m := resumeID.FindStringSubmatch(c.ask(enableResume))
	if m == nil {
		c.t.Fatalf("stream management was not enabled: %q", c.got)
	}
	return m[1]
}

// threeNodes returns three nodes, and clients of romeo, who is inactive, and of two contacts of
// his, each on a node.
func threeNodes(t *testing.T) (settle func(), nodes []*xmpptest.Server, romeo, juliet, nurse *rawClient) {
	cluster, nodes := newCluster(t, 3, xmpptest.Config{})
	for _, contact := range []string{"juliet@localhost", "nurse@localhost"} {
		befriend(t, nodes[0], jid.MustParse("romeo@localhost"), jid.MustParse(contact))
	}
	login := func(user string, node int) *rawClient {
		c := loginRaw(t, nodes[node], user, plainHeader)
		c.ask("<presence/>")
		cluster.Wait()
		return c
	}
	romeo, juliet, nurse = login("romeo", 0), login("juliet", 1), login("nurse", 2)
	romeo.sync()
	return func() { cluster.Wait() }, nodes, romeo, juliet, nurse
}

// TestInactiveMoves: the session of an inactive client moves to another node. The client gets
// what was held, and what contacts have changed, on whatever node, before and since.
func TestInactiveMoves(t *testing.T) {
	settle, nodes, romeo, juliet, nurse := threeNodes(t)
	id := romeo.enable()
	romeo.ask(inactive)
	before := len(romeo.got)
	juliet.ask("<presence><status>one</status></presence>" + "<message type='chat' to='romeo@localhost'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>")
	settle()
	romeo.sync()
	if got := romeo.got[before:]; strings.Contains(got, "<presence") || strings.Contains(got, "<message") {
		t.Fatalf("the inactive client was sent %s", got)
	}
	_ = romeo.conn.Close()
	nurse.ask("<presence><status>two</status></presence>")
	settle()
	romeo = resumeAt(t, nodes[2], "romeo", id, "0")
	for settle(); !strings.Contains(romeo.got, "one") || !strings.Contains(romeo.got, "two") || !strings.Contains(romeo.got, "<composing"); {
		romeo.sync()
	}
}

// TestContactMoves: a contact that has changed its presence on another node moves to the node
// of an inactive client, which knows nothing of that node's clock. It has a blocklist, which
// that node has to read.
func TestContactMoves(t *testing.T) {
	settle, nodes, romeo, juliet, _ := threeNodes(t)
	juliet.ask(fmt.Sprintf(blockFormat, "<item jid='paris@localhost'/>"))
	id := juliet.enable()
	for range 3 { // the clock of romeo's node advances
		romeo.ask(inactive)
		juliet.ask("<presence/>")
		settle()
		romeo.ask(active)
		settle()
		romeo.sync()
	}
	romeo.ask(inactive)
	juliet.ask("<presence><status>one</status></presence>")
	settle()
	_ = juliet.conn.Close()
	juliet = resumeAt(t, nodes[0], "juliet", id, "0")
	settle()
	if got := romeo.ask(active); strings.Count(got, "<status>one") != 1 {
		t.Errorf("when it becomes active, the client gets %s", got)
	}
	juliet.sync()
}

// TestInactiveDied: the unavailable presence of contacts whose node has died is held.
func TestInactiveDied(t *testing.T) {
	settle, nodes, romeo, _, _ := threeNodes(t)
	romeo.ask(inactive)
	before := len(romeo.got)
	nodes[1].Node().Kill() // the first node takes over
	nodes[2].Node().Kill()
	settle()
	romeo.sync()
	if got := romeo.got[before:]; strings.Contains(got, "<presence") {
		t.Fatalf("the inactive client was sent %s", got)
	}
	got := romeo.ask(active)
	for _, contact := range []string{"juliet", "nurse"} {
		if !strings.Contains(got, "<presence type='unavailable' from='"+contact+"@localhost/r'") {
			t.Errorf("when it becomes active, the client gets %s", got)
		}
	}
}
