package server

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/internal/xmpptest"
)

// Variables for TestDeliveryModel: how long it runs, such as 1h, and the seed of an earlier
// run. The seed makes the same choices, but not the same moments.
const (
	modelTimeEnv = "ROOST_MODEL"
	modelSeedEnv = "ROOST_MODEL_SEED"
)

// modelRounds is how many rounds TestDeliveryModel runs without a time.
const modelRounds = 3

// modelResumeTimeout is how long sessions wait to be resumed.
const modelResumeTimeout = 2 * time.Second

// How long clients may take to acknowledge: while they act, when some do not on purpose, and
// while they settle, when all do in the end. The second is for clients that get no CPU time on a
// busy machine: those that lose their connections again and again never settle. It is no longer
// than that, because the server checks once in an eighth of the time, also for the next requests.
const (
	modelAckTimeout    = time.Second
	modelSettleTimeout = 16 * time.Second
)

// modelTick is the unit of the times that clients stay away.
const modelTick = 20 * time.Millisecond

// deliveryModel is the state of TestDeliveryModel.
type deliveryModel struct {
	t       *testing.T
	seed    uint64
	durable bool
	dir     string
	log     *os.File // what servers print on their standard error
	random  *rand.Rand
	round   int

	disturbed int // the number of kills and stops so far

	accounts []*modelAccount
	clients  []*modelClient
	streams  []*modelStream

	cmd    *exec.Cmd // owned by the controller
	exited chan error

	control sync.Mutex // a question to the server and its answer
	stdin   io.Writer
	stdout  *bufio.Reader

	mu       sync.Mutex
	cond     sync.Cond // signals each change of what follows
	clock    int
	steps    int
	ticks    int // the time, in units of modelTick
	conns    int // connections whose end the clients have not seen
	addr     string
	up       bool // the server accepts connections
	stopping bool // the server is being stopped as planned
	starts   int
	pause    bool // the round is over
	broken   bool // a promise was broken, or the test is
	failures int
	counts   modelCounts
}

// modelCounts is what a run has seen.
type modelCounts struct {
	rounds, sent, acked, arrived, again, exempt, away, carbons, cuts, logouts, bound, resumed, refused, silent, kills, killedStops, stops int
}

// tick returns the time. Under mu.
func (m *deliveryModel) tick() int {
	m.clock++
	return m.clock
}

// over reports whether the test has failed.
func (m *deliveryModel) over() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.broken
}

// errorf ends the test with an error. Under mu.
func (m *deliveryModel) errorf(format string, args ...any) {
	m.broken = true
	m.cond.Broadcast()
	if m.failures++; m.failures <= 3 { // the first ones say what is wrong
		m.t.Errorf("seed %d, durable %v, round %d: %s", m.seed, m.durable, m.round, fmt.Sprintf(format, args...))
	}
}

// TestDeliveryModel checks the promises of docs/delivery.md against a server in its own
// process. Pairs of accounts, with one client each or with two, send each other numbered
// messages and chat states to bare and full JIDs. The clients lose their connections at any
// byte, take them over, do not read, do not acknowledge, resume their sessions, forget them,
// log out, stay away, and turn carbon copies and the state of an inactive client on and off.
// A few sessions are without stream management. The server is killed, stopped as planned, and
// killed while it stops or starts. Every message that was promised arrives, once and in
// order, except as that page says.
func TestDeliveryModel(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv(modelSeedEnv); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Duration(0)
	if text := os.Getenv(modelTimeEnv); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			t.Parallel()
			m := newModel(t, seed, durable)
			for end := time.Now().Add(long); !m.over() && (long == 0 && m.round < modelRounds || time.Now().Before(end)); {
				m.play()
				if m.round%50 == 0 {
					t.Logf("%v: %+v", time.Now().Format(time.TimeOnly), m.counts)
				}
			}
			t.Logf("seed %d: %+v", m.seed, m.counts)
			c := &m.counts
			if c.arrived == 0 || c.resumed == 0 || c.silent == 0 || c.kills == 0 || c.stops == 0 {
				t.Errorf("the run has shown nothing: %+v", *c)
			}
		})
	}
}

func newModel(t *testing.T, seed uint64, durable bool) *deliveryModel {
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	m := &deliveryModel{t: t, seed: seed, durable: durable, dir: filepath.Join(dir, "data"), log: log, random: rand.New(rand.NewPCG(seed, 0))}
	m.cond.L = &m.mu
	for i, name := range []string{"romeo", "juliet", "mercutio", "benvolio", "nurse", "paris"} {
		a := &modelAccount{name: name}
		resources := []string{"phone", "desk"}
		if i < 2 {
			resources = resources[:1]
		}
		for _, resource := range resources {
			c := &modelClient{m: m, account: a, resource: resource, priorities: []int{0, 1},
				random: rand.New(rand.NewPCG(seed, uint64(1+len(m.clients)))), latest: map[*modelStream]int{}}
			if resource == "desk" {
				c.priorities = []int{0, 5, -1}
			}
			a.clients = append(a.clients, c)
			m.clients = append(m.clients, c)
		}
		m.accounts = append(m.accounts, a)
	}
	for i, a := range m.accounts {
		peer := m.accounts[i^1]
		for _, c := range a.clients {
			c.peer = peer
			for _, resource := range []string{"", "phone", "desk"} {
				s := &modelStream{id: len(m.streams), from: c, to: peer, resource: resource}
				m.streams, c.streams = append(m.streams, s), append(c.streams, s)
			}
		}
	}
	tick := time.NewTicker(modelTick)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-tick.C:
				m.mu.Lock()
				m.steps++ // it goes on if all clients wait
				m.ticks++
				m.cond.Broadcast()
				m.mu.Unlock()
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() {
		m.kill()
		tick.Stop()
		close(done)
		if text, err := os.ReadFile(log.Name()); err != nil || strings.Contains(string(text), "DATA RACE") || strings.Contains(string(text), "level=ERROR") || t.Failed() {
			t.Errorf("the servers have logged (%v)\n%s", err, text[max(0, len(text)-20000):])
		}
		_ = log.Close()
	})
	m.start()
	return m
}

// play runs one round: all clients act, while the server is killed and stopped, and then
// everything that was promised has to arrive.
func (m *deliveryModel) play() {
	m.round++
	m.mu.Lock()
	m.pause = false
	m.mu.Unlock()
	var clients sync.WaitGroup
	for _, c := range m.clients {
		clients.Go(func() {
			for {
				m.mu.Lock()
				over := m.pause || m.broken
				m.mu.Unlock()
				if over {
					return
				}
				c.step()
			}
		})
	}
	for range 1 + m.random.IntN(4) {
		m.mu.Lock()
		until := m.steps + m.random.IntN(60*len(m.clients))
		m.mu.Unlock()
		m.wait("steps", func() bool { return m.steps >= until })
		m.disturb()
	}
	m.mu.Lock()
	m.pause = true
	m.cond.Broadcast()
	m.mu.Unlock()
	clients.Wait()
	if !m.over() {
		m.settle()
	}
	if !m.over() {
		m.silence()
	}
	m.counts.rounds++
}

// settle has all clients come online, and waits until nothing is left to be delivered.
func (m *deliveryModel) settle() {
	m.mu.Lock()
	for _, a := range m.accounts {
		a.leaving, a.gone = false, 0
	}
	m.mu.Unlock()
	m.patience(modelSettleTimeout)
	defer m.patience(modelAckTimeout)
	for end, calm := time.Now().Add(xmpptest.WaitLimit), 0; calm < 2 && !m.over(); calm++ {
		for _, c := range m.clients {
			c.settle()
		}
		m.mu.Lock()
		missing := 0
		m.each(func(x *modelMessage) {
			if x.missing() {
				missing++
			}
		})
		m.mu.Unlock()
		_, stored := m.look()
		bound := m.question("sessions")
		if missing == 0 && len(stored) == 0 && bound == strconv.Itoa(len(m.clients)) {
			continue
		}
		calm = -1
		if time.Now().After(end) {
			m.mu.Lock()
			m.errorf("there are still %d messages in the store (%v) and %s sessions", len(stored), stored, bound)
			m.mu.Unlock()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.broken { // else nothing waited for what is missing
		m.settled()
	}
}

// silence has a client not acknowledge, until it has lost its connection.
func (m *deliveryModel) silence() {
	c := m.clients[m.random.IntN(len(m.clients))]
	m.mu.Lock()
	for c.conn == nil && !m.broken { // it has been silent for too long before
		m.mu.Unlock()
		c.settle()
		m.mu.Lock()
	}
	if m.broken {
		m.mu.Unlock()
		return
	}
	conn := c.conn
	conn.silent = true
	conn.say("%s", c.stanza("<iq type='get' id='s' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", nil))
	m.mu.Unlock()
	m.wait(c.String()+" to lose its connection", func() bool { return c.conn != conn })
	m.counts.silent++
}

// settle has the client come online with stream management, and acknowledge what it has.
func (c *modelClient) settle() {
	m := c.m
	for {
		m.mu.Lock()
		conn, broken := c.conn, m.broken
		if broken {
			m.mu.Unlock()
			return
		}
		if conn == nil {
			m.mu.Unlock()
			c.connect()
			continue
		}
		if !c.session.managed {
			m.mu.Unlock()
			c.logOut(conn)
			continue
		}
		conn.stall = false
		conn.asked = append(conn.asked, len(c.session.received))
		conn.say("%s<a xmlns='urn:xmpp:sm:3' h='%d'/><r xmlns='urn:xmpp:sm:3'/>", c.stanza("<presence><priority>0</priority></presence>", nil), len(c.session.received))
		m.cond.Broadcast()
		m.mu.Unlock()
		m.wait(c.String()+" to have acknowledgements", func() bool { return len(c.out) == 0 && len(conn.asked) == 0 || c.conn != conn })
		m.mu.Lock()
		done := c.conn == conn
		m.mu.Unlock()
		if done {
			return
		}
	}
}
