package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"roost/internal/xmpptest"
)

// modelClient is a client of TestDeliveryModel. It has one resource, and after the loss of
// its connection it resumes its session or makes a new one.
type modelClient struct {
	m          *deliveryModel
	account    *modelAccount
	peer       *modelAccount
	resource   string
	random     *rand.Rand // of the client's own goroutine, and of the one that reads its connection, under mu
	streams    []*modelStream
	priorities []int

	// Guarded by deliveryModel.mu.
	conn       *modelConn // nil: there is none, or its end was seen
	session    *modelSession
	sessions   []*modelSession
	made       int
	out        []modelStanza // what the server has not acknowledged
	outAcked   uint32        // the number of stanzas that it has
	befriended bool
	latest     map[*modelStream]int // over all sessions
}

// modelStanza is a stanza that a client has sent, or that it could not send because its
// connection was lost.
type modelStanza struct {
	text    string
	message *modelMessage
}

func (c *modelClient) String() string { return c.account.name + "/" + c.resource }

// stanza adds a stanza to those that wait for an acknowledgement, and returns its text.
func (c *modelClient) stanza(text string, x *modelMessage) string {
	c.out = append(c.out, modelStanza{text, x})
	return text
}

// presence returns a presence stanza.
func (c *modelClient) presence() string {
	show := []string{"", "<show>away</show>", "<show>dnd</show>"}[c.random.IntN(3)]
	priority := c.priorities[c.random.IntN(len(c.priorities))]
	c.session.negative = c.session.negative || priority < 0
	return c.stanza(fmt.Sprintf("<presence>%s<priority>%d</priority></presence>", show, priority), nil)
}

// compose returns what a client sends at once: messages, chat states, and requests.
func (c *modelClient) compose() string {
	m, s := c.m, c.session
	var text strings.Builder
	for range c.random.IntN(4) {
		to := c.streams[c.random.IntN(len(c.streams))]
		x := m.newMessage(to, c.random.IntN(5) == 0)
		content := "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
		if !x.state {
			content = "<body>" + strings.Repeat("x", c.random.IntN(300)) + "</body>"
		}
		text.WriteString(c.stanza(fmt.Sprintf("<message type='chat' to='%s' id='%s'>%s</message>", to.address(), x.id(), content), x))
	}
	switch c.random.IntN(12) {
	case 0:
		s.carbons = true
		text.WriteString(c.stanza("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>", nil))
	case 1:
		text.WriteString(c.stanza("<iq type='set' id='d'><disable xmlns='urn:xmpp:carbons:2'/></iq>", nil))
	case 2, 3:
		text.WriteString("<inactive xmlns='urn:xmpp:csi:0'/>")
	case 4:
		text.WriteString("<active xmlns='urn:xmpp:csi:0'/>")
	case 5:
		text.WriteString(c.presence())
	}
	if c.random.IntN(3) == 0 {
		text.WriteString(c.ask())
	}
	return text.String()
}

// ask returns a request for an acknowledgement of all that was sent, after one of what was
// received.
func (c *modelClient) ask() string {
	s := c.session
	if !s.managed {
		n := c.outAcked + uint32(len(c.out)) + 1
		return c.stanza(fmt.Sprintf("<iq type='get' id='ping%d' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", n), nil)
	}
	text := ""
	if c.random.IntN(3) > 0 {
		text = fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", len(s.received))
		c.conn.asked = append(c.conn.asked, len(s.received))
	} else {
		c.conn.asked = append(c.conn.asked, s.confirmed)
	}
	return text + "<r xmlns='urn:xmpp:sm:3'/>"
}

// cut writes a part of the text and cuts the connection, with or without unread data lost.
// Under mu.
func (c *modelClient) cut(conn *modelConn, text string) {
	_, _ = conn.Write([]byte(text[:c.random.IntN(len(text)+1)]))
	if tcp, ok := conn.Conn.(*net.TCPConn); ok && c.random.IntN(3) == 0 {
		_ = tcp.SetLinger(0)
	}
	c.conn = nil
	c.m.counts.cuts++
	c.m.cond.Broadcast()
	c.m.logf(c.account, "%s: cuts its connection", c)
}

// step does something at random.
func (c *modelClient) step() {
	m := c.m
	m.mu.Lock()
	m.steps++
	m.cond.Broadcast()
	if c.account.leaving {
		m.mu.Unlock()
		c.leave()
		return
	}
	conn := c.conn
	if conn == nil {
		m.mu.Unlock()
		c.connect()
		return
	}
	if conn.stall && c.random.IntN(3) == 0 {
		conn.stall = false
	}
	text := c.compose()
	unmanaged := !c.session.managed
	switch choice := c.random.IntN(100); {
	case choice < 20 && (!unmanaged || choice < 3): // the connection breaks, perhaps in the middle
		c.cut(conn, text)
		m.mu.Unlock()
		_ = conn.Close()
		if choice < 2 { // for longer than the session waits, sometimes
			m.pass(c.random.IntN(int(2 * modelResumeTimeout / modelTick)))
		}
	case choice < 24 && !unmanaged: // the network has changed, and the server does not know it
		c.cut(conn, text)
		m.mu.Unlock()
		c.connect()
		_ = conn.Close()
	case choice < 26 && !unmanaged: // it forgets its session
		c.cut(conn, text)
		c.session.id = ""
		m.mu.Unlock()
		_ = conn.Close()
	case choice < 30:
		m.mu.Unlock()
		conn.say("%s", text)
		c.logOut(conn)
	case choice < 32:
		c.account.leaving = true
		m.mu.Unlock()
		conn.say("%s", text)
	case choice < 35:
		conn.stall = true
		m.mu.Unlock()
		conn.say("%s", text)
	case choice < 70:
		text += c.ask()
		conn.stall = false
		m.cond.Broadcast()
		m.mu.Unlock()
		conn.say("%s", text)
		m.wait(c.String()+" to have an acknowledgement", func() bool { return len(c.out) == 0 || c.conn != conn })
	default:
		m.mu.Unlock()
		conn.say("%s", text)
	}
}

// logOut closes the stream, and reads all that the server has sent before it closes its own.
func (c *modelClient) logOut(conn *modelConn) {
	m := c.m
	m.mu.Lock()
	s := c.session
	m.logf(c.account, "%s: closes its stream", c)
	conn.stall = false
	text := ""
	if s.managed {
		text = fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", len(s.received))
	}
	m.cond.Broadcast()
	m.mu.Unlock()
	conn.say("%s</stream:stream>", text)
	m.wait(c.String()+" to be logged out", func() bool { return c.conn != conn })
	m.mu.Lock()
	defer m.mu.Unlock()
	s.id = "" // the session has ended, or it is gone with the server
	m.counts.logouts++
}

// leave logs out, and waits until the account's other clients have, too. The last one finds
// out when the server has no session of the account any more, and after a while they come
// back.
func (c *modelClient) leave() {
	m, a := c.m, c.account
	m.mu.Lock()
	conn := c.conn
	m.mu.Unlock()
	if conn != nil {
		c.logOut(conn)
	}
	m.mu.Lock()
	a.waiting++
	last := a.waiting == len(a.clients)
	m.cond.Broadcast()
	m.mu.Unlock()
	if !last {
		m.wait(a.name+" to come back", func() bool { return !a.leaving || m.pause })
		m.mu.Lock()
		a.waiting--
		m.mu.Unlock()
		return
	}
	if m.sessionsGone(a) {
		m.mu.Lock()
		a.gone = m.tick()
		m.logf(a, "has no session")
		until := m.steps + 20 + c.random.IntN(300)
		m.mu.Unlock()
		m.wait("steps", func() bool { return m.steps >= until || m.pause })
	}
	m.mu.Lock()
	a.leaving, a.gone = false, 0
	a.waiting--
	m.logf(a, "comes back")
	m.cond.Broadcast()
	m.mu.Unlock()
}

// wait waits until a condition holds, which is checked under mu. what describes it.
func (m *deliveryModel) wait(what string, f func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for deadline := time.Now().Add(xmpptest.WaitLimit); !f() && !m.broken; m.cond.Wait() {
		if time.Now().After(deadline) {
			m.errorf("never: %s", what)
		}
	}
}

// pass waits for a number of ticks, or for the end of the round.
func (m *deliveryModel) pass(ticks int) {
	m.mu.Lock()
	until := m.ticks + ticks
	m.mu.Unlock()
	m.wait("time", func() bool { return m.ticks >= until || m.pause })
}
