package server

import (
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/internal/pgtest"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// faultsEnv is for how long TestClusterFaults goes on, such as 10m, after each fault was played
// once.
const faultsEnv = "ROOST_FAULTS"

// faultTick is how often each client of TestClusterFaults sends something.
const faultTick = 20 * time.Millisecond

// faultLimit is how long the test waits for an event.
const faultLimit = xmpptest.WaitLimit

// faultStays is how many ticks a message stays in the store before the clients log in again.
const faultStays = 100

// faultWaiters is the number of goroutines that act in each tick: the clients and the controller.
const faultWaiters = 7

// faultCluster is the state of TestClusterFaults.
type faultCluster struct {
	t       *testing.T
	durable bool
	nodes   []*faultNode
	clients []*faultClient
	ticks   chan struct{}
	tasks   sync.WaitGroup

	mu        sync.Mutex
	cond      sync.Cond // signals each change of what follows
	fault     string    // what happens now
	clock     int
	pause     bool // the clients send no messages
	over      bool
	broken    bool // a promise was broken
	failures  int
	messages  []*faultMessage
	settledTo int // the number of messages that are accounted for
	events    []string
	counts    faultCounts
	random    *rand.Rand
	roam      bool           // the clients go to other nodes now and then
	killed    bool           // a node was killed since the fault began
	storeless bool           // the store was out of reach for a node since the fault began: messages are bounced
	steady    int            // since this time no session has moved or ended; 0: they may
	order     map[string]int // number of the last message of each client to each address since then
}

// TestClusterFaults: three nodes, each a process, with pairs of clients on different nodes
// that send each other messages all the time. Nodes, Redis and PostgreSQL fail. After each
// fault, traffic flows between all pairs again, and each message that was acknowledged to its
// sender has arrived or was returned with an error, chat messages only if the store was out of reach.
// Only with a node that was killed may messages be lost, and neither with --durable nor when they are
// in the store. Only if the client has not acknowledged it, or if a node has died, may a message
// come twice, or be returned although its recipient has it. While sessions stay where they
// are, messages of one client to one address arrive in order.
func TestClusterFaults(t *testing.T) {
	t.Run("engines", func(t *testing.T) {
		t.Parallel()
		testClusterFaults(t)
	})
	t.Run("durable", func(t *testing.T) {
		t.Parallel()
		testDurableFaults(t)
	})
}

// fault is what happens to a cluster while traffic is running.
type fault struct {
	name string
	f    func(n *faultNode) // n is the node that is concerned, if one is
}

func testClusterFaults(t *testing.T) {
	redis, pg := redistest.Start(t), pgtest.New(t)
	u, err := url.Parse(pg.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	socket := filepath.Join(q.Get("host"), ".s.PGSQL.5432")
	q.Del("host")
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	m := newFaultCluster(t, false, func(n *faultNode) {
		n.proxies = []*redistest.Proxy{redistest.StartProxy(t, redis.Addr), redistest.StartProxy(t, socket)}
		n.redis, u.Host = n.proxies[0].URL(), n.proxies[1].Addr
		n.store = u.String()
	})
	m.playAll([]fault{
		{"kill -9 of a node", m.replaceKilled},
		{"SIGSTOP of a node", m.suspend},
		{"kill -9 of Redis", func(*faultNode) {
			redis.Kill()
			m.unreachable()
			redis.Restart()
			m.known(2)
		}},
		{"a crash of PostgreSQL", func(*faultNode) {
			m.stay() // nobody can log in
			m.flows()
			m.keepOrder()
			m.withoutStore()
			pg.Stop(t, true)
			m.flows()
			pg.Start(t)
			m.move()
		}},
		{"a node cut off", func(n *faultNode) {
			m.withoutStore()
			for _, p := range n.proxies {
				p.Cut()
			}
			m.known(1, n)
			for _, p := range n.proxies {
				p.Mend()
			}
			m.known(2)
		}},
		{"a node drained, and replaced by one whose clock is an hour fast, or right again", m.replaceDrained},
		{"kill -9 of a node, also seen by one whose clock is an hour fast", m.replaceKilled},
	})
}

// testDurableFaults: with --durable, nothing is lost with a node either. The Redis server is
// one that Sentinel replaces.
func testDurableFaults(t *testing.T) {
	primary, redis := redistest.StartReplicated(t)
	store := pgtest.Shared(t).URL(t)
	m := newFaultCluster(t, true, func(n *faultNode) {
		n.redis, n.store = redis, store
	})
	m.play("failover by Sentinel", func() {
		primary.Kill()
		m.unreachable()
		m.known(2)
	})
	m.playAll([]fault{
		{"SIGSTOP of a node", m.suspend},
		{"kill -9 of a node", m.replaceKilled},
	})
}

// playAll plays each fault once, on different nodes, and then others at random for as long as
// ROOST_FAULTS says.
func (m *faultCluster) playAll(faults []fault) {
	for i, x := range faults {
		m.play(x.name, func() { x.f(m.nodes[i%len(m.nodes)]) })
	}
	text := os.Getenv(faultsEnv)
	if text == "" {
		return
	}
	limit, err := time.ParseDuration(text)
	if err != nil {
		m.t.Fatalf("%s is no duration: %v", faultsEnv, err)
	}
	for begin := time.Now(); time.Since(begin) < limit; {
		m.mu.Lock()
		x, n := faults[m.random.IntN(len(faults))], m.nodes[m.random.IntN(len(m.nodes))]
		m.mu.Unlock()
		m.play(x.name, func() { x.f(n) })
	}
}

// newFaultCluster starts the nodes, and the clients.
func newFaultCluster(t *testing.T, durable bool, configure func(*faultNode)) *faultCluster {
	m := &faultCluster{t: t, durable: durable, ticks: make(chan struct{})}
	m.cond.L = &m.mu
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m.random = rand.New(rand.NewPCG(seed, 0))
	m.counts.streamErrors = make(map[string]int)
	m.fault = "the start"
	ticker, done := time.NewTicker(faultTick), make(chan struct{})
	m.tasks.Go(func() { m.tickAll(ticker, done) })
	t.Cleanup(func() {
		ticker.Stop()
		close(done)
		m.mu.Lock()
		m.over = true
		for _, c := range m.clients {
			if c.socket != nil {
				c.leave()
			}
		}
		m.mu.Unlock()
		m.tasks.Wait()
		t.Logf("%+v", m.counts)
	})
	for _, name := range []string{"a", "b", "c"} {
		dir := t.TempDir()
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		n := &faultNode{t: t, name: name, dir: filepath.Join(dir, "data"), durable: durable, log: log}
		if err := os.Mkdir(n.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(n.dir, secretFile), []byte(strings.Repeat("s", 32)), 0o600); err != nil {
			t.Fatal(err)
		}
		configure(n)
		t.Cleanup(func() {
			n.kill()
			n.checkLog()
		})
		m.nodes = append(m.nodes, n)
	}
	var starts sync.WaitGroup
	for _, n := range m.nodes {
		starts.Go(func() {
			n.addr = n.launch()
			n.up = n.addr != ""
		})
	}
	if starts.Wait(); t.Failed() {
		t.FailNow()
	}
	m.known(2)
	for i, name := range []string{"romeo", "juliet", "mercutio", "benvolio", "nurse", "paris"} {
		m.clients = append(m.clients, &faultClient{c: m, name: name, home: m.nodes[(i/2+i%2)%3], goal: m.nodes[(i/2+i%2)%3]})
	}
	for i, c := range m.clients {
		c.peer = m.clients[i^1]
		m.tasks.Go(c.run)
	}
	return m
}

// tickAll lets each client act once in each tick.
func (m *faultCluster) tickAll(ticker *time.Ticker, done chan struct{}) {
	defer close(m.ticks)
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		for range faultWaiters {
			select {
			case m.ticks <- struct{}{}:
			default:
			}
		}
		m.cond.Broadcast() // those who wait look at their limit
	}
}

func (m *faultCluster) ended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.over
}

// play runs a fault with traffic, while clients move between nodes, and accounts for all
// messages.
func (m *faultCluster) play(fault string, f func()) {
	begin := time.Now()
	m.mu.Lock()
	m.fault, m.pause, m.roam, m.killed, m.storeless, m.steady = fault, false, true, false, false, 0
	moved := m.counts.moved
	m.logf("%s", fault)
	m.mu.Unlock()
	for _, n := range m.nodes {
		n.self = n.view().self
	}
	m.flows()
	f()
	m.flows()
	m.wait("a session moves", func() bool { return m.counts.moved > moved })
	m.stay()
	m.flows()
	m.keepOrder()
	m.flows()
	m.mu.Lock()
	m.pause = true
	m.mu.Unlock()
	m.settle()
	m.t.Logf("%s: %.1f s, %+v", fault, time.Since(begin).Seconds(), m.counts)
}
