package session

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"roost/jid"
)

// TestColdSizes: what an idle session with stream management has in addition to one without
// fits in 32 bytes.
func TestColdSizes(t *testing.T) {
	if n := unsafe.Sizeof(coldState{}); n > 32 {
		t.Errorf("coldState has %d bytes, want at most 32", n)
	}
	if n := unsafe.Sizeof(rareState{}); n > 48 {
		t.Errorf("rareState has %d bytes, want at most 48", n)
	}
}

// ackPipe is a connection whose outbox can be reserved.
type ackPipe struct {
	pipe
	reserved bool
	full     bool   // the outbox takes nothing
	begun    func() // called by Queue, before anything else
}

func (p *ackPipe) Reserve() { p.mu.Lock(); p.reserved = true; p.mu.Unlock() }

func (p *ackPipe) Queue(b []byte) error {
	if p.begun != nil {
		p.begun()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reserved {
		return errors.New("reserved")
	}
	return p.write(b)
}

func (p *ackPipe) QueueReserved(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reserved {
		panic("not reserved")
	}
	return p.write(b)
}

func (p *ackPipe) write(b []byte) error {
	if p.full {
		return errors.New("full")
	}
	p.out.Write(b)
	return nil
}

// take returns what was queued since the last call.
func (p *ackPipe) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.out.Reset()
	return p.out.String()
}

// handing is a router that records what is handed on, and when the session leaves.
type handing struct {
	leaving
	mu     sync.Mutex
	events []string
	during func(text string) // called with each stanza
	left   chan struct{}

	unwanted func([]byte) bool
}

func (r *handing) Unwanted(*Session) func([]byte) bool { return r.unwanted }

func (r *handing) Fetch(*Fetch) bool { return false }

func (r *handing) HandOn(_ *Turn, _ *Session, batches iter.Seq[[]Unacked]) {
	for batch := range batches {
		for _, u := range batch {
			if r.during != nil {
				r.during(string(u.Stanza))
			}
			r.mu.Lock()
			r.events = append(r.events, string(u.Stanza))
			r.mu.Unlock()
		}
	}
}

func (r *handing) OnUnavailable(_ *Turn, s *Session) bool {
	r.mu.Lock()
	r.events = append(r.events, "left")
	r.mu.Unlock()
	s.SetPresence(nil, 0)
	close(r.left)
	return true
}

const (
	enabledElement = "<enabled xmlns='urn:xmpp:sm:3'/>"
	requestElement = "<r xmlns='urn:xmpp:sm:3'/>"
)

// newManaged makes a manager and a session with stream management.
func newManaged(t testing.TB, cfg Config) (m *Manager, s *Session, p *ackPipe, r *handing) {
	r = &handing{left: make(chan struct{})}
	if cfg.AckInterval == 0 {
		cfg.AckInterval = -1 // a request after each turn
	}
	cfg.Domains, cfg.Router, cfg.Workers, cfg.Writers, cfg.KeyWorkers = []string{"localhost"}, r, 1, 1, 1
	m = NewManager(cfg)
	t.Cleanup(m.Close)
	m.AddFeatures(StreamManagement)
	p = &ackPipe{pipe: pipe{posted: make(chan func(int), 100)}}
	s, _ = m.Adopt(p, jid.MustParse("romeo@localhost/r"))
	s.Data(0, []byte("<enable xmlns='urn:xmpp:sm:3'/>"))
	m.EndTurn(0)
	if got := p.take(); got != enabledElement {
		t.Fatalf("received %q", got)
	}
	return m, s, p, r
}

func (p *ackPipe) runPosted(m *Manager) {
	for len(p.posted) > 0 {
		(<-p.posted)(0)
		m.EndTurn(0)
	}
}

// TestCountersWrap: both counters are modulo 2^32. An acknowledgement of more than was sent
// ends the stream, and one of less says nothing new.
func TestCountersWrap(t *testing.T) {
	m, s, p, _ := newManaged(t, Config{})
	turn, x := m.turns[0], s.cold.Load()
	x.handled, x.sent = 1<<32-1, 1<<32-2
	s.countHandled()
	s.Data(0, []byte("<r xmlns='urn:xmpp:sm:3'/>"))
	if got := p.take(); got != "<a xmlns='urn:xmpp:sm:3' h='0'/>" {
		t.Errorf("after 2^32 stanzas: %q", got)
	}
	for i := range 4 {
		s.SendBytes(turn, fmt.Appendf(nil, "<message id='%d'/>", i))
	}
	ack := func(h uint32, left int, want bool) {
		t.Helper()
		sent, ok := s.acknowledge(turn, h)
		n := 0
		if q := x.queue(); q != nil {
			n = int(q.len)
		}
		if ok != want || sent != 2 || n != left {
			t.Errorf("h=%d: %v, %d sent, %d left; want %v, 2, %d", h, ok, sent, n, want, left)
		}
	}
	ack(1<<32-2, 4, true)  // nothing new
	ack(1<<32-1, 3, true)  // the first
	ack(1<<32-10, 3, true) // an older one
	ack(3, 3, false)       // too high
	ack(0, 2, true)
	ack(2, 0, true)
	ack(2, 0, true)
	ack(1, 0, true)
	ack(1<<31, 0, false)
	if n := m.unackedBytes.Load(); n != 0 || x.rare != nil {
		t.Errorf("%d bytes are counted, and the rare state is %v, though all is acknowledged", n, x.rare)
	}
}

// TestEnabledOrder: stanzas that other goroutines send while stream management is enabled
// are counted if and only if they follow <enabled/>. Without the reservation of the outbox,
// a goroutine that has seen the session without it could queue its stanza after that.
func TestEnabledOrder(t *testing.T) {
	r := &handing{left: make(chan struct{})}
	m := NewManager(Config{Domains: []string{"localhost"}, Router: r, Workers: 8, Writers: 1, KeyWorkers: 1, MaxResources: 1000})
	defer m.Close()
	m.AddFeatures(StreamManagement)
	for i := range 200 {
		p := &ackPipe{pipe: pipe{posted: make(chan func(int), 100)}}
		s, _ := m.Adopt(p, jid.MustParse(fmt.Sprintf("romeo@localhost/%d", i)))
		var senders sync.WaitGroup
		for range 4 {
			senders.Add(1)
			m.Go(Read, func(turn *Turn) {
				defer senders.Done()
				for range 20 {
					s.SendBytes(turn, []byte("<message/>"))
				}
			})
		}
		s.Data(0, []byte("<enable xmlns='urn:xmpp:sm:3'/>"))
		senders.Wait()
		before, after, found := strings.Cut(p.take(), enabledElement)
		n := strings.Count(after, "<message/>")
		if !found || uint32(n) != s.cold.Load().sent || n+strings.Count(before, "<message/>") != 80 {
			t.Fatalf("%d stanzas were counted, %d followed <enabled/>", s.cold.Load().sent, n)
		}
	}
}

// TestEnabledDuringQueue: a goroutine that has begun to queue a stanza before stream
// management is enabled, and queues it after <enabled/>, counts it.
func TestEnabledDuringQueue(t *testing.T) {
	r := &handing{left: make(chan struct{})}
	m := NewManager(Config{Domains: []string{"localhost"}, Router: r, Workers: 1, Writers: 1, KeyWorkers: 1})
	defer m.Close()
	m.AddFeatures(StreamManagement)
	begun, enabled, sent := make(chan struct{}), make(chan struct{}), make(chan bool)
	wait := sync.OnceFunc(func() {
		close(begun)
		<-enabled
	})
	p := &ackPipe{pipe: pipe{posted: make(chan func(int), 100)}, begun: wait}
	s, _ := m.Adopt(p, jid.MustParse("romeo@localhost/r"))
	m.Go(Read, func(turn *Turn) { sent <- s.SendBytes(turn, []byte("<message/>")) })
	<-begun
	s.Data(0, []byte("<enable xmlns='urn:xmpp:sm:3'/>"))
	close(enabled)
	if !<-sent {
		t.Error("the stanza was refused")
	}
	if got, n := p.take(), s.cold.Load().sent; !strings.HasPrefix(got, enabledElement+"<message/>") || n != 1 {
		t.Errorf("received %q, and %d stanzas were counted", got, n)
	}
}

// TestHandOn: when a session ends, what its client has not acknowledged is handed on in
// order, and then what was sent to it meanwhile; then the session leaves, and takes no more.
func TestHandOn(t *testing.T) {
	m, s, p, r := newManaged(t, Config{})
	send := func(turn *Turn, id string) bool { return s.SendBytes(turn, []byte("<message id='"+id+"'/>")) }
	turn := m.turns[0]
	for _, id := range []string{"1", "2", "3"} {
		send(turn, id)
	}
	m.EndTurn(0)
	s.Data(0, []byte("<a xmlns='urn:xmpp:sm:3' h='1'/>"))
	m.EndTurn(0)
	want := "<message id='1'/><message id='2'/><message id='3'/>" + requestElement + requestElement
	if got := p.take(); got != want {
		t.Errorf("received %q, want %q", got, want)
	}
	if n := m.Stats().Acks.Bytes; n == 0 || n != m.unackedBytes.Load() {
		t.Errorf("%d bytes are counted, want %d", n, m.unackedBytes.Load())
	}
	r.during = func(text string) {
		if strings.Contains(text, "'2'") {
			send(m.reads.newTurn(), "4") // another goroutine
		}
	}
	s.Closed(0, errors.New("lost"))
	<-r.left
	if got, want := strings.Join(r.events, ""), "<message id='2'/><message id='3'/><message id='4'/>left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if send(turn, "5") {
		t.Error("a stanza was accepted after the session had left")
	}
	p.runPosted(m)
	if n := m.unackedBytes.Load(); n != 0 || m.Find("romeo@localhost", "r") != nil {
		t.Errorf("%d bytes are counted; the session is %v", n, m.Find("romeo@localhost", "r"))
	}
	if a := m.Stats().Acks; a != (Acks{Enabled: 1, HandedOn: 3}) {
		t.Errorf("counted %+v", a)
	}
}

// TestHandOnAfterOverflow: the stanza that does not fit in the outbox is handed on, too, in
// its place.
func TestHandOnAfterOverflow(t *testing.T) {
	m, s, p, r := newManaged(t, Config{})
	turn := m.turns[0]
	s.SendBytes(turn, []byte("<message id='1'/>"))
	p.full = true
	if !s.SendBytes(turn, []byte("<message id='2'/>")) || !s.SendBytes(turn, []byte("<message id='3'/>")) {
		t.Error("a stanza was refused while earlier ones were not handed on: they would be out of order")
	}
	if s.SendBytes(turn, []byte("<a xmlns='urn:xmpp:sm:3' h='0'/>")) || s.TrySendBytes(turn, []byte("<message id='x'/>")) {
		t.Error("something that is not kept was accepted")
	}
	p.runPosted(m)
	<-r.left
	if got, want := strings.Join(r.events, ""), "<message id='1'/><message id='2'/><message id='3'/>left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestUnackedLimit: a client that does not acknowledge is disconnected when the stanzas
// exceed the limit for one client, or that for all while it has more than its share.
func TestUnackedLimit(t *testing.T) {
	f := func(desc string, cfg Config, limit int) {
		t.Helper()
		m, s, p, r := newManaged(t, cfg)
		stanza := []byte("<message>" + strings.Repeat("x", 1000) + "</message>")
		n := 0
		for !s.has(flagSlow) {
			if !s.SendBytes(m.turns[0], stanza) {
				t.Fatalf("%s: refused after %d stanzas", desc, n)
			}
			n++
		}
		size := n * (len(stanza) + ackHeader)
		if size < limit || size > limit+3*len(stanza) {
			t.Errorf("%s: the session ended after %d bytes, want about %d", desc, size, limit)
		}
		for s.SendBytes(m.turns[0], stanza) {
			n++
		}
		if most := n * (len(stanza) + ackHeader); most > 2*max(cfg.Unacked, limit)+2*len(stanza) {
			t.Errorf("%s: %d bytes were accepted", desc, most)
		}
		p.runPosted(m)
		<-r.left
		if len(r.events) != n+1 {
			t.Errorf("%s: %d of %d stanzas were handed on", desc, len(r.events)-1, n)
		}
	}
	f("one client", Config{Unacked: 100 << 10}, 100<<10)
	f("all clients", Config{Unacked: 100 << 10, UnackedMemory: 1}, unackedShare)
}

// TestAckTimeout: a client that does not respond to a request in time is disconnected. One
// that responds is not, however often it is asked; nor is one that has nothing to
// acknowledge.
func TestAckTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 40 * time.Second
		m, s, p, r := newManaged(t, Config{AckTimeout: timeout})
		wait := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
			p.runPosted(m)
		}
		wait(10 * timeout)
		for i := range 20 {
			s.SendBytes(m.turns[0], []byte("<message/>"))
			m.EndTurn(0)
			if got := p.take(); got != "<message/>"+requestElement {
				t.Fatalf("received %q", got)
			}
			wait(timeout * 3 / 4)
			s.Data(0, fmt.Appendf(nil, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", i+1))
			m.EndTurn(0)
		}
		wait(10 * timeout)
		if s.has(flagClosing) || len(m.awaited.sessions) != 0 || m.awaited.next != nil {
			t.Fatalf("the session has ended: %v; %d sessions are listed", s.has(flagClosing), len(m.awaited.sessions))
		}
		s.SendBytes(m.turns[0], []byte("<message id='lost'/>"))
		m.EndTurn(0)
		wait(timeout - time.Second)
		if s.has(flagClosing) {
			t.Error("the session has ended too early")
		}
		wait(timeout/4 + time.Second)
		if got := p.take(); !strings.Contains(got, "<connection-timeout ") {
			t.Errorf("received %q", got)
		}
		<-r.left
		if got, want := strings.Join(r.events, ""), "<message id='lost'/>left"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if a := m.Stats().Acks; a.Timeouts != 1 {
			t.Errorf("counted %+v", a)
		}
	})
}

// TestAckInterval: within the interval, a client that has responded is asked again only when
// many stanzas wait, by number or size; at its end it is asked for the rest, once, and after
// it at once. It is not asked for what it has acknowledged without a request.
func TestAckInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s, p, _ := newManaged(t, Config{AckInterval: time.Second})
		sent := 0
		send := func(size int) (asked bool) {
			sent++
			b := "<message>" + strings.Repeat("x", size) + "</message>"
			s.SendBytes(m.turns[0], []byte(b))
			m.EndTurn(0)
			got, ok := strings.CutPrefix(p.take(), b)
			if !ok || got != "" && got != requestElement {
				t.Fatalf("received %q after the stanza", got)
			}
			return got != ""
		}
		acknowledge := func() {
			s.Data(0, fmt.Appendf(nil, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", sent))
			m.EndTurn(0)
			if got := p.take(); got != "" {
				t.Fatalf("received %q after all was acknowledged", got)
			}
		}
		wait := func() string {
			<-time.After(time.Second)
			synctest.Wait()
			p.runPosted(m)
			return p.take()
		}
		for range 3 {
			if !send(1) {
				t.Fatal("the client is not asked for the first stanza")
			}
			acknowledge()
			for i := range ackBatch {
				if asked, want := send(1), i == ackBatch-1; asked != want {
					t.Fatalf("stanza %d: asked: %v", i, asked)
				}
			}
			acknowledge()
			if send(ackBatchBytes/2) || !send(ackBatchBytes/2) {
				t.Fatal("the client is asked for the wrong number of bytes")
			}
			acknowledge()
			for range 2 {
				if send(1) {
					t.Fatal("the client is asked too early")
				}
			}
			if got := wait(); got != requestElement {
				t.Fatalf("received %q at the end of the interval", got)
			}
			if got := wait(); got != "" {
				t.Fatalf("received %q while a request is outstanding", got)
			}
			acknowledge()
			if !send(1) {
				t.Fatal("the client is not asked after the interval")
			}
			acknowledge()
			send(1)
			acknowledge()
			if got := wait(); got != "" {
				t.Fatalf("received %q though all was acknowledged", got)
			}
			if len(m.paced.sessions) != 0 || m.paced.next != nil {
				t.Fatal("the session is still listed")
			}
		}
	})
}

// TestAckAllocs: a message and its acknowledgement allocate nothing.
func TestAckAllocs(t *testing.T) {
	m, s, p, _ := newManaged(t, Config{AckTimeout: -1})
	stanza := []byte("<message><body>" + strings.Repeat("x", 200) + "</body></message>")
	ack := []byte("<a xmlns='urn:xmpp:sm:3' h='0'/>")
	digit := bytes.IndexByte(ack, '0')
	s.cold.Load().sent = 1<<32 - 1 // so that the number has one digit
	next := func() {
		s.cold.Load().sent = 1<<32 - 1
		s.SendBytes(m.turns[0], stanza)
		m.EndTurn(0)
		ack[digit] = '0'
		s.Data(0, ack)
		m.EndTurn(0)
		p.out.Reset()
	}
	next()
	if n := testing.AllocsPerRun(200, next); n != 0 && !raceDetector {
		t.Errorf("%v allocations", n)
	}
	if s.cold.Load().rare != nil {
		t.Error("the session keeps memory though all is acknowledged")
	}
}
