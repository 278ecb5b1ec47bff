package xmpptest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Cut says in which pieces clients send.
type Cut int

// The cuts. A positive number cuts each text behind so many bytes.
const (
	Whole    Cut = 0
	Bytewise Cut = -1
)

// Player plays dialogues.
type Player struct {
	Dial     func() (net.Conn, error)
	Domain   string // default localhost
	Password string // of all accounts; default secret
	Cut      Cut
}

// game is one play of one dialogue.
type game struct {
	Player
	d       *Dialogue
	vars    vars
	clients map[string]*client
	markers int
	pool    []step // expectations in any order, not met yet
	anyway  bool
}

// Play plays a dialogue; the error names the line and what was wrong.
func (p Player) Play(d *Dialogue) (err error) {
	if p.Domain == "" {
		p.Domain = "localhost"
	}
	if p.Password == "" {
		p.Password = "secret"
	}
	g := &game{Player: p, d: d, vars: vars{}, clients: make(map[string]*client)}
	defer func() {
		for _, c := range g.clients {
			_ = c.conn.Close()
		}
	}()
	for _, s := range d.steps {
		if err := g.step(s); err != nil {
			return fmt.Errorf("%s:%d: %w", d.Name, s.line, err)
		}
	}
	return g.flushPool()
}

func (g *game) step(s step) error {
	words := strings.Fields(s.text)
	account, resource := s.client, s.client
	if len(words) > 1 {
		account = words[1]
	}
	if len(words) > 2 {
		resource = words[2]
	}
	switch s.verb {
	case open:
		_, err := g.open(s.client)
		return err
	case login:
		return g.login(s.client, account, resource)
	case online:
		if err := g.login(s.client, account, resource); err != nil {
			return err
		}
		return g.online(s.client, account+"@"+g.Domain, resource)
	case drops:
		c := g.clients[s.client]
		delete(g.clients, s.client)
		return c.conn.Close()
	case anyways:
		g.anyway = true
		return nil
	case ordered:
		g.anyway = false
		return g.flushPool()
	}
	c, err := g.client(s.client)
	if err != nil {
		return err
	}
	if s.text == "(space)" {
		c.send(" \n\t", g.Cut)
		return nil
	}
	if s.verb == sends {
		c.send(g.vars.expand(s.text), g.Cut)
		return nil
	}
	if g.anyway {
		g.pool = append(g.pool, s)
		return nil
	}
	return g.expect(c, s.text)
}

// flushPool meets expectations whose order is not defined: for each client the
// next elements are those of the pool, in whatever order.
func (g *game) flushPool() error {
	for len(g.pool) > 0 {
		c, err := g.client(g.pool[0].client)
		if err != nil {
			return err
		}
		ev, err := c.next()
		if err != nil {
			return fmt.Errorf("%s:%d: %w", g.d.Name, g.pool[0].line, err)
		}
		var reasons []error
		met := -1
		for i, s := range g.pool {
			if s.client != c.name {
				continue
			}
			trial := vars{}
			for k, v := range g.vars {
				trial[k] = v
			}
			if err := trial.matchEvent(s.text, ev); err != nil {
				reasons = append(reasons, err)
				continue
			}
			met, g.vars = i, trial
			break
		}
		if met < 0 {
			return fmt.Errorf("%s:%d: %s got %s, which is none of those wanted: %w", g.d.Name, g.pool[0].line, c.name, ev.raw, errors.Join(reasons...))
		}
		g.pool = append(g.pool[:met], g.pool[met+1:]...)
	}
	return nil
}

func (g *game) client(name string) (*client, error) {
	if c := g.clients[name]; c != nil {
		return c, nil
	}
	return g.open(name)
}

func (g *game) open(name string) (*client, error) {
	conn, err := g.Dial()
	if err != nil {
		return nil, err
	}
	c := &client{name: name, conn: conn}
	g.clients[name] = c
	return c, nil
}

// expect reads the next thing that a client gets and compares it.
func (g *game) expect(c *client, pattern string) error {
	switch pattern {
	case "(nothing)":
		return g.nothing(c)
	case "(closed)":
		ev, err := c.next()
		if err == nil {
			return fmt.Errorf("%s got %s, want the end of the connection", c.name, ev.raw)
		}
		if !errors.Is(err, errEnd) {
			return err
		}
		return nil
	}
	ev, err := c.next()
	if err != nil {
		return fmt.Errorf("%s: %w; want %s", c.name, err, pattern)
	}
	if err := g.vars.matchEvent(pattern, ev); err != nil {
		return fmt.Errorf("%s got %s\nwant %s\n%w", c.name, ev.raw, pattern, err)
	}
	return nil
}

// nothing proves that a client has got nothing more: a request is sent, and the
// next thing that comes is its answer.
func (g *game) nothing(c *client) error {
	g.markers++
	id := fmt.Sprintf("marker-%d", g.markers)
	ping := fmt.Sprintf("<iq type='get' id='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", id, g.Domain)
	c.send(ping, Whole)
	ev, err := c.next()
	if err != nil {
		return err
	}
	if ev.node != nil {
		for _, a := range ev.node.attrs {
			if a.Name.Local == "id" && a.Value == id {
				return nil
			}
		}
	}
	return fmt.Errorf("%s got %s, want nothing", c.name, ev.raw)
}

// login takes a client through header, SASL PLAIN and binding.
func (g *game) login(name, account, resource string) error {
	c, err := g.client(name)
	if err != nil {
		return err
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + account + "\x00" + g.Password))
	header := "<stream:stream to='" + g.Domain + "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	bind := "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + resource + "</resource></bind></iq>"
	for _, x := range []struct{ send, want string }{
		{header, "stream"}, {"", "features"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain + "</auth>", "success"},
		{header, "stream"}, {"", "features"},
		{bind, "iq"},
	} {
		if x.send != "" {
			c.send(x.send, g.Cut)
		}
		ev, err := c.next()
		if err != nil {
			return fmt.Errorf("%s: login: %w; want %s", name, err, x.want)
		}
		if ev.node == nil || ev.node.name.Local != x.want {
			return fmt.Errorf("%s: login: got %s, want %s", name, ev.raw, x.want)
		}
	}
	return nil
}

// online asks for the roster and sends initial presence, and takes in their
// answers: the roster and the client's own presence. What else comes, comes
// behind them.
func (g *game) online(name, bare, resource string) error {
	c := g.clients[name]
	c.send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", g.Cut)
	if ev, err := c.next(); err != nil || ev.node == nil || ev.node.name.Local != "iq" {
		return fmt.Errorf("%s: no roster: %v %s", name, err, ev.raw)
	}
	c.send("<presence/>", g.Cut)
	return g.expect(c, fmt.Sprintf("<presence from='%s/%s' to='%s'/>", bare, resource, bare))
}
