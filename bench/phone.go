package bench

import (
	"fmt"
	"strconv"
	"time"

	"roost/parser"
)

// phone is a client that loses its connection and resumes its session again and again (XEP-0198
// section 5, https://xmpp.org/extensions/xep-0198.html#resumption). Each of its connections is
// a Client, and there is one at a time. What is not immutable is owned by the goroutine that
// has this one: its loop or, before it is connected, the one that connects it.
type phone struct {
	run     *resumeRun
	index   int // in Clients.clients
	account Account
	peer    *Client // sends it messages
	client  *Client // its present connection
	moves   int     // how often it has moved to the next target

	first      uint64              // number of its first message
	sent       uint64              // number of the next message to send
	next       uint64              // number of the message that has to arrive next
	missing    map[uint64]struct{} // numbers below next that have not arrived
	last       bool                // the last message was sent
	messages   int64               // sent while it was disconnected
	twice      int64
	disordered int64
}

// start lets a client lose its connection for the first time.
func (run *resumeRun) start(index int, c, peer *Client) {
	p := &phone{run: run, index: index, account: c.account, peer: peer, client: c, first: run.first, sent: run.first, next: run.first,
		missing: make(map[uint64]struct{})}
	run.going.Add(1)
	c.conn.Load().Post(func(int) {
		switch {
		case c.state != stateReady:
			run.ended(p, errLostBefore)
		case c.acks.id == "":
			run.ended(p, errNoResume)
		default:
			c.phone = p
			p.step()
		}
	})
}

// step is called when all that was sent has arrived. Loop.
func (p *phone) step() {
	switch {
	case p.last:
		p.client.conn.Load().SetDeadline(0)
		p.client.phone = nil
		p.run.ended(p, nil)
	case p.run.left.Add(-1) < 0:
		p.last = true // whatever arrives a second time arrives before it
		p.send()
	default:
		p.client.cut = true
		p.client.state = stateFailed // what arrives now was not received
		p.client.drop()
	}
}

// send makes the peer send a message.
func (p *phone) send() {
	var buf [512]byte
	p.sent++
	p.peer.write(p.peer.requestAck(appendMessage(buf[:0], p.sent-1, "", p.account.JID()+"/"+p.account.Resource)))
}

// reconnect is called when the connection is closed: messages are sent meanwhile. Loop.
func (p *phone) reconnect() {
	old := p.client
	c := &Client{clients: old.clients, number: old.number, account: old.account, phone: p}
	c.acks.id, c.acks.received = old.acks.id, old.acks.received
	p.client = c
	if p.run.cfg.Roam {
		p.moves++
	}
	for range p.run.cfg.Gap {
		p.messages++
		p.send()
	}
	c.clients.replace(p.index, c)
	go func() {
		if err := c.clients.dial(p.run.ctx, c); err != nil {
			p.run.ended(p, err)
		}
	}()
}

// resumed is called when the session is resumed. What was missed follows. Loop.
func (p *phone) resumed() {
	p.run.done.Add(1)
	if p.next == p.sent {
		p.step()
	}
}

// onPhone handles what an available client receives.
func onPhone(_ int, c *Client, el parser.Element) {
	if p := c.phone; p != nil && string(el.Local()) == "message" {
		if n, err := strconv.ParseUint(string(el.Attr("id")), 36, 64); err == nil {
			p.received(n)
		}
	}
}

// received is called for each message.
func (p *phone) received(n uint64) {
	switch _, missing := p.missing[n]; {
	case n < p.first || n >= p.sent: // not of this run
		return
	case missing:
		delete(p.missing, n)
		p.disordered++
		return
	case n < p.next:
		p.twice++
		return
	}
	for ; p.next < n; p.next++ {
		p.missing[p.next] = struct{}{}
	}
	p.next++
	if p.next == p.sent {
		p.step()
	}
}

// resume asks the server to resume the session.
func (c *Client) resume() {
	c.state = stateResume
	c.send(c.resumeElement())
}

func (c *Client) resumeElement() string {
	return fmt.Sprintf("<resume xmlns='"+smNS+"' previd='%s' h='%d'/>", parser.AppendEscaped(nil, []byte(c.acks.id)), c.acks.received)
}

// resumed handles <resumed/>.
func (c *Client) resumed() {
	c.acks.enabled = true
	c.state = stateReady
	if c.clients.cfg.CSI {
		// XEP-0352 section 5.2 (https://xmpp.org/extensions/xep-0352.html#stream-resumption): "Clients
		// wishing to immediately go to the inactive state should do so after stream
		// resumption."
		c.send(inactive)
	}
	c.clients.onReady(time.Since(c.started))
	c.clients.resumed()
	c.phone.resumed()
}
