package router_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
)

// passingNodes keeps an item of one kind that it is to send, or calls a function before it passes an item
// on, once.
type passingNodes struct {
	*memnodes.Node
	kind    byte
	to      router.NodeID
	kept    atomic.Pointer[[]byte]
	passing atomic.Pointer[func()] // nil: none
}

func (n *passingNodes) Send(to router.NodeID, account string, item []byte) bool {
	if item[0] == n.kind && to == n.to {
		kept := slices.Clone(item)
		n.kept.CompareAndSwap(nil, &kept)
		return true
	}
	if item[0] == router.ItemPassed {
		if f := n.passing.Swap(nil); f != nil {
			(*f)()
		}
	}
	return n.Node.Send(to, account, item)
}

// TestLeavesWhileHandled: a session leaves a node while that handles an item for its account, which it
// passes on for another session that had left before. What the item is about reaches the session.
func TestLeavesWhileHandled(t *testing.T) {
	for desc, x := range map[string]struct {
		kind    byte
		user    string // whose client on another node has the item sent
		request string // by which it does
		want    string // what romeo's client gets
		asked   bool   // the other client gets it
	}{
		"broadcast":    {kind: router.ItemBroadcast, user: "juliet", request: "<presence><status>x</status></presence>", want: "<status>x"},
		"available":    {kind: router.ItemAvailable, user: "juliet", request: "<presence to='romeo@localhost'><status>x</status></presence>", want: "<status>x"},
		"subscription": {kind: router.ItemSubscription, user: "juliet", request: "<presence type='subscribe' to='romeo@localhost'/>", want: "type='subscribe'"},
		"push":         {kind: router.ItemPush, user: "romeo", request: "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query></iq>", want: "nurse@localhost"},
		"blocklist":    {kind: router.ItemBlocklist, user: "romeo", request: "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='nurse@localhost'/></block></iq>", want: "nurse@localhost"},
		"probe":        {kind: router.ItemProbe, user: "romeo", request: "<presence type='probe' to='romeo@localhost'/>", want: "<presence from='romeo@localhost/two'", asked: true},
	} {
		t.Run(desc, func(t *testing.T) {
			cluster, nodes := newCluster(t, 4, xmpptest.Config{})
			befriend(t, nodes[0], jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost"))
			one, two := goOnline(t, nodes[0], "romeo", "one"), goOnline(t, nodes[0], "romeo", "two")
			two.ask("<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
			ids := []string{one.enable(), two.enable()}
			sender := goOnline(t, nodes[3], x.user, "r")
			resumeAt(t, nodes[1], "romeo", ids[0], "0")
			awaitMoved(t, nodes[0], "romeo", "one")
			cluster.Wait()
			from := &passingNodes{Node: nodes[3].Node(), kind: x.kind, to: nodes[0].Node().Self()}
			nodes[3].Router.Join(from)
			old := &passingNodes{Node: nodes[0].Node()}
			nodes[0].Router.Join(old)
			sender.sync()
			start := len(sender.got)
			sender.ask(x.request)
			cluster.Wait()
			leaves := func() {
				two = resumeAt(t, nodes[2], "romeo", ids[1], "0")
				awaitMoved(t, nodes[0], "romeo", "two")
			}
			old.passing.Store(&leaves)
			lane := nodes[0].Router.NewLane()
			lane.Item(nodes[3].Node().Self(), x.user+"@localhost", *from.kept.Load())
			lane.Flush()
			if x.asked {
				sender.used = start
				sender.await(x.want)
				return
			}
			two.await(x.want)
		})
	}
}
