package server

import (
	"bufio"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"roost/internal/xmpptest"
)

// modelConn is a connection of a client of TestDeliveryModel.
type modelConn struct {
	net.Conn
	d      *xml.Decoder
	r      *bufio.Reader
	asked  []int // for each request for an acknowledgement that has no answer: what the client had acknowledged before
	stall  bool  // the client does not read
	silent bool  // the client does not acknowledge any more
}

func (c *modelConn) say(format string, args ...any) { _, _ = fmt.Fprintf(c, format, args...) }

// expect reads the next element, which has one of these names.
func (c *modelConn) expect(names ...string) (xmpptest.Element, error) {
	_ = c.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
	e, err := xmpptest.NextElement(c.d)
	if err != nil {
		return e, err
	}
	for _, name := range names {
		if e.Name.Local == name {
			return e, nil
		}
	}
	return e, fmt.Errorf("received %+v, want %v", e, names)
}

func (c *modelConn) open() (err error) {
	c.say("%s", testHeader)
	_ = c.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
	if c.d, err = xmpptest.ReadHeader(c.r); err == nil {
		_, err = c.expect("features")
	}
	return err
}

// connect opens a connection and resumes the session, with its login or after it, or makes
// one. While the server is down, it waits. If the server ends the connection meanwhile, the
// next step tries again.
func (c *modelClient) connect() {
	m := c.m
	m.mu.Lock()
	for !m.up {
		m.cond.Wait()
	}
	m.conns++
	addr, starts := m.addr, m.starts
	c.conn = nil
	m.mu.Unlock()
	err := c.connectTo(addr)
	if err == nil {
		return // the connection is counted until it has been read to the end
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logf(c.account, "%s: no connection: %v", c, err)
	if m.up && m.starts == starts {
		m.errorf("%s cannot connect: %v\n  %s", c, err, strings.Join(c.account.log, "\n  "))
	}
	m.connEnded()
}

func (c *modelClient) connectTo(addr string) (err error) {
	socket, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	conn := &modelConn{Conn: socket, r: bufio.NewReader(socket)}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	if err := conn.open(); err != nil {
		return err
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + c.account.name + "\x00secret"))
	inline := c.session != nil && c.session.id != "" && c.random.IntN(2) == 0
	if !inline {
		conn.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>", plain)
		if _, err := conn.expect("success"); err != nil {
			return err
		}
		if err := conn.open(); err != nil {
			return err
		}
	}
	if c.session != nil && c.session.id != "" {
		resumed, err := c.resume(conn, inline, plain)
		if err != nil || resumed {
			return err
		}
	}
	return c.bind(conn)
}

// resume requests the resumption of the session.
func (c *modelClient) resume(conn *modelConn, inline bool, plain string) (resumed bool, err error) {
	m, s := c.m, c.session
	m.mu.Lock()
	h := len(s.received)
	m.mu.Unlock()
	resume := fmt.Sprintf("<resume xmlns='urn:xmpp:sm:3' h='%d' previd='%s'/>", h, s.id)
	var e xmpptest.Element
	if inline {
		conn.say("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>%s</initial-response>%s</authenticate>", plain, resume)
		if e, err = conn.expect("success"); err != nil {
			return false, err
		}
		if failed := e.Child("failed"); failed.Name.Local != "" {
			if _, err := conn.expect("features"); err != nil {
				return false, err
			}
			e = failed
		} else {
			e = e.Child("resumed")
		}
	} else {
		conn.say("%s", resume)
		if e, err = conn.expect("resumed", "failed"); err != nil {
			return false, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Name.Local == "failed" {
		m.counts.refused++
		m.logf(c.account, "%s: session %d cannot be resumed", c, s.number)
		if h := e.Attr("h"); h != "" {
			c.ack(h)
		}
		return false, nil
	}
	m.counts.resumed++
	m.logf(c.account, "%s: session %d is resumed, received %d, handled %s", c, s.number, h, e.Attr("h"))
	m.confirm(s, h)
	c.ack(e.Attr("h"))
	var text strings.Builder
	for _, o := range c.out {
		text.WriteString(o.text)
	}
	c.begin(conn)
	conn.say("%s", text.String())
	return true, nil
}

// bind makes a new session.
func (c *modelClient) bind(conn *modelConn) error {
	m := c.m
	m.mu.Lock()
	c.dropOut()
	c.made++
	s := &modelSession{client: c, number: c.made, began: m.tick(), got: map[*modelMessage]bool{}, copies: map[string]bool{},
		latest: map[*modelStream]int{}, live: map[*modelStream]int{}}
	c.session = s
	c.sessions = append(c.sessions, s)
	m.mu.Unlock()
	conn.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>%s</resource></bind></iq>", c.resource)
	if _, err := conn.expect("iq"); err != nil {
		return err
	}
	m.mu.Lock()
	m.counts.bound++
	m.logf(c.account, "%s: session %d", c, s.number)
	for _, o := range c.sessions {
		if o != s { // the new one has its resource
			m.sessionEnded(o, false)
		}
	}
	m.mu.Unlock()
	if managed := c.random.IntN(8); managed > 0 {
		if managed > 1 {
			conn.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		} else {
			conn.say("<enable xmlns='urn:xmpp:sm:3'/>")
		}
		for {
			e, err := conn.expect("enabled", "message")
			if err != nil {
				return err
			}
			m.mu.Lock()
			if e.Name.Local == "message" { // to the full JID
				c.message(s, &e)
				m.mu.Unlock()
				continue
			}
			s.managed, s.id, s.received = true, e.Attr("id"), nil
			m.logf(c.account, "%s: session %d has stream management", c, s.number)
			m.mu.Unlock()
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c.begin(conn)
	text := ""
	if !c.befriended {
		c.befriended = true
		for _, kind := range []string{"subscribed", "subscribe"} {
			text += c.stanza(fmt.Sprintf("<presence to='%s@localhost' type='%s'/>", c.peer.name, kind), nil)
		}
		text = c.stanza("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", nil) + text
	}
	conn.say("%s", text+c.presence())
	return nil
}

// begin uses a connection from now on. Under mu.
func (c *modelClient) begin(conn *modelConn) {
	c.conn = conn
	_ = conn.SetReadDeadline(time.Time{})
	go c.read(conn, c.session)
}

// read handles what the server sends on a connection, until that ends or is replaced.
func (c *modelClient) read(conn *modelConn, s *modelSession) {
	m := c.m
	for {
		e, err := xmpptest.NextElement(conn.d)
		m.mu.Lock()
		for conn.stall && m.up && c.conn == conn {
			m.cond.Wait()
		}
		if err != nil || c.conn != conn {
			if c.conn == conn {
				c.conn = nil
				if err == io.EOF && !s.managed {
					m.sessionEnded(s, true)
				}
			}
			_ = conn.Close()
			m.connEnded()
			m.mu.Unlock()
			return
		}
		c.element(conn, s, &e)
		m.cond.Broadcast()
		m.mu.Unlock()
	}
}

// element handles an element that the server has sent. Under mu.
func (c *modelClient) element(conn *modelConn, s *modelSession, e *xmpptest.Element) {
	m := c.m
	counted := len(s.received)
	switch e.Name.Local {
	case "message", "presence", "iq":
		var x *modelMessage
		if e.Name.Local == "message" {
			x = c.message(s, e)
		}
		if e.Name.Local == "presence" && e.Attr("from") == c.account.name+"@localhost/"+c.resource && e.Attr("type") == "" {
			s.available = true
		}
		if s.managed {
			s.received = append(s.received, x)
		}
		if id, ok := strings.CutPrefix(e.Attr("id"), "ping"); ok && e.Name.Local == "iq" && !s.managed {
			c.ack(id) // the reply to a ping: what was sent before it is handled
		}
	case "a":
		c.ack(e.Attr("h"))
		if len(conn.asked) == 0 {
			m.errorf("%s: an acknowledgement that was not requested", c)
			return
		}
		m.confirm(s, conn.asked[0])
		conn.asked = conn.asked[1:]
	case "r":
		if !conn.silent && c.random.IntN(6) > 0 { // else it does not respond
			conn.say("<a xmlns='urn:xmpp:sm:3' h='%d'/>", counted)
		}
	case "error":
		m.logf(c.account, "%s: a stream error %+v", c, e.Children)
		timeout := e.Child("connection-timeout") // it has not acknowledged in time, and its session cannot be resumed
		if !m.stopping && timeout.Name.Local == "" {
			m.errorf("%s: a stream error %+v", c, e.Children)
		}
	}
}

// message handles a message. It returns nil for carbon copies. Under mu.
func (c *modelClient) message(s *modelSession, e *xmpptest.Element) *modelMessage {
	m := c.m
	for _, kind := range []string{"received", "sent"} {
		if carbon := e.Child(kind); carbon.Name.Local != "" {
			forwarded := carbon.Child("forwarded")
			inner := forwarded.Child("message")
			m.carbon(s, kind, &inner)
			return nil
		}
	}
	x := m.find(e.Attr("id"))
	if x == nil || e.Attr("type") != "chat" {
		m.errorf("%s received %+v\n  %s", c, e, strings.Join(c.account.log, "\n  "))
		return nil
	}
	delay := e.Child("delay")
	m.arrives(s, x, delay.Name.Local != "")
	return x
}

// carbon checks a carbon copy (XEP-0280).
func (m *deliveryModel) carbon(s *modelSession, kind string, e *xmpptest.Element) {
	x := m.find(e.Attr("id"))
	switch {
	case x == nil:
		m.errorf("%s has a copy of %+v", s.client, e)
		return
	case !s.carbons:
		m.wrong(x, "arrives as a copy in session %d of %s, which has not enabled that", s.number, s.client)
	case s.copies[kind+x.id()]:
		m.wrong(x, "arrives twice as a copy in session %d of %s", s.number, s.client)
	}
	s.copies[kind+x.id()] = true
	m.note(x, "arrives as a copy (%s) in session %d of %s", kind, s.number, s.client)
	m.counts.carbons++
}

// ack is called when the server has handled the first h stanzas of the session, counted
// modulo 2^32 (https://xmpp.org/extensions/xep-0198.html#acking). Under mu.
func (c *modelClient) ack(h string) {
	n, err := strconv.ParseUint(h, 10, 32)
	if err != nil || uint32(n) < c.outAcked || uint32(n)-c.outAcked > uint32(len(c.out)) {
		c.m.errorf("%s: the server has handled %s, of %d to %d (%v)\n  %s", c, h, c.outAcked, int(c.outAcked)+len(c.out), err, strings.Join(c.account.log, "\n  "))
		return
	}
	done := int(uint32(n) - c.outAcked)
	for _, o := range c.out[:done] {
		if o.message != nil {
			c.m.accepted(o.message)
		}
	}
	c.out = c.out[done:]
	c.outAcked = uint32(n)
}

// dropOut forgets what was not acknowledged, when the session is given up. Under mu.
func (c *modelClient) dropOut() {
	for _, o := range c.out {
		if o.message != nil {
			o.message.unknown = true
			c.m.note(o.message, "is given up by its sender, which does not know whether the server has it")
		}
	}
	c.out, c.outAcked = nil, 0
}
