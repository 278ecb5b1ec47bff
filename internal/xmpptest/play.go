package xmpptest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/xdg-go/scram"
)

// Cut determines how clients split what they send.
type Cut int

// The special values. A positive number splits each text after that many bytes.
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
	Restart  func() error // stops the server as planned and starts it again; may be nil
	Settle   func()       // called before each step, to wait for what clients do not see; may be nil
}

// run is one run of a dialogue.
type run struct {
	Player
	d         *Dialogue
	vars      vars
	clients   map[string]*client
	markers   int
	pool      []step // pending expectations in any order
	unordered bool
}

// Play plays a dialogue. The error names the line and the difference.
func (p Player) Play(d *Dialogue) (err error) {
	if p.Domain == "" {
		p.Domain = "localhost"
	}
	if p.Password == "" {
		p.Password = "secret"
	}
	r := &run{Player: p, d: d, vars: vars{}, clients: make(map[string]*client)}
	defer func() {
		for _, c := range r.clients {
			_ = c.conn.Close()
		}
	}()
	for _, s := range d.steps {
		if p.Settle != nil {
			p.Settle()
		}
		if err := r.step(s); err != nil {
			return fmt.Errorf("%s:%d: %w", d.Name, s.line, err)
		}
	}
	return r.flushPool()
}

func (r *run) step(s step) error {
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
		_, err := r.open(s.client)
		return err
	case authenticate:
		return r.authenticate(s.client, account)
	case sasl2:
		return r.sasl2(s)
	case login:
		return r.login(s.client, account, resource)
	case online:
		if err := r.login(s.client, account, resource); err != nil {
			return err
		}
		return r.online(s.client, account+"@"+r.Domain, resource)
	case drop:
		c := r.clients[s.client]
		delete(r.clients, s.client)
		return c.conn.Close()
	case restart:
		if r.Restart == nil {
			return errors.New("the server cannot be restarted here")
		}
		return r.Restart()
	case oneNode:
		return nil
	case anyOrder:
		r.unordered = true
		return nil
	case inOrder:
		r.unordered = false
		return r.flushPool()
	}
	c, err := r.client(s.client)
	if err != nil {
		return err
	}
	if s.text == "(space)" {
		c.send(" \n\t", r.Cut)
		return nil
	}
	if s.verb == send {
		c.send(r.vars.expand(s.text), r.Cut)
		return nil
	}
	if r.unordered {
		r.pool = append(r.pool, s)
		return nil
	}
	return r.expect(c, s.text)
}

// flushPool waits for the expectations in any order: the next events of each client must be
// those of the pool, in some order.
func (r *run) flushPool() error {
	for len(r.pool) > 0 {
		c, err := r.client(r.pool[0].client)
		if err != nil {
			return err
		}
		ev, err := c.next()
		if err != nil {
			return fmt.Errorf("%s:%d: %w", r.d.Name, r.pool[0].line, err)
		}
		var reasons []error
		met := -1
		for i, s := range r.pool {
			if s.client != c.name {
				continue
			}
			trial := vars{}
			for k, v := range r.vars {
				trial[k] = v
			}
			if err := trial.matchEvent(s.text, ev); err != nil {
				reasons = append(reasons, err)
				continue
			}
			met, r.vars = i, trial
			break
		}
		if met < 0 {
			return fmt.Errorf("%s:%d: %s received %s, which is none of those expected: %w", r.d.Name, r.pool[0].line, c.name, ev.raw, errors.Join(reasons...))
		}
		r.pool = append(r.pool[:met], r.pool[met+1:]...)
	}
	return nil
}

func (r *run) client(name string) (*client, error) {
	if c := r.clients[name]; c != nil {
		return c, nil
	}
	return r.open(name)
}

func (r *run) open(name string) (*client, error) {
	conn, err := r.Dial()
	if err != nil {
		return nil, err
	}
	c := &client{name: name, conn: conn}
	r.clients[name] = c
	return c, nil
}

// expect waits for the next event of a client and compares it.
func (r *run) expect(c *client, pattern string) error {
	switch pattern {
	case "(nothing)":
		return r.nothing(c)
	case "(closed)":
		ev, err := c.next()
		if err == nil {
			return fmt.Errorf("%s received %s, want the end of the connection", c.name, ev.raw)
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
	if err := r.vars.matchEvent(pattern, ev); err != nil {
		return fmt.Errorf("%s received %s\nwant %s\n%w", c.name, ev.raw, pattern, err)
	}
	return nil
}

// nothing checks that a client has received nothing else: it sends a request, and the next
// event must be the response.
func (r *run) nothing(c *client) error {
	r.markers++
	id := fmt.Sprintf("marker-%d", r.markers)
	ping := fmt.Sprintf("<iq type='get' id='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", id, r.Domain)
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
	return fmt.Errorf("%s received %s, want nothing", c.name, ev.raw)
}

// exchange is something that a client sends, and the name of the element that it gets then.
type exchange struct{ send, want string }

// authenticate opens a stream and authenticates with SASL PLAIN.
func (r *run) authenticate(name, account string) error {
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + account + "\x00" + r.Password))
	header := streamHeader(r.Domain)
	return r.exchange(name, []exchange{
		{header, "stream"}, {"", "features"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain + "</auth>", "success"},
		{header, "stream"}, {"", "features"},
	})
}

// sasl2 opens a stream and authenticates with SCRAM in SASL2, together with requests. The
// server's last message is not read.
func (r *run) sasl2(s step) error {
	words := strings.SplitN(s.text, " ", 4)
	if len(words) < 3 {
		return errors.New("an account and a mechanism are needed")
	}
	account, mechanism, requests := words[1], words[2], strings.Join(words[3:], "")
	hash := map[string]scram.HashGeneratorFcn{"SCRAM-SHA-1": scram.SHA1, "SCRAM-SHA-256": scram.SHA256}[mechanism]
	if hash == nil {
		return fmt.Errorf("%s is not supported here", mechanism)
	}
	client, err := hash.NewClient(account, r.Password, "")
	if err != nil {
		return err
	}
	conv := client.NewConversation()
	first, err := conv.Step("")
	if err != nil {
		return err
	}
	err = r.exchange(s.client, []exchange{
		{streamHeader(r.Domain), "stream"}, {"", "features"},
	})
	if err != nil {
		return err
	}
	c := r.clients[s.client]
	c.send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='"+mechanism+"'><initial-response>"+base64.StdEncoding.EncodeToString([]byte(first))+
		"</initial-response>"+requests+"</authenticate>", r.Cut)
	ev, err := c.next()
	if err != nil {
		return err
	}
	if ev.node == nil || ev.node.name.Local != "challenge" {
		return fmt.Errorf("%s received %s, want a challenge", s.client, ev.raw)
	}
	challenge, err := base64.StdEncoding.DecodeString(ev.node.text)
	if err != nil {
		return err
	}
	final, err := conv.Step(string(challenge))
	if err != nil {
		return err
	}
	c.send("<response xmlns='urn:xmpp:sasl:2'>"+base64.StdEncoding.EncodeToString([]byte(final))+"</response>", r.Cut)
	return nil
}

func streamHeader(domain string) string {
	return "<stream:stream to='" + domain + "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
}

// login authenticates and binds a resource.
func (r *run) login(name, account, resource string) error {
	if err := r.authenticate(name, account); err != nil {
		return err
	}
	bind := "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + resource + "</resource></bind></iq>"
	return r.exchange(name, []exchange{{bind, "iq"}})
}

func (r *run) exchange(name string, steps []exchange) error {
	c, err := r.client(name)
	if err != nil {
		return err
	}
	for _, x := range steps {
		if x.send != "" {
			c.send(x.send, r.Cut)
		}
		ev, err := c.next()
		if err != nil {
			return fmt.Errorf("%s: login: %w; want %s", name, err, x.want)
		}
		if ev.node == nil || ev.node.name.Local != x.want {
			return fmt.Errorf("%s: login: received %s, want %s", name, ev.raw, x.want)
		}
	}
	return nil
}

// online requests the roster, sends initial presence, and reads the roster and the client's
// own presence. Everything else comes after them.
func (r *run) online(name, bare, resource string) error {
	c := r.clients[name]
	c.send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", r.Cut)
	if ev, err := c.next(); err != nil || ev.node == nil || ev.node.name.Local != "iq" {
		return fmt.Errorf("%s: no roster: %v %s", name, err, ev.raw)
	}
	c.send("<presence/>", r.Cut)
	return r.expect(c, fmt.Sprintf("<presence from='%s/%s' to='%s'/>", bare, resource, bare))
}
