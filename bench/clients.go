package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdg-go/scram"

	"roost/parser"
	"roost/poller"
)

// TLSMode is how clients secure their connections.
type TLSMode string

// The modes.
const (
	NoTLS     TLSMode = "none"
	STARTTLS  TLSMode = "starttls"
	DirectTLS TLSMode = "direct"
)

// Config configures Clients. A zero field means the stated default.
type Config struct {
	Target    string   // host:port of the server; default localhost:5222
	Targets   []string // of several servers of the domain, instead of Target: clients connect to them in turn
	Domain    string   // XMPP domain; default localhost
	User      string   // localpart with one %d; default "user%d"
	Password  string   // default "secret"
	First     int      // number of the first account
	Accounts  int      // number of accounts, each used by one client at a time; 0: one for each client
	Mechanism Mechanism
	TLS       TLSMode
	Resume    bool   // resume TLS sessions
	Hybrid    bool   // also offer the key exchange X25519MLKEM768, which only some servers support; default: X25519 and P-256
	InFlight  int    // concurrent logins; default 100
	Loops     int    // default 1
	Presence  string // initial presence; default "<presence/>"
	From      bool   // messages have a 'from', so that a server delivers exactly the bytes that it receives
	WebSocket bool   // connect over WebSocket (RFC 7395); TLS cannot be STARTTLS
	SASL2     bool   // log in with SASL2 and Bind 2 (XEP-0388, XEP-0386)
	FAST      bool   // log in with tokens (FAST, XEP-0484) after the first login of an account; implies SASL2
	SM        bool   // enable stream management (XEP-0198), with resumption, and acknowledge everything
	Carbons   bool   // enable carbons (XEP-0280)
	CSI       bool   // be inactive after the login (XEP-0352)
	Raw       bool   // do not log in: the peer is another client, not a server

	WebSocketPath string // default "/xmpp-websocket"

	// Sync is called where the processes that share a scenario must synchronize. It
	// returns once all of them have called it. nil: there is only one process.
	Sync func(ctx context.Context) error
}

func (c *Config) setDefaults() {
	str := func(v *string, def string) {
		if *v == "" {
			*v = def
		}
	}
	str(&c.Target, "localhost:5222")
	if len(c.Targets) == 0 {
		c.Targets = []string{c.Target}
	}
	str(&c.Domain, "localhost")
	str(&c.User, "user%d")
	str(&c.Password, "secret")
	str(&c.Presence, "<presence/>")
	str(&c.WebSocketPath, "/xmpp-websocket")
	str((*string)(&c.Mechanism), string(ScramSHA1))
	str((*string)(&c.TLS), string(NoTLS))
	c.SASL2 = c.SASL2 || c.FAST
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

// Clients are many clients of one server.
type Clients struct {
	cfg      Config
	tls      *tls.Config
	poller   *poller.Poller
	scratch  []*parser.Scratch
	ids      atomic.Uint64
	slots    chan struct{} // a slot for each login in progress
	free     chan int      // unused accounts, if accounts are reused
	open     sync.WaitGroup
	logged   atomic.Int64             // completed logins
	pace     *time.Ticker             // one login per tick; nil: as fast as possible
	onReady  func(took time.Duration) // called for each client that becomes available
	keys     sync.Map                 // *scram.Client by user, if accounts are reused
	tokens   sync.Map                 // *fastToken by the number of the account
	leave    bool                     // clients leave as soon as they are available
	onStanza atomic.Pointer[func(loop int, c *Client, el parser.Element)]

	mu      sync.Mutex
	clients []*Client
	status  Status
	done    func() int64 // the value of Status.Done; nil: none
	logins  sync.WaitGroup
	closing bool    // no connection is added
	errs    []error // the first maxErrs errors
}

// maxErrs limits the errors that are kept.
const maxErrs = 5

// NewClients returns Clients without any client; Login adds them.
func NewClients(cfg Config) (*Clients, error) {
	cfg.setDefaults()
	cs := &Clients{cfg: cfg, slots: make(chan struct{}, cfg.InFlight)}
	if cfg.Accounts > 0 {
		cs.free = make(chan int, cfg.Accounts)
		for i := range cfg.Accounts {
			cs.free <- i
		}
	}
	// A load generator only measures: it accepts any certificate.
	cs.tls = &tls.Config{InsecureSkipVerify: true, ServerName: cfg.Domain}
	if !cfg.Hybrid {
		cs.tls.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	}
	if cfg.WebSocket {
		cs.tls.NextProtos = []string{"http/1.1"}
	}
	if cfg.Resume {
		cs.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	for range cfg.Loops {
		cs.scratch = append(cs.scratch, parser.NewScratch(parser.Limits{}))
	}
	var err error
	cs.poller, err = poller.New(poller.Config{
		Loops: cfg.Loops,
		// A load generator needs neither limits nor delays.
		UnauthMemory: -1, MaxPerAddress: -1, IdleTimeout: -1, UserTimeout: -1, KeepaliveBatch: -1,
	})
	return cs, err
}

// Login logs in the next n clients and returns when each is available or has failed. The
// error joins the first failures.
func (cs *Clients) Login(ctx context.Context, n int) error {
	cs.enter(phaseLogin, cs.logged.Load)
	first := len(cs.All())
	for i := range n {
		number, err := cs.number(ctx, first+i)
		if err != nil {
			return err
		}
		select {
		case cs.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if cs.pace != nil {
			select {
			case <-cs.pace.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c := &Client{clients: cs, number: number, account: Account{
			User:     fmt.Sprintf(cs.cfg.User, cs.cfg.First+number),
			Domain:   cs.cfg.Domain,
			Password: cs.cfg.Password,
			Resource: "bench",
		}}
		cs.mu.Lock()
		cs.clients = append(cs.clients, c)
		cs.mu.Unlock()
		cs.logins.Add(1)
		go func() {
			if err := cs.dial(ctx, c); err != nil {
				cs.loginDone(err)
				cs.releaseAccount(c)
			}
		}()
	}
	cs.logins.Wait()
	cs.mu.Lock()
	defer cs.mu.Unlock()
	err := errors.Join(cs.errs...)
	cs.errs = nil
	return err
}

// number returns the account number of the i-th client. If accounts are reused, it waits
// for one whose last client has left, because a second login of an account would end its
// first.
func (cs *Clients) number(ctx context.Context, i int) (int, error) {
	if cs.free == nil {
		return i, nil
	}
	select {
	case n := <-cs.free:
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// releaseAccount makes the client's account available again.
func (cs *Clients) releaseAccount(c *Client) {
	if cs.free != nil {
		cs.free <- c.number
	}
}

// replace makes c one of the clients in place of another.
func (cs *Clients) replace(i int, c *Client) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.clients[i] = c
}

// resumed counts a client that is back.
func (cs *Clients) resumed() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.status.Online++
}

// loginDone is called once for each login.
func (cs *Clients) loginDone(err error) {
	cs.mu.Lock()
	if err == nil {
		cs.logged.Add(1)
		cs.status.Online++
	} else {
		cs.status.Failed++
		cs.note(err)
	}
	cs.mu.Unlock()
	<-cs.slots
	cs.logins.Done()
}

// clientLost is called once for each available client that was disconnected.
func (cs *Clients) clientLost(err error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.status.Online--
	cs.status.Lost++
	cs.note(err)
}

func (cs *Clients) note(err error) {
	if len(cs.errs) < maxErrs {
		cs.errs = append(cs.errs, err)
	}
}

// disconnected returns how many available clients were disconnected, and the first errors since
// the last Login.
func (cs *Clients) disconnected() (lost int, errs []string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, err := range cs.errs {
		errs = append(errs, err.Error())
	}
	return cs.status.Lost, errs
}

// setOnStanza sets the function that is called, on a client's loop, for every stanza that
// an available client receives; nil: none.
func (cs *Clients) setOnStanza(f func(loop int, c *Client, el parser.Element)) {
	if f == nil {
		cs.onStanza.Store(nil)
		return
	}
	cs.onStanza.Store(&f)
}

func (cs *Clients) received(loop int, c *Client, el parser.Element) {
	if f := cs.onStanza.Load(); f != nil {
		(*f)(loop, c, el)
	}
}

// clientLeft counts a client that has left by itself.
func (cs *Clients) clientLeft() {
	cs.mu.Lock()
	cs.status.Online--
	cs.mu.Unlock()
}

func (cs *Clients) nextID() uint64 { return cs.ids.Add(1) }

// All returns all clients, in the order of their logins.
func (cs *Clients) All() []*Client {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Clone(cs.clients)
}

// Drop closes the connections of the first n clients without closing their streams, as
// when a network fails.
func (cs *Clients) Drop(n int) {
	for _, c := range cs.All()[:n] {
		c.drop()
	}
}

// Close drops all clients and stops.
func (cs *Clients) Close() error {
	cs.mu.Lock()
	cs.closing = true
	cs.mu.Unlock()
	cs.Drop(len(cs.All()))
	cs.open.Wait()
	return cs.poller.Close()
}

// scramConversation starts SCRAM. Accounts that log in repeatedly keep the keys derived
// from their password by thousands of hashes, as real clients do; otherwise the load
// generator's CPU would limit the rate.
func (cs *Clients) scramConversation(a Account) (*scram.ClientConversation, error) {
	if cs.cfg.Accounts > 0 {
		if client, ok := cs.keys.Load(a.User); ok {
			return client.(*scram.Client).NewConversation(), nil
		}
	}
	hash := scram.SHA1
	if cs.cfg.Mechanism == ScramSHA2 {
		hash = scram.SHA256
	}
	client, err := hash.NewClient(a.User, a.Password, "")
	if err != nil {
		return nil, err
	}
	if cs.cfg.Accounts > 0 {
		cs.keys.Store(a.User, client)
	}
	return client.NewConversation(), nil
}
