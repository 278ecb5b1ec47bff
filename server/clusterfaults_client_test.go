package server

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"roost/internal/xmpptest"
)

// faultClient is a client of TestClusterFaults. It sends its peer messages all the time. When
// its connection ends, it resumes its session, on another node if its own is gone, or makes a
// new one.
type faultClient struct {
	c    *faultCluster
	name string
	home *faultNode
	peer *faultClient

	// Guarded by faultCluster.mu.
	node     *faultNode // of the session
	before   *faultNode // where the session was before
	goal     *faultNode // where the client wants to be
	socket   net.Conn   // also of a connection that is being made, to node dialed
	dialed   *faultNode
	conn     *modelConn // nil: there is none, or its end was seen
	session  *faultSession
	made     int
	turn     int
	out      []faultStanza // what the server has not acknowledged
	outAcked uint32
	trouble  string // the last error
	friends  bool
}

type faultStanza struct {
	text    string
	message *faultMessage // nil for other stanzas
}

// roamTicks is after how many ticks a client goes to another node, on average, or stays.
const roamTicks = 100

// run acts until the test is over.
func (c *faultClient) run() {
	for !c.c.ended() {
		c.c.mu.Lock()
		conn := c.conn
		text := ""
		if c.c.roam && c.c.random.IntN(roamTicks) == 0 {
			c.goal = c.c.nodes[c.c.random.IntN(len(c.c.nodes))]
		}
		if conn != nil && c.goal != c.node && c.goal.up {
			c.c.logf("%s goes from %s to %s", c.name, c.node.name, c.goal.name)
			c.leave()
			conn = nil
		}
		if conn != nil {
			text = c.compose(conn)
		}
		c.c.mu.Unlock()
		if conn == nil {
			c.connect()
		} else if text != "" {
			conn.say("%s", text)
		}
		<-c.c.ticks
	}
}

// stanza adds a stanza to those that wait for an acknowledgement, and returns its text.
func (c *faultClient) stanza(text string, x *faultMessage) string {
	c.out = append(c.out, faultStanza{text, x})
	return text
}

// compose returns what the client sends now. Under mu.
func (c *faultClient) compose(conn *modelConn) (text string) {
	s := c.session
	if !c.c.pause && len(c.out) < 10 {
		kind, to := "chat", c.peer.name+"@localhost"
		if c.turn++; c.turn%2 == 0 {
			to += "/r"
		}
		if c.turn%6 == 0 { // without the resource it is returned
			kind = "normal"
		}
		x := c.c.newMessage(c, kind, to)
		text = c.stanza(fmt.Sprintf("<message type='%s' to='%s' id='%s'><body>b</body></message>", kind, to, x.id()), x)
	}
	if len(conn.asked) == 0 && (len(c.out) > 2 || c.c.pause && (len(c.out) > 0 || s.confirmed < len(s.received))) {
		conn.asked = append(conn.asked, len(s.received))
		text += fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/><r xmlns='urn:xmpp:sm:3'/>", len(s.received))
	}
	return text
}

// connect connects to the node where the client wants to be, or to another one if that is not
// there.
func (c *faultClient) connect() {
	m := c.c
	m.mu.Lock()
	node := c.goal
	if !node.up {
		for _, n := range m.nodes {
			if n.up {
				node = n
			}
		}
	}
	addr, up := node.addr, node.up
	m.mu.Unlock()
	if !up {
		return
	}
	socket, err := net.Dial("tcp", addr)
	if err == nil {
		m.mu.Lock()
		c.socket, c.dialed = socket, node
		if !node.up {
			_ = socket.Close()
		}
		m.mu.Unlock()
		if err = c.log(&modelConn{Conn: socket, r: bufio.NewReader(socket)}, node); err != nil {
			_ = socket.Close()
		}
	}
	if err != nil {
		m.mu.Lock()
		c.trouble = fmt.Sprintf("at node %s: %v", node.name, err)
		m.mu.Unlock()
	}
}

// log logs in, and resumes the session or makes one.
func (c *faultClient) log(conn *modelConn, node *faultNode) error {
	m := c.c
	if err := conn.open(); err != nil {
		return err
	}
	conn.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>", base64.StdEncoding.EncodeToString([]byte("\x00"+c.name+"\x00secret")))
	if _, err := conn.expect("success"); err != nil {
		return err
	}
	if err := conn.open(); err != nil {
		return err
	}
	if s := c.session; s != nil && s.id != "" {
		m.mu.Lock()
		h := len(s.received)
		m.mu.Unlock()
		conn.say("<resume xmlns='urn:xmpp:sm:3' h='%d' previd='%s'/>", h, s.id)
		e, err := conn.expect("resumed", "failed")
		if err != nil {
			return err
		}
		m.mu.Lock()
		if h := e.Attr("h"); h != "" {
			c.ack(h)
		}
		if e.Name.Local == "resumed" {
			m.confirm(s, h)
			m.counts.resumed++
			if node != c.node {
				m.counts.moved++
			}
			m.logf("%s: session %d is resumed at %s, after %s", c.name, s.number, node.name, c.node.name)
			text := ""
			for _, o := range c.out {
				text += o.text
			}
			c.begin(conn, node)
			m.mu.Unlock()
			conn.say("%s", text)
			return nil
		}
		m.logf("%s: session %d cannot be resumed at %s, after %s", c.name, s.number, node.name, c.node.name)
		m.counts.refused++
		s.id = ""
		m.mu.Unlock()
	}
	return c.bind(conn, node)
}

// bind makes a new session.
func (c *faultClient) bind(conn *modelConn, node *faultNode) error {
	m := c.c
	m.mu.Lock()
	c.dropOut()
	m.steady = 0 // what the earlier session had may come after what this one is sent
	c.made++
	s := &faultSession{client: c, number: c.made, began: m.tick(), got: map[*faultMessage]bool{}}
	m.mu.Unlock()
	conn.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>")
	if e, err := conn.expect("iq"); err != nil || e.Attr("type") != "result" {
		return fmt.Errorf("bind: %+v, %w", e.Children, err)
	}
	conn.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	for s.id == "" {
		e, err := conn.expect("enabled", "message", "presence")
		if err != nil {
			return err
		}
		m.mu.Lock()
		switch e.Name.Local {
		case "enabled":
			if s.id = e.Attr("id"); s.id == "" {
				s.id = "none"
			}
		case "message":
			m.message(s, &e)
		}
		m.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.bound++
	m.logf("%s: session %d at %s", c.name, s.number, node.name)
	c.session = s
	c.begin(conn, node)
	text := c.stanza("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", nil)
	if !c.friends {
		c.friends = true
		for _, kind := range []string{"subscribed", "subscribe"} {
			text += c.stanza(fmt.Sprintf("<presence to='%s@localhost' type='%s'/>", c.peer.name, kind), nil)
		}
	}
	conn.say("%s", text+c.stanza("<presence/>", nil))
	return nil
}

// begin uses a connection from now on. Under mu.
func (c *faultClient) begin(conn *modelConn, node *faultNode) {
	if c.node != node {
		c.before = c.node
	}
	c.conn, c.node = conn, node
	if s := c.session; s != nil {
		for _, x := range c.c.messages[c.c.settledTo:] {
			if x.from == c.peer && x.has == 0 {
				x.nodes = append(x.nodes, node)
			}
		}
	}
	_ = conn.SetReadDeadline(time.Time{})
	c.c.tasks.Go(func() { c.read(conn, c.session) })
	c.c.cond.Broadcast()
}

// leave cuts the connection, so that the client makes another one. Under mu.
func (c *faultClient) leave() {
	c.conn = nil
	_ = c.socket.Close()
	c.c.cond.Broadcast()
}

// read handles what the server sends on a connection, until that ends or is given up.
func (c *faultClient) read(conn *modelConn, s *faultSession) {
	m := c.c
	for {
		e, err := xmpptest.NextElement(conn.d)
		m.mu.Lock()
		if err != nil || c.conn != conn {
			if c.conn == conn {
				m.logf("%s: the end of a connection: %v", c.name, err)
				c.conn = nil
			}
			_ = conn.Close()
			m.cond.Broadcast()
			m.mu.Unlock()
			return
		}
		c.element(conn, s, &e)
		m.cond.Broadcast()
		m.mu.Unlock()
	}
}

// element handles an element that the server has sent. Under mu.
func (c *faultClient) element(conn *modelConn, s *faultSession, e *xmpptest.Element) {
	m := c.c
	switch e.Name.Local {
	case "message":
		s.received = append(s.received, m.message(s, e))
	case "presence", "iq":
		s.received = append(s.received, nil)
	case "a":
		c.ack(e.Attr("h"))
		if len(conn.asked) == 0 {
			m.errorf("%s: an acknowledgement that was not requested", c.name)
			return
		}
		m.confirm(s, conn.asked[0])
		conn.asked = conn.asked[1:]
	case "r":
		conn.say("<a xmlns='urn:xmpp:sm:3' h='%d'/>", len(s.received))
	case "error":
		m.logf("%s: a stream error at %s: %+v", c.name, c.node.name, e.Children)
		for _, child := range e.Children {
			m.counts.streamErrors[child.Name.Local]++
		}
	}
}

// ack is called when the server has handled the first h stanzas of the session. Under mu.
func (c *faultClient) ack(h string) {
	n, err := strconv.ParseUint(h, 10, 32)
	if err != nil || uint32(n) < c.outAcked || uint32(n)-c.outAcked > uint32(len(c.out)) {
		c.c.errorf("%s: the server has handled %s, of %d to %d (%v)", c.name, h, c.outAcked, int(c.outAcked)+len(c.out), err)
		return
	}
	done := int(uint32(n) - c.outAcked)
	for _, o := range c.out[:done] {
		if o.message != nil {
			o.message.acked = true
			c.c.counts.acked++
			c.c.note(o.message, "is acknowledged to its sender")
		}
	}
	c.out, c.outAcked = c.out[done:], uint32(n)
}

// dropOut forgets what was not acknowledged, when the session is given up. Under mu.
func (c *faultClient) dropOut() {
	for _, o := range c.out {
		if o.message != nil {
			c.c.counts.unknown++
			c.c.note(o.message, "is given up by its sender, which does not know whether the server has it")
		}
	}
	c.out, c.outAcked = nil, 0
}

// quiet reports whether all that the client has sent is acknowledged, and all that it has received.
func (c *faultClient) quiet() bool {
	return c.conn != nil && len(c.out) == 0 && len(c.conn.asked) == 0 && c.session.confirmed == len(c.session.received)
}

// state describes a client for a failure. Under mu.
func (c *faultClient) state() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: connection %v, %d without acknowledgement, last error: %s", c.name, c.conn != nil, len(c.out), c.trouble)
	if c.conn != nil {
		fmt.Fprintf(&b, ", at %s, asked %v, received %d, confirmed %d", c.node.name, c.conn.asked, len(c.session.received), c.session.confirmed)
	}
	return b.String()
}
