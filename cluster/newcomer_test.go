package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"roost/cluster/clustertest"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/router"
)

// TestNewcomer: a node that has just joined is among the others of each node that it has sent
// something, although these have not renewed their leases since.
func TestNewcomer(t *testing.T) {
	server := redistest.Start(t)
	long := func(c *Config) { c.Lease = 10 * time.Minute }
	a, handler := open(t, server.URL(), "a", long)
	b, _ := open(t, server.URL(), "b", long)
	if slices.Contains(a.Others(), b.Self()) {
		t.Fatal("the node knows of the other one: the test does not test anything")
	}
	if !b.Send(a.Self(), "x@y", []byte("here")) {
		t.Fatal("not sent")
	}
	handler.WaitItems(t, 1)
	if !slices.Contains(a.Others(), b.Self()) {
		t.Error("the other node is not known")
	}
	xmpptest.Eventually(t, "its name is known", func() bool { return slices.Equal(a.Stats().Others, []string{"b"}) })
}

// TestHeard: a node that was heard of remains if what the engine has said is older, and only then.
func TestHeard(t *testing.T) {
	n, err := New(Config{URL: "redis://localhost", Name: "a"}, new(clustertest.Recorder))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(context.Background())
	n.epoch.Store(10)
	known := func(id uint64, others ...router.NodeID) {
		t.Helper()
		r := nodesReply{id: id, fields: map[string]string{"10": "100 0 0 0 a"}}
		for _, epoch := range others {
			r.fields[fmt.Sprint(epoch)] = "100 0 0 0 b"
		}
		n.setMembers(r)
	}
	others := func(want ...router.NodeID) {
		t.Helper()
		if got := n.Others(); !slices.Equal(got, want) {
			t.Errorf("the others are %v, want %v", got, want)
		}
	}
	known(12, 12)
	n.hear(11) // it has left
	others(12)
	n.hear(15)
	n.hear(14)
	others(12, 14, 15)
	known(13, 12)
	others(12, 14, 15)
	known(14, 12, 14)
	others(12, 14, 15)
	known(16)
	others()
	n.hear(20)
	n.newcomers.heard[20] -= n.config.Lease // the engine has lost its data since, and the node has died
	known(16)
	others()
	if !n.members.Load().isDead(20) {
		t.Error("a node that the engine has lost, and that has not come back, is not dead")
	}
	known(17)
	if !n.members.Load().isDead(20) {
		t.Error("a node that was dead is not any more")
	}
}

// TestComesBack: resources are registered again, by other nodes, while their node, which has died,
// is cleaned up. The new entries remain, and the nodes that have made them are known to have them.
func TestComesBack(t *testing.T) {
	server := redistest.Start(t)
	var nodes []*Node
	var handlers []*clustertest.Recorder
	for i := range 3 {
		n, h := open(t, server.URL(), fmt.Sprint("n", i))
		nodes, handlers = append(nodes, n), append(handlers, h)
	}
	held, release := hold(t)
	holds := make(chan struct{})
	begins := sync.OnceFunc(func() { close(holds) })
	for _, h := range handlers {
		h.HoldDeath = func(string) {
			begins()
			<-held
		}
	}
	for _, n := range nodes {
		xmpptest.Eventually(t, "all nodes know each other", func() bool { return len(n.Others()) == len(nodes)-1 })
	}
	const resources = 1000 // some pages
	account := func(i int) string { return fmt.Sprintf("u%d@x", i) }
	for i := range resources {
		registered(t, nodes[0], account(i), "r")
	}
	dead := nodes[0].Self()
	kill(nodes[0])
	<-holds
	again, _ := open(t, server.URL(), "n0") // the same node is started again
	homes := []*Node{nodes[1], nodes[2], again}
	for i := range resources {
		xmpptest.Eventually(t, "the directory is there", func() bool { // it is not for a moment if the machine is busy
			_, err := homes[i%3].Register(context.Background(), account(i), "r", router.Registration{Replace: true})
			return err == nil
		})
		homes[i%3].Update(account(i), "r", true, 5)
	}
	release()
	xmpptest.Eventually(t, "the dead node is cleaned up", func() bool {
		return nodes[1].Stats().CleanedNodes+nodes[2].Stats().CleanedNodes+again.Stats().CleanedNodes == 1
	})
	xmpptest.Eventually(t, "all entries are there", func() bool {
		for i := range resources {
			home := homes[i%3]
			places, err := homes[(i+1)%3].Current(context.Background(), account(i))
			if err != nil || len(places) != 1 || places[0] != (router.Place{Resource: "r", Node: home.Self(), Available: true, Priority: 5}) {
				return false
			}
		}
		return true
	})
	next := again.Self()
	kill(again)
	deaths := func() (count int) {
		for _, h := range handlers {
			for _, d := range h.Deaths() {
				if d.Node == next {
					count++
				} else if d.Node != dead {
					t.Fatalf("%+v", d)
				}
			}
		}
		return count
	}
	xmpptest.Eventually(t, "the next death is reported", func() bool { return deaths() == resources/3 })
}
