package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdg-go/scram"

	"roost/parser"
	"roost/poller"
)

// TLSMode is how a fleet secures its connections.
type TLSMode string

// The modes.
const (
	NoTLS    TLSMode = "none"
	STARTTLS TLSMode = "starttls"
)

// Config says what a fleet is. Zero values take the default given.
type Config struct {
	Target    string // host:port of the server; default localhost:5222
	Domain    string // XMPP domain; default localhost
	User      string // localpart with one %d; default "user%d"
	Password  string // default "secret"
	First     int    // number of the first account
	Count     int    // clients
	Mechanism Mechanism
	TLS       TLSMode
	InFlight  int    // logins under way at once; default 100
	Loops     int    // default 1
	Presence  string // initial presence; default "<presence/>"
	Received  func(c *Client, el parser.Element)
}

func (c *Config) setDefaults() {
	str := func(v *string, def string) {
		if *v == "" {
			*v = def
		}
	}
	str(&c.Target, "localhost:5222")
	str(&c.Domain, "localhost")
	str(&c.User, "user%d")
	str(&c.Password, "secret")
	str(&c.Presence, "<presence/>")
	str((*string)(&c.Mechanism), string(ScramSHA1))
	str((*string)(&c.TLS), string(NoTLS))
	if c.InFlight <= 0 {
		c.InFlight = 100
	}
	if c.Loops <= 0 {
		c.Loops = 1
	}
}

func (c *Config) presence() string { return c.Presence }

// clientTLS trusts whatever the server shows: a load generator measures, it
// does not protect.
func (c *Config) clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: c.Domain}
}

// Fleet is many clients.
type Fleet struct {
	cfg     Config
	poller  *poller.Poller
	scratch []*parser.Scratch
	ids     atomic.Uint64
	slots   chan struct{} // logins under way

	mu      sync.Mutex
	clients []*Client
	online  int
	lost    int
	errs    []error
	left    sync.WaitGroup
}

// NewFleet returns a fleet without clients.
func NewFleet(cfg Config) (*Fleet, error) {
	cfg.setDefaults()
	f := &Fleet{cfg: cfg, slots: make(chan struct{}, cfg.InFlight)}
	for range cfg.Loops {
		f.scratch = append(f.scratch, parser.NewScratch(parser.Limits{}))
	}
	var err error
	f.poller, err = poller.New(poller.Config{Loops: cfg.Loops})
	return f, err
}

// Login logs in all clients and returns when each is available or has failed.
func (f *Fleet) Login(ctx context.Context) error {
	var pending sync.WaitGroup
	for i := range f.cfg.Count {
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		pending.Add(1)
		c := &Client{fleet: f, account: Account{
			User:     fmt.Sprintf(f.cfg.User, f.cfg.First+i),
			Domain:   f.cfg.Domain,
			Password: f.cfg.Password,
			Resource: "bench",
		}}
		go func() {
			defer pending.Done()
			if err := f.dial(ctx, c); err != nil {
				<-f.slots
				f.note(err)
			}
		}()
	}
	pending.Wait()
	for range cap(f.slots) {
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for range cap(f.slots) {
		<-f.slots
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

// dial connects one client. Source addresses are spread over 127.0.0.0/8 on
// loopback, because one address has fewer than 65,536 ports.
func (f *Fleet) dial(ctx context.Context, c *Client) error {
	d := net.Dialer{Timeout: 10 * time.Second}
	if host, _, _ := net.SplitHostPort(f.cfg.Target); strings.HasPrefix(host, "127.") {
		n := f.ids.Add(1) / 20000
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(n>>8), byte(1+n%250))}
	}
	conn, err := d.DialContext(ctx, "tcp", f.cfg.Target)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	pc, err := f.poller.Attach(conn, c)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	f.mu.Lock()
	f.clients = append(f.clients, c)
	f.mu.Unlock()
	f.left.Add(1)
	pc.Post(func(int) {
		c.conn = pc
		c.start()
	})
	return nil
}

func (f *Fleet) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) < 10 {
		f.errs = append(f.errs, err)
	}
}

func (f *Fleet) ready(c *Client) {
	<-f.slots
	f.mu.Lock()
	f.online++
	f.mu.Unlock()
}

func (f *Fleet) failed(c *Client, wasReady bool) {
	if !wasReady {
		<-f.slots
		f.note(c.err)
		return
	}
	f.mu.Lock()
	f.online--
	f.lost++
	f.mu.Unlock()
}

func (f *Fleet) closed(*Client) { f.left.Done() }

func (f *Fleet) received(c *Client, el parser.Element) {
	if f.cfg.Received != nil {
		f.cfg.Received(c, el)
	}
}

func (f *Fleet) nextID() uint64 { return f.ids.Add(1) }

// Online is how many clients are available now, and how many were lost since.
func (f *Fleet) Online() (online, lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.online, f.lost
}

// Clients are all clients that connected.
func (f *Fleet) Clients() []*Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*Client(nil), f.clients...)
}

// Drop closes the connections of the first n clients without a word, as when a
// network goes away.
func (f *Fleet) Drop(n int) {
	for _, c := range f.Clients()[:n] {
		c.conn.Close(0)
	}
}

// Close drops all clients and stops.
func (f *Fleet) Close() error {
	f.Drop(len(f.Clients()))
	f.left.Wait()
	return f.poller.Close()
}

// conversation begins SCRAM. Clients of one account share the derived keys,
// and so do accounts with the same salt: deriving keys would cost this side
// more than everything else.
func (f *Fleet) conversation(a Account) (*scram.ClientConversation, error) {
	hash := scram.SHA1
	if f.cfg.Mechanism == ScramSHA2 {
		hash = scram.SHA256
	}
	client, err := hash.NewClient(a.User, a.Password, "")
	if err != nil {
		return nil, err
	}
	return client.NewConversation(), nil
}

// CPUs is the number of CPUs that the process may use.
func CPUs() int { return runtime.GOMAXPROCS(0) }
