package cluster

import (
	"context"
	"errors"
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

// pair starts two nodes that know each other.
func pair(t *testing.T, urlA, urlB string, change ...func(*Config)) (nodes [2]*Node, handlers [2]*clustertest.Recorder) {
	t.Helper()
	nodes[0], handlers[0] = open(t, urlA, "a", change...)
	nodes[1], handlers[1] = open(t, urlB, "b", change...)
	for i, n := range nodes {
		waitAlive(t, n, nodes[1-i])
	}
	return nodes, handlers
}

// waitAlive waits until a node knows that another is alive.
func waitAlive(t *testing.T, n, other *Node) {
	t.Helper()
	xmpptest.Eventually(t, "the other node is alive", func() bool { return slices.Contains(n.Others(), other.Self()) })
}

// unreachable waits until a node has noticed that the engine is not there.
func unreachable(t *testing.T, n *Node) {
	t.Helper()
	xmpptest.Eventually(t, "the engine is not reachable", func() bool { return !n.Stats().Reachable })
}

// waitPlaces waits until a node finds n places.
func waitPlaces(t *testing.T, n *Node, account string, count int) {
	t.Helper()
	xmpptest.Eventually(t, fmt.Sprintf("%s has %d places", account, count), func() bool {
		places, err := n.Current(context.Background(), account)
		return err == nil && len(places) == count
	})
}

// TestRestart: without Redis, requests fail at once, and changes wait. When it is back with
// its data after more than a lease, no node is dead, and what has waited arrives.
func TestRestart(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	nodes, handlers := pair(t, server.URL(), server.URL())
	before := [2]router.NodeID{nodes[0].Self(), nodes[1].Self()}
	registered(t, nodes[0], "a@x", "r")
	registered(t, nodes[0], "b@x", "r")
	waitPlaces(t, nodes[1], "a@x", 1)
	server.Kill()
	for _, n := range nodes {
		unreachable(t, n)
	}
	if _, err := nodes[0].Register(context.Background(), "c@x", "r", router.Registration{}); !errors.Is(err, router.ErrNoDirectory) {
		t.Errorf("%v", err)
	}
	if _, err := nodes[1].Places(context.Background(), []string{"a@x"}); !errors.Is(err, router.ErrNoDirectory) {
		t.Errorf("%v", err)
	}
	if _, ok := nodes[1].Cached("a@x"); ok {
		t.Error("the cache is not empty")
	}
	nodes[0].Unregister("b@x", "r")
	nodes[0].Send(nodes[1].Self(), "a@x", []byte("waits"))
	for _, n := range nodes {
		xmpptest.Eventually(t, "the lease is over", func() bool { return !n.leased() })
	}
	server.Restart()
	for i, h := range handlers {
		xmpptest.Eventually(t, "everything is to be registered again", func() bool { return h.Rejoins() > 0 })
		if nodes[i].Self() != before[i] {
			t.Errorf("node %d has another epoch", i)
		}
	}
	handlers[1].WaitItems(t, 1)
	waitPlaces(t, nodes[1], "b@x", 0)
	waitPlaces(t, nodes[1], "a@x", 1)
	if d := append(handlers[0].Deaths(), handlers[1].Deaths()...); len(d) > 0 {
		t.Errorf("%v", d)
	}
}

// TestGrace: if no node has renewed its lease for longer than any of them waits, none is dead before
// it had the time to come back. Bug: that took a whole lease; before, a node that was the first to
// be back could take the others for dead.
func TestGrace(t *testing.T) {
	server := redistest.Start(t)
	client := dialRedis(t, server)
	const lease = time.Hour
	script := func(op, target string) string {
		t.Helper()
		r, err := client.Do(t.Context(), client.B().Eval().Script(nodesText).Numkeys(1).Key(nodesKey).
			Arg(op, "b", "2", fmt.Sprint(lease.Milliseconds()), "gen", target, "shared", "", "").Build()).ToArray()
		if err != nil {
			t.Fatal(err)
		}
		status, _ := r[0].ToString()
		return status
	}
	for silence, want := range map[time.Duration]string{lease / 3: "first", lease * 2 / 3: "no", 2 * lease: "no"} {
		now := time.Now()
		fields := map[string]string{
			"gen": "gen", "grace": "0", "seen": fmt.Sprint(now.Add(-silence).UnixMilli()),
			"1": fmt.Sprintf("%d 0 0 0 a", now.Add(-time.Second).UnixMilli()), "2": fmt.Sprintf("%d 0 0 0 b", now.Add(lease-silence).UnixMilli()),
		}
		cmd := client.B().Hset().Key(nodesKey).FieldValue()
		for k, v := range fields {
			cmd = cmd.FieldValue(k, v)
		}
		if err := client.Do(t.Context(), cmd.Build()).Error(); err != nil {
			t.Fatal(err)
		}
		if got := script("renew", "0"); got != "ok" {
			t.Errorf("%v: renewed: %s", silence, got)
		}
		if got := script("claim", "1"); got != want {
			t.Errorf("after %v without a renewal, a node whose lease is over: %s, want %s", silence, got, want)
		}
	}
}

// TestDataLostTwice: what is lost again before all nodes have noticed the first loss is noticed
// by all. They are not treated as dead.
func TestDataLostTwice(t *testing.T) {
	server := redistest.Start(t)
	client := dialRedis(t, server)
	gens := map[string]string{"1": "first", "2": "first"}
	renew := func(epoch, want string) {
		t.Helper()
		r, err := client.Do(t.Context(), client.B().Eval().Script(nodesText).Numkeys(1).Key(nodesKey).Arg("renew", "node"+epoch, epoch, "10000", gens[epoch], "0", "shared", "", "").Build()).ToArray()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := r[0].ToString(); got != want {
			t.Errorf("node %s: %s, want %s", epoch, got, want)
		}
		gens[epoch], _ = r[4].ToString()
	}
	for _, lost := range [][]string{{"1"}, {"2", "1"}, {"2"}, {"1", "2"}} {
		if err := client.Do(t.Context(), client.B().Flushall().Build()).Error(); err != nil {
			t.Fatal(err)
		}
		for _, epoch := range lost {
			renew(epoch, "lost")
			renew(epoch, "ok")
		}
	}
}

// TestDataLost: nodes keep their epochs when Redis loses its data, everything is to be
// registered again, and items that are on their way arrive once.
func TestDataLost(t *testing.T) {
	server := redistest.Start(t)
	nodes, handlers := pair(t, server.URL(), server.URL())
	before := [2]router.NodeID{nodes[0].Self(), nodes[1].Self()}
	registered(t, nodes[0], "a@x", "r")
	waitPlaces(t, nodes[1], "a@x", 1)
	client := dialRedis(t, server)
	const items = 300
	for i := range items {
		nodes[0].Send(nodes[1].Self(), "a@x", fmt.Append(nil, i))
		if i%100 == 50 {
			if err := client.Do(context.Background(), client.B().Flushall().Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}
		handlers[1].WaitItems(t, i/2) // so that they are in several batches
	}
	for i, item := range handlers[1].WaitItems(t, items) {
		if item.Text != fmt.Sprint(i) {
			t.Fatalf("item %d is %q", i, item.Text)
		}
	}
	for i, h := range handlers {
		xmpptest.Eventually(t, "everything is to be registered again", func() bool { return h.Rejoins() > 0 })
		if nodes[i].Self() != before[i] {
			t.Errorf("node %d has another epoch", i)
		}
		if len(h.Returned()) > 0 {
			t.Errorf("%v", h.Returned())
		}
	}
	registered(t, nodes[0], "a@x", "r")
	waitPlaces(t, nodes[1], "a@x", 1)
	for i, n := range nodes {
		waitAlive(t, n, nodes[1-i])
	}
}

// TestResend: what is in the stream of a node and was not read is sent again, in order, after
// Redis has lost its data.
func TestResend(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	nodes, handlers := pair(t, server.URL(), proxy.URL(), func(c *Config) { c.Lease = 20 * time.Second })
	proxy.Cut()
	unreachable(t, nodes[1])
	nodes[0].Send(nodes[1].Self(), "a@x", []byte("0"))
	xmpptest.Eventually(t, "the item is in the stream", func() bool { return nodes[0].Stats().SentItems == 1 })
	if got := command(t, server.Addr, "FLUSHALL"); got != "+OK" {
		t.Fatal(got)
	}
	nodes[0].Send(nodes[1].Self(), "a@x", []byte("1"))
	proxy.Mend()
	for i, item := range handlers[1].WaitItems(t, 2) {
		if item.Text != fmt.Sprint(i) {
			t.Errorf("item %d is %q", i, item.Text)
		}
	}
}

// TestLaneOfTheDead: items that a node has received, but not handled before it was declared
// dead, are handled by the others only. It receives again when it has joined again. Bug: it did
// not if it had received as much as it may, because it waited for them to be handled.
func TestLaneOfTheDead(t *testing.T) {
	for _, limit := range []int{0, 1} {
		t.Run(fmt.Sprintf("HandleBytes=%d", limit), func(t *testing.T) { laneOfTheDead(t, limit) })
	}
}

func laneOfTheDead(t *testing.T, limit int) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	nodes, handlers := pair(t, server.URL(), proxy.URL(), func(c *Config) { c.HandleBytes = limit })
	held, release := hold(t)
	handlers[1].Hold = func(string) { <-held }
	const items = 10
	sendBatchOf(t, nodes[0], nodes[1], items)
	xmpptest.Eventually(t, "the items are received", func() bool { return nodes[1].Stats().ReceivedItems == items })
	proxy.Cut()
	xmpptest.Eventually(t, "the items are returned", func() bool { return len(handlers[0].Returned()) == items })
	release() // its lease is over, and it does not know yet what the others have done
	proxy.Mend()
	xmpptest.Eventually(t, "everything is to be registered again", func() bool { return handlers[1].Rejoins() > 0 })
	waitAlive(t, nodes[0], nodes[1])
	nodes[0].Send(nodes[1].Self(), "a@x", []byte("after"))
	// The first was being handled when the node was declared dead.
	if got := handlers[1].WaitItems(t, 2); len(got) != 2 || got[0].Text != "0" || got[1].Text != "after" {
		t.Errorf("%v", got)
	}
	for _, item := range handlers[0].Returned() {
		if !item.Again {
			t.Errorf("%+v", item)
		}
	}
}

// sendBatchOf puts items for an account into the stream of a node, in one batch.
func sendBatchOf(t *testing.T, from, to *Node, count int) {
	t.Helper()
	var items []byte
	for i := range count {
		items = appendItem(items, "a@x", fmt.Append(nil, i))
	}
	const run, number = 7, 1
	data := appendBatch(nil, run, from.epoch.Load(), number, items)
	err := from.engine.do(t.Context(), sendScript, streamKeys(to.epoch.Load()), []string{fmt.Sprint(run), fmt.Sprint(number), string(data), fmt.Sprint(number)}).Error()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCut: a node that is cut off for longer than its lease is dead to the other. When it is
// back, it has a new epoch, and registers again; what was registered in the meantime stays.
func TestCut(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	nodes, handlers := pair(t, server.URL(), proxy.URL())
	registered(t, nodes[1], "a@x", "r")
	registered(t, nodes[1], "b@x", "r")
	waitPlaces(t, nodes[0], "b@x", 1)
	before := nodes[1].Self()
	proxy.Cut()
	unreachable(t, nodes[1])
	nodes[1].Send(nodes[0].Self(), "a@x", []byte("waits"))
	xmpptest.Eventually(t, "the deaths are reported", func() bool { return len(handlers[0].Deaths()) == 2 })
	registered(t, nodes[0], "a@x", "r")
	if _, err := nodes[1].Register(context.Background(), "c@x", "r", router.Registration{}); !errors.Is(err, router.ErrNoDirectory) {
		t.Errorf("%v", err)
	}
	nodes[1].Update("a@x", "r", true, 1)
	proxy.Mend()
	xmpptest.Eventually(t, "everything is to be registered again", func() bool { return handlers[1].Rejoins() > 0 })
	if nodes[1].Self() == before {
		t.Error("the node has the epoch of one that has died")
	}
	handlers[0].WaitItems(t, 1)
	if got, err := nodes[1].Register(context.Background(), "a@x", "r", router.Registration{}); err != nil || !got.Taken {
		t.Errorf("%+v, %v", got, err)
	}
	registered(t, nodes[1], "b@x", "r")
	waitPlaces(t, nodes[0], "b@x", 1)
	waitPlaces(t, nodes[1], "a@x", 1)
	if places, _ := nodes[1].Current(context.Background(), "a@x"); places[0].Available {
		t.Error("a change of the epoch that has died was executed")
	}
}

// TestHang: requests fail soon if Redis does not respond, and later ones at once.
func TestHang(t *testing.T) {
	server := redistest.Start(t)
	n, h := open(t, server.URL(), "a")
	server.Stop()
	if _, err := n.Register(context.Background(), "a@x", "r", router.Registration{}); !errors.Is(err, router.ErrNoDirectory) {
		t.Errorf("%v", err)
	}
	unreachable(t, n)
	batches := n.Stats().WriteBatches
	for range 1000 {
		if _, err := n.Register(context.Background(), "a@x", "r", router.Registration{}); !errors.Is(err, router.ErrNoDirectory) {
			t.Errorf("%v", err)
		}
	}
	if got := n.Stats().WriteBatches; got != batches {
		t.Errorf("%d batches were sent to a server that does not respond", got-batches)
	}
	server.Continue()
	xmpptest.Eventually(t, "everything is to be registered again", func() bool { return h.Rejoins() > 0 })
	registered(t, n, "a@x", "r")
}

// TestDeathsAtOnce: that the handler waits for one account does not delay the contacts of most
// others.
func TestDeathsAtOnce(t *testing.T) {
	server := redistest.Start(t)
	dying, _ := open(t, server.URL(), "dying")
	_, h := open(t, server.URL(), "survivor")
	held, release := hold(t)
	h.HoldDeath = func(account string) {
		if account == "u0@x" {
			<-held
		}
	}
	const resources = 50 // in one part
	for i := range resources {
		registered(t, dying, fmt.Sprintf("u%d@x", i), "r")
	}
	kill(dying)
	xmpptest.Eventually(t, "half are reported", func() bool { return len(h.Deaths()) > resources/2 })
	release()
	xmpptest.Eventually(t, "all are reported", func() bool { return len(h.Deaths()) == resources })
}

// TestCleanerDies: another node continues a cleanup whose node has died.
func TestCleanerDies(t *testing.T) {
	server := redistest.Start(t)
	var nodes []*Node
	var handlers []*clustertest.Recorder
	hold, held := make(chan struct{}), make(chan int, 1)
	var once sync.Once
	for i := range 4 {
		n, h := open(t, server.URL(), fmt.Sprint("n", i))
		h.HoldDeath = func(account string) {
			if account == "u77@x" {
				first := false
				once.Do(func() { first = true })
				if first {
					held <- i
					<-hold
				}
			}
		}
		nodes, handlers = append(nodes, n), append(handlers, h)
	}
	for _, n := range nodes {
		xmpptest.Eventually(t, "all nodes know each other", func() bool { return len(n.Others()) == len(nodes)-1 })
	}
	const resources = 1000
	for i := range resources {
		registered(t, nodes[0], fmt.Sprintf("u%d@x", i), "r")
	}
	kill(nodes[0])
	cleaner := <-held
	kill(nodes[cleaner])
	defer close(hold)
	reported := func() map[string]int {
		count := make(map[string]int)
		for _, h := range handlers {
			for _, d := range h.Deaths() {
				count[d.Account]++
			}
		}
		return count
	}
	// The account whose report hangs is reported by the next cleaner.
	xmpptest.Eventually(t, "all are reported", func() bool { return len(reported()) == resources })
	twice := 0
	for _, n := range reported() {
		if n > 1 {
			twice++
		}
	}
	if twice > writeBatch {
		t.Errorf("%d were reported twice, want at most one page of %d", twice, writeBatch)
	}
}

// TestBounded: items for a node that does not handle them stay within the limit, here and in
// the engine; those that were accepted arrive when it does.
func TestBounded(t *testing.T) {
	server := redistest.Start(t)
	const limit = 256 << 10
	nodes, handlers := pair(t, server.URL(), server.URL(), func(c *Config) { c.QueueBytes, c.HandleBytes = limit, limit })
	held, release := hold(t)
	handlers[1].Hold = func(string) { <-held }
	accepted := 0
	item := make([]byte, 1000)
	for nodes[0].Send(nodes[1].Self(), "a@x", item) {
		accepted++
		if accepted > limit/1000 {
			t.Fatal("there is no limit")
		}
	}
	if got := nodes[0].Stats(); got.QueueBytes > limit || got.RefusedItems != 1 {
		t.Errorf("%+v", got)
	}
	release()
	handlers[1].WaitItems(t, accepted)
	xmpptest.Eventually(t, "the queue is empty", func() bool { return nodes[0].Stats().QueueBytes == 0 })
	client := nodes[0].engine.client
	xmpptest.Eventually(t, "the stream is empty", func() bool {
		n, err := client.Do(context.Background(), client.B().Xlen().Key(streamKeys(nodes[1].epoch.Load())[0]).Build()).AsInt64()
		return err == nil && n == 0
	})
}

// TestWait: an item that cannot be sent in time is returned.
func TestWait(t *testing.T) {
	server := redistest.Start(t)
	nodes, handlers := pair(t, server.URL(), server.URL(), func(c *Config) { c.Wait = 100 * time.Millisecond })
	server.Kill()
	unreachable(t, nodes[0])
	to := nodes[1].Self()
	for i := range 10 {
		nodes[0].Send(to, "a@x", fmt.Append(nil, i))
	}
	xmpptest.Eventually(t, "all items are returned", func() bool { return len(handlers[0].Returned()) == 10 })
	for i, item := range handlers[0].Returned() {
		if item != (clustertest.Item{Node: to, Account: "a@x", Text: fmt.Sprint(i)}) {
			t.Errorf("%+v", item)
		}
	}
	if got := nodes[0].Stats().QueueBytes; got != 0 {
		t.Errorf("%d bytes are left in the queue", got)
	}
}

// TestIdleOutbox: items arrive that are sent after the queue for a node was removed, because
// there was nothing to send.
func TestIdleOutbox(t *testing.T) {
	server := redistest.Start(t)
	nodes, handlers := pair(t, server.URL(), server.URL())
	nodes[0].idle = time.Millisecond
	for i := range 3 {
		nodes[0].Send(nodes[1].Self(), "a@x", fmt.Append(nil, i))
		handlers[1].WaitItems(t, i+1)
		xmpptest.Eventually(t, "the queue is removed", func() bool {
			nodes[0].out.mu.Lock()
			defer nodes[0].out.mu.Unlock()
			return len(nodes[0].out.byNode) == 0
		})
	}
}

// TestAcknowledgedLate: what a node says it has handled does not hide what it has said that it
// has handled since: the two may come on different connections, or the first may be repeated.
func TestAcknowledgedLate(t *testing.T) {
	server := redistest.Start(t)
	n, _ := open(t, server.URL(), "a")
	keys, run := streamKeys(n.epoch.Load()), "7"
	do := func(s *script, args ...string) []int64 {
		t.Helper()
		reply, err := n.engine.do(t.Context(), s, keys, args).ToAny()
		if err != nil {
			t.Fatal(err)
		}
		var all []int64
		if list, ok := reply.([]any); ok {
			for _, v := range list {
				all = append(all, v.(int64))
			}
		}
		return all
	}
	do(ackScript, "", run, "9")
	do(ackScript, "", run, "10", "8", "1")
	do(ackScript, "", run, "9")
	if got := do(sendScript, run, "0", "", "0"); !slices.Equal(got, []int64{0, -1, 10}) {
		t.Errorf("%v", got)
	}
}

// TestCloseHandles: a node that is closed handles what it has received before it refuses items
// for others, which that may cause.
func TestCloseHandles(t *testing.T) {
	server := redistest.Start(t)
	nodes, handlers := pair(t, server.URL(), server.URL())
	held, release := hold(t)
	holds, sent := make(chan struct{}), make(chan bool, 1)
	handlers[1].Hold = func(string) {
		close(holds)
		<-held
		sent <- nodes[1].Send(nodes[0].Self(), "a@x", []byte("because of the item"))
	}
	nodes[0].Send(nodes[1].Self(), "a@x", []byte("item"))
	<-holds
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		nodes[1].Close(t.Context())
	}()
	<-nodes[1].taking.Done()
	release()
	if !<-sent {
		t.Error("the item was refused")
	}
	<-closed
	handlers[0].WaitItems(t, 1)
}
