package cluster

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"roost/cluster/clustertest"
	"roost/internal/logring"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// The second of two servers of a Redis Cluster has the nodes.
const nodesServer = 1

// TestServerLost: while one server of a Redis Cluster is out of reach, a node renews its lease, but
// does not use the directory. Bug: it did, again and again, with two lines in the log each time.
func TestServerLost(t *testing.T) {
	servers := redistest.StartCluster(t, 2, 0)
	log := logring.New(1000)
	n, h := open(t, servers[nodesServer].URL(), "a", logTo(log))
	account := accountOn(t, servers, 1-nodesServer)
	registered(t, n, account, "r")
	servers[1-nodesServer].Kill()
	n.Update(account, "r", true, 1)
	xmpptest.Eventually(t, "the server is missed", func() bool { return n.engine.suspect.Load() })
	for range 5 {
		waitRenewed(t, n)
	}
	if n.Stats().Reachable {
		t.Error("the node uses the directory")
	}
	if logged(log, "can be reached again") > 0 {
		t.Error("the log says that the server can be reached")
	}
	servers[1-nodesServer].Restart()
	xmpptest.Eventually(t, "everything is to be registered again", func() bool { return h.Rejoins() > 0 })
	xmpptest.Eventually(t, "the directory is used", func() bool { return n.Stats().Reachable })
}

// TestReplicaLost: a node needs no replica of a Redis Cluster. Bug: it waited for one that was out of
// reach to find out whether changes were lost, and to load its scripts, until the cluster had noticed.
func TestReplicaLost(t *testing.T) {
	servers := redistest.StartCluster(t, 2, 1)
	n, h := open(t, servers[nodesServer].URL(), "a")
	xmpptest.Eventually(t, "the node knows the replica", func() bool { return len(n.engine.client.Nodes()) == 3 })
	n.engine.suspect.Store(true)
	n.hurry()
	xmpptest.Eventually(t, "the node has asked the replica", func() bool { return n.engine.isReplica(servers[2].Addr) })
	servers[2].Kill()
	n.engine.suspect.Store(true)
	n.hurry()
	waitRenewed(t, n)
	waitRenewed(t, n) // so that the servers were compared
	xmpptest.Eventually(t, "the servers are the same as before", func() bool { return n.Stats().Reachable && !n.engine.suspect.Load() })
	if got := command(t, servers[0].Addr, "SCRIPT FLUSH"); got != "+OK" {
		t.Fatal(got)
	}
	registered(t, n, accountOn(t, servers, 0), "r")
	if h.Rejoins() > 0 {
		t.Error("everything is to be registered again")
	}
}

// waitRenewed waits until a node renews its lease.
func waitRenewed(t *testing.T, n *Node) {
	t.Helper()
	before := n.renewed.Load()
	xmpptest.Eventually(t, "the lease is renewed", func() bool { return n.renewed.Load() != before })
}

// TestCleanupFails: a cleanup that has failed begins again when the lease is renewed the next time.
// Bug: at once, again and again.
func TestCleanupFails(t *testing.T) {
	server := redistest.Start(t)
	n, h := joined(t, server.URL())
	leaver, _ := open(t, server.URL(), "b", func(c *Config) { c.Lease = time.Hour })
	registered(t, leaver, "a@x", "r")
	if got := command(t, server.Addr, "SET "+levelsKey+" text"); got != "+OK" {
		t.Fatal(got)
	}
	if got := command(t, server.Addr, "HSET "+nodesKey+" grace 0"); got != ":0" { // it begins with the first node
		t.Fatal(got)
	}
	leaver.Close(t.Context())
	clean := func() (again bool) {
		n.renew()
		n.tasks.Wait()
		select {
		case <-n.wake:
			return true
		default:
			return false
		}
	}
	for range 2 {
		if clean() {
			t.Error("the cleanup begins again at once")
		}
	}
	if n.Stats().CleanedNodes > 0 {
		t.Fatal("the cleanup has not failed")
	}
	if got := command(t, server.Addr, "DEL "+levelsKey); got != ":1" {
		t.Fatal(got)
	}
	if !clean() {
		t.Error("whether there is another dead node is not looked at")
	}
	if n.Stats().CleanedNodes != 1 || len(h.Deaths()) != 1 {
		t.Errorf("%+v, %v", n.Stats(), h.Deaths())
	}
}

// joined returns a node that has joined, and renews its lease only when the test does.
func joined(t *testing.T, url string) (*Node, *clustertest.Recorder) {
	t.Helper()
	h := new(clustertest.Recorder)
	n, err := New(Config{URL: url, Name: "a", Logger: testLogger(t), Lease: time.Hour}, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.cache.close)
	t.Cleanup(func() { kill(n) })
	if err := n.joinFirst(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n, h
}

// logTo makes a node write also to a log.
func logTo(log *logring.Ring) func(*Config) {
	return func(c *Config) { c.Logger = slog.New(log.Handler(c.Logger.Handler())) }
}

// logged is how many lines of a log contain a text.
func logged(log *logring.Ring, text string) (count int) {
	for _, l := range log.Lines() {
		if strings.Contains(l.Text, text) {
			count++
		}
	}
	return count
}
