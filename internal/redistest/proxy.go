package redistest

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy passes connections on to a server, as a network that a test can cut.
type Proxy struct {
	Addr string // host and port

	target string
	l      net.Listener
	tasks  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	cut   bool
	delay time.Duration
	open  chan struct{} // closed unless nothing passes
}

// StartProxy starts a proxy for a server: host and port, or the path of a Unix socket. It
// ends after the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, l: l, conns: make(map[net.Conn]bool), open: make(chan struct{})}
	close(p.open)
	p.tasks.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Cut()
		p.tasks.Wait()
	})
	return p
}

// URL is the address as a URL.
func (p *Proxy) URL() string { return "redis://" + p.Addr }

// Cut ends all connections, and refuses new ones until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.thaw()
	for c := range p.conns {
		c.Close()
	}
}

// Freeze lets nothing pass until Mend or Cut, as a network that loses all packets.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		p.open = make(chan struct{})
	default:
	}
}

// Mend ends Cut and Freeze.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	p.thaw()
}

// Drop ends all connections once.
func (p *Proxy) Drop() {
	p.Cut()
	p.Mend()
}

// Delay makes each piece of data wait.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *Proxy) thaw() {
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.tasks.Go(func() { p.serve(c) })
	}
}

// serve passes on one connection. Each direction ends both.
func (p *Proxy) serve(client net.Conn) {
	network := "tcp"
	if strings.HasPrefix(p.target, "/") {
		network = "unix"
	}
	server, err := net.Dial(network, p.target)
	if err != nil {
		client.Close()
		return
	}
	if !p.add(client, server) {
		return
	}
	defer p.remove(client, server)
	p.tasks.Go(func() { p.pass(client, server) })
	p.pass(server, client)
}

func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.cut {
			c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.cut
}

func (p *Proxy) remove(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
}

func (p *Proxy) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		open, delay := p.open, p.delay
		p.mu.Unlock()
		if delay > 0 {
			<-time.After(delay)
		}
		<-open
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
