package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/xdg-go/scram"

	"roost/parser"
	"roost/poller"
)

// TLSMode is how clients secures its connections.
type TLSMode string

// The modes.
const (
	NoTLS     TLSMode = "none"
	STARTTLS  TLSMode = "starttls"
	DirectTLS TLSMode = "direct"
)

// Config says what clients is. Zero values take the default given.
type Config struct {
	Target    string // host:port of the server; default localhost:5222
	Domain    string // XMPP domain; default localhost
	User      string // localpart with one %d; default "user%d"
	Password  string // default "secret"
	First     int    // number of the first account
	Accounts  int    // how many accounts there are, each for one client at a time; 0: one for each client
	Mechanism Mechanism
	TLS       TLSMode
	Resume    bool   // TLS sessions are resumed
	Hybrid    bool   // offer the key exchange X25519MLKEM768 too, which only some servers have; default: X25519 and P-256
	InFlight  int    // logins under way at once; default 100
	Loops     int    // default 1
	Presence  string // initial presence; default "<presence/>"
	From      bool   // messages name their sender, so that a server delivers what it got
	Raw       bool   // there is no login: what answers is no server but another client

	// Sync is called where clients in several processes, which share a scenario,
	// must be in step; it returns when all have called it. nil: there is one.
	Sync func(ctx context.Context) error
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
	if c.Accounts > 0 {
		c.InFlight = min(c.InFlight, c.Accounts)
	}
	if c.Loops <= 0 {
		c.Loops = 1
	}
}

func (c *Config) presence() string { return c.Presence }

// Clients is many clients of one server.
type Clients struct {
	cfg     Config
	tls     *tls.Config
	poller  *poller.Poller
	scratch []*parser.Scratch
	ids     atomic.Uint64
	slots   chan struct{} // logins under way
	free    chan int      // accounts without a client, where they are used again
	left    sync.WaitGroup
	logged  atomic.Int64             // logins that were done
	pace    *time.Ticker             // one login each; nil: as fast as it goes
	onReady func(took time.Duration) // called for each client that became available
	keys    sync.Map                 // *scram.Client by user, where accounts are used again
	leave   bool                     // clients go as soon as they are available
	heard   atomic.Pointer[func(loop int, c *Client, el parser.Element)]

	mu      sync.Mutex
	clients []*Client
	status  Status
	done    func() int64 // what Status.Done counts; nil: nothing
	logins  sync.WaitGroup
	errs    []error // the first maxErrs of them
}

// maxErrs is how many errors are kept.
const maxErrs = 5

// NewClients returns clients whose clients are yet to log in.
func NewClients(cfg Config) (*Clients, error) {
	cfg.setDefaults()
	f := &Clients{cfg: cfg, slots: make(chan struct{}, cfg.InFlight)}
	if cfg.Accounts > 0 {
		f.free = make(chan int, cfg.Accounts)
		for i := range cfg.Accounts {
			f.free <- i
		}
	}
	// A load generator measures, it does not protect: any certificate will do.
	f.tls = &tls.Config{InsecureSkipVerify: true, ServerName: cfg.Domain}
	if !cfg.Hybrid {
		f.tls.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	}
	if cfg.Resume {
		f.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	for range cfg.Loops {
		f.scratch = append(f.scratch, parser.NewScratch(parser.Limits{}))
	}
	var err error
	f.poller, err = poller.New(poller.Config{
		Loops: cfg.Loops,
		// A load generator is no server: nothing is limited, and nothing is delayed.
		UnauthMemory: -1, MaxPerAddress: -1, IdleTimeout: -1, UserTimeout: -1, KeepaliveBatch: -1,
	})
	return f, err
}

// Login logs in the next n clients and returns when each is available or has
// failed; the error joins the first failures.
func (f *Clients) Login(ctx context.Context, n int) error {
	f.enter(phaseLogin, f.logged.Load)
	first := len(f.All())
	for i := range n {
		number, err := f.number(ctx, first+i)
		if err != nil {
			return err
		}
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if f.pace != nil {
			select {
			case <-f.pace.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c := &Client{clients: f, number: number, account: Account{
			User:     fmt.Sprintf(f.cfg.User, f.cfg.First+number),
			Domain:   f.cfg.Domain,
			Password: f.cfg.Password,
			Resource: "bench",
		}}
		f.mu.Lock()
		f.clients = append(f.clients, c)
		f.mu.Unlock()
		f.logins.Add(1)
		go func() {
			if err := f.dial(ctx, c); err != nil {
				f.loginDone(err)
				f.giveBack(c)
			}
		}()
	}
	f.logins.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	err := errors.Join(f.errs...)
	f.errs = nil
	return err
}

// number is the account of the i-th client: where accounts are used again, one
// whose last client is gone. An account's second login would end its first.
func (f *Clients) number(ctx context.Context, i int) (int, error) {
	if f.free == nil {
		return i, nil
	}
	select {
	case n := <-f.free:
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// giveBack tells that the client is gone.
func (f *Clients) giveBack(c *Client) {
	if f.free != nil {
		f.free <- c.number
	}
}

// lateBind has the system choose a port when the connection's other end is known,
// so that a port is taken only once for each server.
func lateBind(_, _ string, raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
	}); e != nil {
		return e
	}
	return err
}

// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT of ip(7), which package syscall
// does not have.
const ipBindAddressNoPort = 24

// dial connects one client. On loopback, source addresses are spread over
// 127.0.0.0/8, because one address has fewer than 65,536 ports.
func (f *Clients) dial(ctx context.Context, c *Client) error {
	d := net.Dialer{Timeout: 10 * time.Second}
	if host, _, _ := net.SplitHostPort(f.cfg.Target); strings.HasPrefix(host, "127.") {
		// Other load generators have addresses of their own, by process.
		n := uint64(os.Getpid())<<3 + f.ids.Add(1)/20000
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, byte(1+n>>16%200), byte(n>>8), byte(1+n%250))}
		d.Control = lateBind
	}
	conn, err := d.DialContext(ctx, "tcp", f.cfg.Target)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	f.left.Add(1)
	pc, err := f.poller.Attach(conn, c)
	if err != nil {
		f.left.Done()
		return fmt.Errorf("bench: %w", err)
	}
	c.conn.Store(pc)
	pc.Post(func(int) { c.start() })
	return nil
}

// loginDone is called once for each login.
func (f *Clients) loginDone(err error) {
	f.mu.Lock()
	if err == nil {
		f.logged.Add(1)
		f.status.Online++
	} else {
		f.status.Failed++
		f.note(err)
	}
	f.mu.Unlock()
	<-f.slots
	f.logins.Done()
}

// lose is called once for each client that was available and was disconnected.
func (f *Clients) lose(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Online--
	f.status.Lost++
	f.note(err)
}

func (f *Clients) note(err error) {
	if len(f.errs) < maxErrs {
		f.errs = append(f.errs, err)
	}
}

// listen has heard called, on its loop, for every stanza that an available client
// gets; nil: no more.
func (f *Clients) listen(heard func(loop int, c *Client, el parser.Element)) {
	if heard == nil {
		f.heard.Store(nil)
		return
	}
	f.heard.Store(&heard)
}

func (f *Clients) received(loop int, c *Client, el parser.Element) {
	if heard := f.heard.Load(); heard != nil {
		(*heard)(loop, c, el)
	}
}

// gone counts a client that goes by itself.
func (f *Clients) gone() {
	f.mu.Lock()
	f.status.Online--
	f.mu.Unlock()
}

func (f *Clients) nextID() uint64 { return f.ids.Add(1) }

// Clients are all clients, in the order of their accounts.
func (f *Clients) All() []*Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clients[:len(f.clients):len(f.clients)]
}

// Drop closes the connections of the first n clients without a word, as when a
// network goes away.
func (f *Clients) Drop(n int) {
	for _, c := range f.All()[:n] {
		c.drop()
	}
}

// Close drops all clients and stops.
func (f *Clients) Close() error {
	f.Drop(len(f.All()))
	f.left.Wait()
	return f.poller.Close()
}

// conversation begins SCRAM. Accounts that log in again and again keep their
// client, and with it the keys that thousands of hashes make of a password: as
// real clients do, and else the load generator's CPU would set the pace.
func (f *Clients) conversation(a Account) (*scram.ClientConversation, error) {
	if f.cfg.Accounts > 0 {
		if client, ok := f.keys.Load(a.User); ok {
			return client.(*scram.Client).NewConversation(), nil
		}
	}
	hash := scram.SHA1
	if f.cfg.Mechanism == ScramSHA2 {
		hash = scram.SHA256
	}
	client, err := hash.NewClient(a.User, a.Password, "")
	if err != nil {
		return nil, err
	}
	if f.cfg.Accounts > 0 {
		f.keys.Store(a.User, client)
	}
	return client.NewConversation(), nil
}
