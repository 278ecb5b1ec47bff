package server

import (
	"fmt"
	"slices"
	"strings"

	"roost/internal/xmpptest"
)

// What TestClusterFaults knows about messages. All of this is guarded by faultCluster.mu.
// Times are those of faultCluster.clock, which advances with each event.

// faultMessage is one message.
type faultMessage struct {
	number  int
	from    *faultClient
	session *faultSession // in which it was sent
	to      string
	normal  bool // of type normal: it is returned if the resource is not known
	sent    int
	acked   bool         // the sender knows that the server has it
	arrived int          // how often
	has     int          // when the client knew that the server had its acknowledgement; 0: never
	bounced int          // how often it was returned with an error
	nodes   []*faultNode // on which its sender and its recipient were
	doubt   []string     // how it was delivered again, although that is permitted only with the death of one of these
	lost    bool         // it may be lost: the queues of a node that was killed had it
	history []string
}

func (x *faultMessage) id() string { return fmt.Sprintf("m%d", x.number) }

// faultSession is a session as its client knows it.
type faultSession struct {
	client    *faultClient
	number    int
	id        string // to resume it; empty: that was refused
	began     int    // before the request for a resource
	got       map[*faultMessage]bool
	received  []*faultMessage // since stream management was enabled; nil for other stanzas
	confirmed int             // how many of these the server knows that the client has
}

// faultCounts is what a run has seen.
type faultCounts struct {
	sent, acked, unknown           int // messages
	arrived, bounced, lost         int
	ordered                        int // that have arrived in their order
	unseen                         int // that were returned to sessions that had ended
	stored                         int // that came with a delay stamp
	again                          int // that came again, because they were not acknowledged
	late                           int // that stayed in the store until the next login, although the recipient was there: see loginAll
	twice                          int // for which more is permitted, because a node had died
	both                           int // that came, and were bounced
	bound, resumed, moved, refused int // sessions
	streamErrors                   map[string]int
}

// tick returns the time. Under mu.
func (m *faultCluster) tick() int {
	m.clock++
	return m.clock
}

func (m *faultCluster) logf(format string, args ...any) {
	m.events = append(m.events, fmt.Sprintf("%d ", m.tick())+fmt.Sprintf(format, args...))
}

func (m *faultCluster) note(x *faultMessage, format string, args ...any) {
	x.history = append(x.history, fmt.Sprintf("%d ", m.tick())+fmt.Sprintf(format, args...))
}

// errorf reports a mistake of the server. Under mu.
func (m *faultCluster) errorf(format string, args ...any) {
	m.broken = true
	m.cond.Broadcast()
	if m.failures++; m.failures <= 5 { // the first ones say what is wrong
		m.t.Errorf("%s: %s", m.fault, fmt.Sprintf(format, args...))
	}
}

// wrong reports a broken promise about a message.
func (m *faultCluster) wrong(x *faultMessage, format string, args ...any) {
	m.errorf("message %d of %s %s\n  its history:\n    %s\n  what has happened:\n    %s", x.number, x.from.name, fmt.Sprintf(format, args...),
		strings.Join(x.history, "\n    "), strings.Join(m.events[max(0, len(m.events)-60):], "\n    "))
}

// newMessage adds a message.
func (m *faultCluster) newMessage(from *faultClient, kind, to string) *faultMessage {
	x := &faultMessage{number: len(m.messages), from: from, session: from.session, to: to, normal: kind == "normal", sent: m.tick()}
	x.nodes = []*faultNode{from.node, from.peer.node}
	m.messages = append(m.messages, x)
	m.counts.sent++
	m.note(x, "is sent at node %s in session %d, of type %s to %s", from.node.name, from.session.number, kind, to)
	return x
}

// find returns the message that an id attribute names.
func (m *faultCluster) find(id string) *faultMessage {
	var number int
	if n, _ := fmt.Sscanf(id, "m%d", &number); n != 1 || number >= len(m.messages) {
		return nil
	}
	return m.messages[number]
}

// message handles a message that has arrived at a client.
func (m *faultCluster) message(s *faultSession, e *xmpptest.Element) *faultMessage {
	c := s.client
	x := m.find(e.Attr("id"))
	if x == nil {
		m.errorf("%s receives %+v", c.name, e)
		return nil
	}
	if e.Attr("type") == "error" {
		if x.from != c {
			m.wrong(x, "is bounced to %s", c.name)
		}
		reason := e.Child("error")
		m.note(x, "is bounced: %+v", reason.Children)
		if x.bounced++; x.bounced > 1 {
			x.doubt = append(x.doubt, "is bounced twice")
		}
		if !x.normal && !m.storeless {
			m.wrong(x, "is bounced, and can be stored")
		}
		m.counts.bounced++
		if x.arrived > 0 {
			m.counts.both++
		}
		return x
	}
	delay := e.Child("delay")
	m.note(x, "arrives at %s in session %d, with a delay stamp: %v", c.name, s.number, delay.Name.Local != "")
	x.nodes = append(x.nodes, c.node)
	switch {
	case x.from != c.peer:
		m.wrong(x, "arrives at %s", c.name)
	case s.got[x]:
		x.doubt = append(x.doubt, "arrives twice in one session")
	case x.has != 0:
		x.doubt = append(x.doubt, "arrives again after its acknowledgement")
	case x.arrived > 0:
		m.counts.again++
	}
	if x.arrived == 0 {
		m.inOrder(x)
		m.counts.arrived++
		if x.bounced > 0 {
			m.counts.both++
		}
	}
	if delay.Name.Local != "" {
		m.counts.stored++
	}
	x.arrived++
	s.got[x] = true
	return x
}

// inOrder is called when a message arrives for the first time: those of a client to an address arrive
// in the order in which they were sent, while sessions neither move nor end.
func (m *faultCluster) inOrder(x *faultMessage) {
	if m.steady == 0 || x.sent < m.steady {
		return
	}
	key := x.from.name + " " + x.to
	if last := m.order[key]; last > x.number {
		x.doubt = append(x.doubt, fmt.Sprintf("arrives after message %d, which was sent later", last))
		return
	}
	m.order[key] = x.number
	m.counts.ordered++
}

// keepOrder is called when all clients are on their nodes and messages have arrived there: from here
// on they have an order.
func (m *faultCluster) keepOrder() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steady, m.order = m.tick(), make(map[string]int)
}

// confirm is called when the server knows that the client has its first n stanzas.
func (m *faultCluster) confirm(s *faultSession, n int) {
	for ; s.confirmed < n; s.confirmed++ {
		if x := s.received[s.confirmed]; x != nil && x.has == 0 && x.from != s.client {
			x.has = m.tick()
			m.note(x, "is acknowledged by %s for certain", s.client.name)
		}
	}
}

// missing returns the messages whose senders believe that they will arrive, and that have not.
func (m *faultCluster) missing() []*faultMessage {
	return slices.DeleteFunc(slices.Clone(m.messages[m.settledTo:]), func(x *faultMessage) bool {
		return !x.acked || x.arrived > 0 || x.bounced > 0 || x.lost || x.unseen()
	})
}

// unseen reports whether the message may have been returned to a session that ended before its
// client was sent the error: nobody else gets that.
func (x *faultMessage) unseen() bool { return x.normal && x.session != x.from.session }

// mayLose is called when a node was killed at a time, and all that it had sent was received.
// Without --durable, what was in its queues is lost: what it had acknowledged to its own
// clients and not passed on, what its own clients had not received, and what was to follow
// sessions that had just left it. What is in the store now is not lost. Under mu.
func (m *faultCluster) mayLose(n *faultNode, at int, stored string) {
	kept := make(map[*faultMessage]bool)
	for id := range strings.SplitSeq(stored, ",") {
		kept[m.find(id)] = true
	}
	concerned := func(c *faultClient) bool { return c.node == n || c.dialed == n || c.before == n }
	for _, x := range m.messages[m.settledTo:] {
		if !kept[x] && x.sent < at && x.arrived == 0 && x.bounced == 0 && (concerned(x.from) || concerned(x.from.peer)) {
			x.lost = true
			m.note(x, "may be lost with the node")
		}
	}
}

// settled judges what was delivered twice, or in another order, or was bounced although its recipient
// has it, and forgets messages, after all that has to arrive
// has arrived. What a node has handled before it died, and not said so, is handled again by
// another one. The test knows of nodes that have died because they were slow, too.
func (m *faultCluster) settled(dead []*faultNode) {
	for _, x := range m.messages[m.settledTo:] {
		if x.bounced > 0 && x.has != 0 {
			x.doubt = append(x.doubt, "is bounced, and was acknowledged by its recipient")
		}
		if len(x.doubt) > 0 {
			if slices.ContainsFunc(x.nodes, func(n *faultNode) bool { return slices.Contains(dead, n) }) {
				m.counts.twice++
			} else {
				m.wrong(x, "%s", x.doubt[0])
			}
		}
		switch pending := x.acked && x.arrived == 0 && x.bounced == 0; {
		case pending && x.lost:
			m.counts.lost++
		case pending && x.unseen():
			m.counts.unseen++
		}
		x.history = nil
	}
	m.settledTo = len(m.messages)
}
