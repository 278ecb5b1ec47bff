package router_test

import (
	"bufio"
	"encoding/base64"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/internal/teststores"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
)

var (
	resumeSteps = flag.Int("resume.steps", 40, "steps of each client in TestResumeModel, between restarts of the server")
	resumeStops = flag.Int("resume.stops", 2, "planned restarts in TestResumeModel")
)

// phone is a client that loses its connection again and again, and resumes its session
// (XEP-0198). It sends numbered messages to another one.
type phone struct {
	t      *testing.T
	s      *xmpptest.Server
	others []*xmpptest.Server // that may replace s: the nodes of a cluster
	random *rand.Rand
	name   string // account and resource
	peer   string

	mu      sync.Mutex
	conn    net.Conn
	up      bool     // the stream is open, and its end was not seen
	id      string   // to resume the session
	handled uint32   // stanzas that were received
	got     []int    // numbers of the messages that were received
	sent    []string // stanzas that the server has not acknowledged
	acked   uint32   // the number of those that it has
	next    int      // number of the next message
	resumed int
}

const phoneHeader = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// connect opens a connection and resumes the session, with its login or after it, or makes
// one.
func (p *phone) connect() error {
	p.mu.Lock()
	if len(p.others) > 0 && (p.s == nil || p.random.IntN(4) == 0) { // not always: a message follows a session a few times only
		p.s = p.others[p.random.IntN(len(p.others))]
	}
	p.mu.Unlock()
	conn, err := p.s.Dial()
	if err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	say := func(text string) { _, _ = io.WriteString(conn, text) }
	var d *xml.Decoder
	expect := func(name string) (xmpptest.Element, error) {
		e, err := xmpptest.NextElement(d)
		if err == nil && e.Name.Local != name {
			err = fmt.Errorf("received %v, want %s", e.StartElement, name)
		}
		return e, err
	}
	open := func() (err error) {
		say(phoneHeader)
		if d, err = xmpptest.ReadHeader(r); err == nil {
			_, err = expect("features")
		}
		return err
	}
	if err := open(); err != nil {
		return err
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + p.name + "\x00secret"))
	p.mu.Lock()
	inline := p.id != "" && p.random.IntN(2) == 0
	p.mu.Unlock()
	if !inline {
		say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain + "</auth>")
		if _, err := expect("success"); err != nil {
			return err
		}
		if err := open(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = conn // from here on, what comes on the earlier connection is ignored
	if p.id == "" {
		say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + p.name + "</resource></bind></iq>")
		if _, err := expect("iq"); err != nil {
			return err
		}
		say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		e, err := expect("enabled")
		if err != nil {
			return err
		}
		p.id = e.Attr("id")
		p.sent = []string{"<presence/>"}
		say("<presence/>")
	} else {
		resume, want := fmt.Sprintf("<resume xmlns='urn:xmpp:sm:3' h='%d' previd='%s'/>", p.handled, p.id), "resumed"
		if inline {
			resume = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" + plain + "</initial-response>" + resume + "</authenticate>"
			want = "success"
		}
		say(resume)
		e, err := expect(want)
		if err != nil {
			return err
		}
		if inline {
			e = e.Child("resumed")
		}
		if err := p.ack(e.Attr("h")); err != nil {
			return err
		}
		p.resumed++
		say(strings.Join(p.sent, ""))
	}
	p.up = true
	go p.read(conn, d)
	return nil
}

// ack drops what the server has handled. Under mu.
func (p *phone) ack(h string) error {
	n, err := strconv.ParseUint(h, 10, 32)
	if err != nil || uint32(n) < p.acked || uint32(n)-p.acked > uint32(len(p.sent)) {
		return fmt.Errorf("the server has handled %s, of %d to %d (%v)", h, p.acked, int(p.acked)+len(p.sent), err)
	}
	p.sent = p.sent[uint32(n)-p.acked:]
	p.acked = uint32(n)
	return nil
}

// read handles what the server sends on a connection, until that ends or is abandoned.
func (p *phone) read(conn net.Conn, d *xml.Decoder) {
	for {
		e, err := xmpptest.NextElement(d)
		p.mu.Lock()
		if p.conn != conn {
			p.mu.Unlock()
			return
		}
		if err != nil {
			p.up = false
			p.mu.Unlock()
			return
		}
		switch e.Name.Local {
		case "message":
			n, err := strconv.Atoi(e.Attr("id"))
			if err != nil {
				p.t.Error(err)
			}
			p.got = append(p.got, n)
			p.handled++
		case "presence", "iq":
			p.handled++
		case "a":
			if err := p.ack(e.Attr("h")); err != nil {
				p.t.Error(err)
			}
		case "r":
			if p.random.IntN(6) > 0 { // else it does not respond
				_, _ = fmt.Fprintf(conn, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", p.handled)
			}
		case "error":
			p.t.Errorf("%s: a stream error on the present connection; %v %+v", p.name, p.s.Sessions.Ended(), p.s.Sessions.Stats().Acks)
		}
		p.mu.Unlock()
	}
}

// step does something at random.
func (p *phone) step() {
	p.mu.Lock()
	if !p.up {
		p.mu.Unlock()
		if err := p.connect(); err != nil {
			p.t.Errorf("%s: %v %v", p.name, err, p.s.Sessions.Ended())
		}
		return
	}
	choice, n := p.random.IntN(10), p.random.IntN(4)
	text := ""
	for range n {
		m := fmt.Sprintf("<message type='chat' to='%s@localhost/%s' id='%d'><body>%s</body></message>", p.peer, p.peer, p.next, strings.Repeat("x", p.random.IntN(300)))
		p.next++
		p.sent = append(p.sent, m)
		text += m
	}
	if p.random.IntN(3) == 0 {
		text += "<r xmlns='urn:xmpp:sm:3'/>"
	}
	conn := p.conn
	switch {
	case choice < 3: // the connection breaks, perhaps in the middle
		_, _ = io.WriteString(conn, text[:p.random.IntN(len(text)+1)])
		p.conn, p.up = nil, false
		p.mu.Unlock()
		_ = conn.Close()
		return
	case choice == 3: // the network has changed, and the server does not know it
		_, _ = io.WriteString(conn, text[:p.random.IntN(len(text)+1)])
		p.conn, p.up = nil, false
		p.mu.Unlock()
		if err := p.connect(); err != nil {
			p.t.Errorf("%s: %v %v", p.name, err, p.s.Sessions.Ended())
		}
		_ = conn.Close()
		return
	}
	_, _ = io.WriteString(conn, text)
	p.mu.Unlock()
}

// checkStore checks that no messages are stored for the client. With durable, it first
// acknowledges what it has.
func (p *phone) checkStore(durable bool) {
	count := func() int {
		n, err := p.s.Store.CountOffline(p.t.Context(), jid.MustParse(p.name+"@localhost"))
		if err != nil {
			p.t.Fatal(err)
		}
		return n
	}
	if !durable {
		if n := count(); n != 0 {
			p.t.Errorf("%d messages are in the store", n)
		}
		return
	}
	xmpptest.Eventually(p.t, "the messages to leave the store", func() bool {
		p.mu.Lock()
		up := p.up
		if up {
			_, _ = fmt.Fprintf(p.conn, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", p.handled)
		}
		p.mu.Unlock()
		if !up {
			if err := p.connect(); err != nil {
				p.t.Fatalf("%s: %v", p.name, err)
			}
		}
		return count() == 0
	})
}

// TestResumeModel: pairs of clients send messages to each other, lose their connections at
// any byte, take them over while the server thinks that they exist, do not acknowledge, and
// resume their sessions. Now and then the server is restarted as planned, while their stanzas
// are on the way. Each message arrives exactly once, and in order.
func TestResumeModel(t *testing.T) { testResumeModel(t, xmpptest.Config{}) }

// TestDurableResumeModel: the same for a server that stores messages before it delivers them.
func TestDurableResumeModel(t *testing.T) { testResumeModel(t, durable()) }

func testResumeModel(t *testing.T, cfg xmpptest.Config) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cfg.Location, cfg.Session = teststores.SQLite.New(t), session.Config{AckTimeout: 200 * time.Millisecond}
	s := xmpptest.NewServer(t, cfg)
	names := []string{"juliet", "romeo", "nurse", "mercutio"}
	var phones []*phone
	for i, name := range names {
		phones = append(phones, &phone{t: t, s: s, random: rand.New(rand.NewPCG(seed, uint64(i))), name: name, peer: names[i^1]})
	}
	takeSteps(phones, 1) // the peers exist before the first message
	steps := func() { takeSteps(phones, *resumeSteps) }
	steps()
	counted := int64(0)
	for range *resumeStops {
		for _, p := range phones { // their connections stay open
			p.mu.Lock()
			p.conn, p.up = nil, false
			p.mu.Unlock()
		}
		if done := s.Suspend(t); done.Sessions != len(phones) {
			t.Errorf("%+v", done)
		}
		counted += s.Sessions.Stats().Acks.Resumed
		s = xmpptest.NewServer(t, cfg)
		for _, p := range phones {
			p.s = s
		}
		steps()
	}
	checkAll(t, phones, cfg.Router.Durable)
	resumed := 0
	for _, p := range phones {
		p.mu.Lock()
		resumed += p.resumed
		p.mu.Unlock()
	}
	if st := s.Sessions.Stats().Acks; counted+st.Resumed != int64(resumed) || resumed == 0 {
		t.Errorf("%d resumptions, the servers have counted %d", resumed, counted+st.Resumed)
	}
}

// takeSteps has all clients take n steps at the same time.
func takeSteps(phones []*phone, n int) {
	var all sync.WaitGroup
	for _, p := range phones {
		all.Go(func() {
			for range n {
				p.step()
			}
		})
	}
	all.Wait()
}

// checkAll waits until all messages have arrived, and checks that each has once and in order.
func checkAll(t *testing.T, phones []*phone, durable bool) {
	for i, p := range phones {
		from := phones[i^1]
		xmpptest.Eventually(t, p.name+" to receive everything", func() bool {
			for _, q := range []*phone{p, from} {
				q.mu.Lock()
				up := q.up
				q.mu.Unlock()
				if !up {
					if err := q.connect(); err != nil {
						t.Fatalf("%s: %v", q.name, err)
					}
				}
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.got) >= from.next
		})
		p.mu.Lock()
		want := make([]int, from.next)
		for i := range want {
			want[i] = i
		}
		if !slices.Equal(p.got, want) {
			t.Errorf("%s received %v, want 0 to %d", p.name, p.got, from.next-1)
		}
		p.mu.Unlock()
		defer func() { // what comes from now on, until the server has stopped, does not matter
			p.mu.Lock()
			defer p.mu.Unlock()
			p.conn = nil
		}()
		p.checkStore(durable)
	}
}
