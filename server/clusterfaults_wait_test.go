package server

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settle waits until nothing is left to be delivered. What stays in the store gets another
// login.
func (m *faultCluster) settle() {
	stays := 0
	for end, calm := time.Now().Add(faultLimit), 0; calm < 2; <-m.ticks {
		m.wait("all clients have what was sent", func() bool {
			return !slices.ContainsFunc(m.clients, func(c *faultClient) bool { return !c.quiet() })
		})
		total := nodeView{stored: "-"}
		for _, n := range m.nodes {
			v := n.view()
			total.sessions += v.sessions
			total.waiting += v.waiting
			if v.stored != "-" {
				total.stored = v.stored
			}
		}
		m.mu.Lock()
		missing := m.missing()
		switch {
		case len(missing) == 0 && total == nodeView{sessions: len(m.clients), stored: "-"}:
			calm++
		case time.Now().After(end):
			for _, x := range missing {
				m.wrong(x, "is lost")
			}
			for id := range strings.SplitSeq(total.stored, ",") {
				if x := m.find(id); x != nil {
					m.wrong(x, "stays in the store")
				}
			}
			m.errorf("%d messages are missing; the nodes have %+v", len(missing), total)
		default:
			calm = 0
			if total.stored == "-" || total.waiting > 0 {
				stays = 0
			} else if stays++; stays == faultStays {
				m.loginAll(total.stored)
			}
		}
		m.mu.Unlock()
	}
	var dead []*faultNode
	for _, n := range m.nodes {
		if n.view().self != n.self {
			dead = append(dead, n)
		}
	}
	m.mu.Lock()
	m.settled(dead)
	broken := m.broken
	m.mu.Unlock()
	if broken {
		m.t.FailNow()
	}
}

// loginAll has all clients log in again. What was acknowledged has to be sent to its recipient
// without that, unless the node that has stored it was killed: it may not have told the others.
// Under mu.
func (m *faultCluster) loginAll(stored string) {
	for id := range strings.SplitSeq(stored, ",") {
		x := m.find(id)
		switch {
		case x == nil:
		case x.acked && x.bounced == 0 && x.arrived == 0 && !m.killed:
			m.wrong(x, "stays in the store although its recipient is there")
		default:
			m.counts.late++
		}
	}
	m.steady = 0
	for _, c := range m.clients {
		c.session.id = ""
		c.leave()
	}
}

// wait waits until a condition holds, which is checked under mu.
func (m *faultCluster) wait(what string, f func() bool) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for end := time.Now().Add(faultLimit); !f() && !m.broken; m.cond.Wait() {
		if time.Now().After(end) {
			var states []string
			for _, c := range m.clients {
				states = append(states, c.state())
			}
			m.errorf("never: %s\n    %s\n  what has happened:\n    %s", what, strings.Join(states, "\n    "), strings.Join(m.events[max(0, len(m.events)-60):], "\n    "))
		}
	}
	if m.broken {
		m.t.FailNow()
	}
}

// until waits until a condition holds.
func (m *faultCluster) until(what string, f func() bool) {
	m.t.Helper()
	for end := time.Now().Add(faultLimit); !f(); <-m.ticks {
		if time.Now().After(end) {
			m.t.Fatalf("%s: never: %s", m.fault, what)
		}
	}
}

// flows waits until messages that are sent from now on have arrived at all clients.
func (m *faultCluster) flows() {
	m.t.Helper()
	m.mu.Lock()
	from := len(m.messages)
	m.mu.Unlock()
	m.wait("traffic flows between all pairs", func() bool {
		arrived := make(map[*faultClient]int)
		for _, x := range m.messages[from:] {
			if x.arrived > 0 {
				arrived[x.from]++
			}
		}
		return len(arrived) == len(m.clients)
	})
}

// known waits until all nodes but one reach Redis and know a number of other nodes.
func (m *faultCluster) known(others int, but ...*faultNode) {
	m.t.Helper()
	for _, n := range m.nodes {
		if !slices.Contains(but, n) {
			m.until(fmt.Sprintf("node %s knows %d others", n.name, others), func() bool {
				v := n.view()
				return v.reach && v.others == others
			})
		}
	}
}

// gone is called before a node leaves: clients do not connect to it any more.
func (m *faultCluster) gone(n *faultNode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n.up = false
}

// back is called when a node accepts connections again.
func (m *faultCluster) back(n *faultNode, addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n.addr, n.up = addr, true
	m.logf("node %s is back", n.name)
}

// abandon makes all clients of a node leave it.
func (m *faultCluster) abandon(n *faultNode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.clients {
		if c.dialed == n {
			c.leave()
		}
	}
}

// stay has all clients go home, and stay there.
func (m *faultCluster) stay() {
	m.t.Helper()
	m.mu.Lock()
	m.roam = false
	for _, c := range m.clients {
		c.goal = c.home
	}
	m.mu.Unlock()
	m.wait("all clients are on their nodes", func() bool {
		return !slices.ContainsFunc(m.clients, func(c *faultClient) bool { return c.conn == nil || c.node != c.home })
	})
}

// move has clients move to other nodes now and then.
func (m *faultCluster) move() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roam, m.steady = true, 0
}

// withoutStore is called before the store is out of reach for a node.
func (m *faultCluster) withoutStore() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.storeless = true
}

// unreachable waits until no node reaches Redis.
func (m *faultCluster) unreachable() {
	m.t.Helper()
	for _, n := range m.nodes {
		m.until("Redis is not reachable", func() bool { return !n.view().reach })
	}
}

// relaunch starts a node whose process has ended.
func (m *faultCluster) relaunch(n *faultNode) {
	m.t.Helper()
	var env []string
	if n.wrong {
		env = append(env, childClockEnv+"=1")
	}
	addr := n.launch(env...)
	if addr == "" {
		m.t.FailNow()
	}
	m.back(n, addr)
	m.known(2)
}

// replaceKilled kills a node, and starts it again when the others treat it as dead.
func (m *faultCluster) replaceKilled(n *faultNode) {
	m.gone(n)
	m.mu.Lock()
	m.killed = true
	m.mu.Unlock()
	n.kill()
	m.wait("the clients have received what the node has sent", func() bool {
		return !slices.ContainsFunc(m.clients, func(c *faultClient) bool { return c.conn != nil && c.node == n })
	})
	stored := ""
	for _, other := range m.nodes {
		if other != n {
			stored = other.view().stored
		}
	}
	m.mu.Lock()
	m.logf("node %s was killed", n.name)
	if !m.durable {
		m.mayLose(n, m.tick(), stored)
	}
	m.mu.Unlock()
	m.known(1, n)
	m.flows()
	m.relaunch(n)
}

// suspend stops the process of a node until the others treat it as dead.
func (m *faultCluster) suspend(n *faultNode) {
	m.gone(n)
	n.signal(syscall.SIGSTOP)
	m.until("the process is stopped", n.stopped)
	m.abandon(n)
	m.known(1, n)
	m.flows()
	n.signal(syscall.SIGCONT)
	m.known(2)
	m.back(n, n.addr)
}

// replaceDrained stops a node as planned, and starts another one with its name, whose clock is
// wrong, or right if that of the earlier one was wrong.
func (m *faultCluster) replaceDrained(n *faultNode) {
	m.gone(n)
	n.drain()
	n.stop()
	n.wrong = !n.wrong
	m.relaunch(n)
	n.self = n.view().self // it has not died
}
