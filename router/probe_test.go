package router_test

import (
	"strings"
	"testing"

	"roost/jid"
	"roost/session"
)

// unsubscriber is a sender of another domain that loses its subscription while its probe
// is handled: when it is asked for its address for the n-th time.
type unsubscriber struct {
	node
	far    *component // notes its replies, too
	n      int
	locked func() bool
	lose   func()
}

func (u *unsubscriber) JID() jid.JID {
	if u.n--; u.n == 0 && !u.locked() {
		u.lose()
	}
	return u.jid
}

func (u *unsubscriber) SendBytes(t *session.Turn, b []byte) bool {
	return u.far.Send(t, jid.JID{}, u.jid, b) == nil
}

// TestProbeAndUnsubscribed: a subscription that ends while a probe is handled has ended:
// no one learns afterwards that a resource is available.
func TestProbeAndUnsubscribed(t *testing.T) {
	x := newRouted(t)
	x.romeo.say("<presence/>", "<presence ")
	lost := 0
	for _, to := range []string{"romeo@localhost", "romeo@localhost/r"} {
		u := &unsubscriber{node: node{jid: jid.MustParse("a@far.example/b")}, far: x.far}
		u.locked = func() bool { return x.s.Router.PresenceLocked("romeo@localhost") }
		u.lose = func() {
			lost++
			x.romeo.write("<presence type='unsubscribed' to='a@far.example'/>")
			x.romeo.sync()
		}
		for n := 1; u.n <= 0; n++ {
			subscribe := &node{jid: u.jid}
			route(t, x.s, session.Write, subscribe, "<presence type='subscribe' to='romeo@localhost'/>")
			x.romeo.write("<presence type='subscribed' to='a@far.example'/>")
			x.romeo.sync()
			x.far.take()
			u.n = n
			route(t, x.s, session.Write, u, "<presence type='probe' to='"+to+"'/>")
			told := x.far.take()
			if _, after, ok := strings.Cut(told, "type='unsubscribed'"); ok && strings.Contains(after, "<presence from='romeo@localhost/r'") {
				t.Errorf("a probe to %s, %d: presence comes after the end of the subscription: %s", to, n, told)
			}
		}
	}
	if lost < 4 {
		t.Errorf("a subscription ended %d times while a probe was handled, want at least 4", lost)
	}
}
