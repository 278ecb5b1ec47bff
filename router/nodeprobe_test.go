package router_test

import (
	"strings"
	"testing"
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
