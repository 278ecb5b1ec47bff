package router_test

import (
	"strings"
	"testing"

	"roost/jid"
	"roost/session"
)

// TestRouteBlocked: a remote contact that a user has blocked gets neither the user's presence
// nor probes, and its own probes get no reply.
func TestRouteBlocked(t *testing.T) {
	x := newRouted(t)
	far := func(text string) string {
		t.Helper()
		n := &node{jid: jid.MustParse("a@far.example/b")}
		if need := route(t, x.s, session.Write, n, text); need != session.Done {
			t.Fatalf("%s: is not done: %v", text, need)
		}
		x.romeo.sync()
		return strings.Join(n.take(), "")
	}
	f := func(request, want string) {
		t.Helper()
		x.romeo.ask(request)
		if got := x.far.take(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\nthe component got %q, want %q", request, got, want)
		}
	}
	const probe = "<presence to='romeo@localhost' type='probe'/>"
	// Both are subscribed to each other.
	f("<presence/>", "")
	f("<presence to='a@far.example' type='subscribe'/>", "type='subscribe'")
	far("<presence to='romeo@localhost' type='subscribed'/>")
	far("<presence to='romeo@localhost' type='subscribe'/>")
	f("<presence to='a@far.example' type='subscribed'/>", "type='subscribed'")
	f("<presence><show>away</show></presence>", "away")
	f("<presence type='unavailable'/>", "unavailable")
	f("<presence/>", "type='probe'")
	if got := far(probe); !strings.Contains(got, "romeo@localhost/r") {
		t.Errorf("the reply to a probe is %q", got)
	}
	f("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='a@far.example'/></block></iq>", "unavailable")
	f("<presence><show>xa</show></presence>", "")
	f("<presence type='unavailable'/>", "")
	f("<presence/>", "")
	if got := far(probe); got != "" {
		t.Errorf("the reply to a probe of a blocked contact is %q", got)
	}
	f("<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'/></iq>", "romeo@localhost/r")
	f("<presence><show>dnd</show></presence>", "dnd")
}
