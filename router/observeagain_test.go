package router_test

import (
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/router"
	"roost/store/memstore"
)

const enableCarbons = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>"

// copiesSent checks that a client of romeo's gets a copy of what another one sends.
func copiesSent(cluster *memnodes.Cluster, from, to *rawClient) {
	to.t.Helper()
	cluster.Wait() // then the nodes know who is to be observed
	from.ask("<message type='chat' to='juliet@localhost' id='m'><body>b</body></message>")
	to.await("<sent xmlns='urn:xmpp:carbons:2'")
}

// requestAt asks a node for a session, and returns without waiting for it.
func requestAt(t *testing.T, s *xmpptest.Server, user, id string) *rawClient {
	t.Helper()
	c := dialRaw(t, s)
	authenticate(c, user, plainHeader)
	c.write("<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + id + "'/>")
	return c
}

// TestObservedAfterStop: a client that has asked for copies is saved with its stopped node. Another
// one of the account logs in meanwhile and finds no other resource. The first one gets copies of
// what that sends when its session is back, on whatever node.
func TestObservedAfterStop(t *testing.T) {
	for name, at := range map[string]struct{ desk, phone int }{
		"on the same node": {1, 1}, "on another node": {2, 1}, "on its own node": {1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := memnodes.New()
			cfg := xmpptest.Config{Cluster: cluster, Location: memstore.New(), Name: "0"}
			nodes := []*xmpptest.Server{xmpptest.NewServer(t, cfg)}
			for _, cfg.Name = range []string{"1", "2"} {
				nodes = append(nodes, xmpptest.NewServer(t, cfg))
			}
			phone, id := resumableAs(t, nodes[0], "romeo", "phone")
			phone.ask(enableCarbons)
			nodes[0].Suspend(t)
			desk := loginAs(t, nodes[at.desk], "romeo", "desk", plainHeader)
			if at.phone == 0 {
				cfg.Name = "0"
				nodes[0] = xmpptest.NewServer(t, cfg)
			}
			phone = resumeAt(t, nodes[at.phone], "romeo", id, "1")
			copiesSent(cluster, desk, phone)
		})
	}
}

// TestObservedAfterCut: a client asks for copies while its node is cut off, and another one of the
// account is on another node.
func TestObservedAfterCut(t *testing.T) {
	cluster, a, b := twoNodes(t)
	desk := loginAs(t, a, "romeo", "desk", plainHeader)
	b.Node().Cut()
	phone := loginAs(t, b, "romeo", "phone", plainHeader)
	phone.ask(enableCarbons)
	b.Node().Heal()
	copiesSent(cluster, desk, phone)
}

// TestObservedAfterLoss: a client has asked for copies, and the other node was not told, because the
// item was returned. Both nodes have remained in the directory.
func TestObservedAfterLoss(t *testing.T) {
	cluster, a, b := twoNodes(t)
	n := &currentNodes{Node: b.Node()}
	b.Router.Join(n)
	desk := loginAs(t, a, "romeo", "desk", plainHeader)
	phone := loginAs(t, b, "romeo", "phone", plainHeader)
	n.full.Store(true)
	phone.ask(enableCarbons)
	n.full.Store(false)
	b.Node().Repeat(router.LostPresence)
	copiesSent(cluster, desk, phone)
}

// TestObservedAfterMove: a session moves to the node of a client that asks for copies after the
// session's data was made, and before it is there.
func TestObservedAfterMove(t *testing.T) {
	cluster, a, b := twoNodes(t)
	_, id := resumableAs(t, a, "romeo", "phone")
	desk := loginAs(t, b, "romeo", "desk", plainHeader)
	release := a.Node().HoldSent()
	phone := requestAt(t, b, "romeo", id)
	xmpptest.Eventually(t, "the session is on its way", func() bool {
		s := a.Sessions.Find("romeo@localhost", "phone")
		return s != nil && s.Moving()
	})
	desk.ask(enableCarbons)
	cluster.Wait()
	release()
	phone.await("<resumed ")
	copiesSent(cluster, phone, desk)
}

// TestObservedAfterMissing: a session has asked for copies, and moves while the directory does not have
// it. Another client of the account has logged in meanwhile.
func TestObservedAfterMissing(t *testing.T) {
	cluster, nodes := newCluster(t, 3, xmpptest.Config{})
	a, b := nodes[0], nodes[1]
	phone, id := resumableAs(t, a, "romeo", "phone")
	phone.ask(enableCarbons)
	n := &currentNodes{Node: b.Node(), taken: make(chan struct{}), waits: make(chan struct{})}
	b.Router.Join(n)
	phone = requestAt(t, b, "romeo", id)
	<-n.waits
	a.Node().Unregister("romeo@localhost", "phone")
	desk := loginAs(t, nodes[2], "romeo", "desk", plainHeader)
	close(n.taken)
	phone.await("<resumed ")
	copiesSent(cluster, desk, phone)
}
