package router_test

import (
	"strings"
	"sync"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/router"
	"roost/session"
)

// leavingNodes lets a session leave between the delivery of a message to the resources of its node
// and to those of others.
type leavingNodes struct {
	*memnodes.Node
	between chan func() // has a function then
}

func (n *leavingNodes) Cached(account string) ([]router.Place, bool) {
	if account == "juliet@localhost" {
		select {
		case f := <-n.between:
			f()
		default:
		}
	}
	return n.Node.Cached(account)
}

// TestLeavesBetween: a session moves from the sender's node after it was given a message there,
// and before the message is sent to other nodes.
func TestLeavesBetween(t *testing.T) {
	for _, address := range []string{"juliet@localhost", "juliet@localhost/phone", "juliet@localhost/desk"} {
		t.Run(address, func(t *testing.T) {
			between := make(chan func(), 1)
			taken := make(chan struct{})
			var once sync.Once
			var a *xmpptest.Server
			cfg := xmpptest.Config{Session: session.Config{Sent: func(b []byte) {
				if strings.Contains(string(b), "id='m.0'") {
					once.Do(func() {
						between <- func() {
							close(taken)
							xmpptest.Eventually(t, "the session has left", func() bool { return a.Sessions.Find("juliet@localhost", "phone") == nil })
						}
					})
				}
			}}}
			_, nodes := newCluster(t, 2, cfg)
			a = nodes[0]
			a.Router.Join(&leavingNodes{a.Node(), between})
			n := &currentNodes{Node: nodes[1].Node(), taken: taken, waits: make(chan struct{})}
			nodes[1].Router.Join(n)
			const carbons = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence/>"
			phone, id := resumableAs(t, a, "juliet", "phone")
			phone.say(carbons, "<presence")
			desk := loginAs(t, a, "juliet", "desk", plainHeader)
			desk.say(carbons, "<presence")
			romeo := loginRaw(t, a, "romeo", plainHeader)
			phone = dialRaw(t, nodes[1])
			authenticate(phone, "juliet", plainHeader)
			phone.write("<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + id + "'/>")
			<-n.waits
			romeo.write("<message type='chat' to='" + address + "' id='m.0'><body>b</body></message>")
			romeo.sync()
			phone.await("id='m.0'")
			romeo.sendNumbered(1, 2, "b")
			phone.await("id='m.1'")
			if got := strings.Count(phone.got, "id='m.0'"); got != 1 {
				t.Errorf("the phone got %d: %s", got, phone.got)
			}
			desk.await("id='m.1'")
			if got := strings.Count(desk.got, "id='m.0'"); got != 1 && address != "juliet@localhost/phone" {
				t.Errorf("the desk got %d: %s", got, desk.got)
			}
		})
	}
}
