package session

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"roost/internal/panics"
	"roost/internal/peernet"
	"roost/jid"
	"roost/parser"
	"roost/stanza"
	"roost/store"
)

// ConflictPolicy says what happens when a client binds a resource that another
// session of its account has (RFC 6120 section 7.7.2.2).
type ConflictPolicy uint8

// The policies for a resource conflict.
const (
	KickOld   ConflictPolicy = iota // the older stream is closed with <conflict/>; the default
	RefuseNew                       // the new client gets the stanza error <conflict/>
	RenameNew                       // the new client gets another resource
)

// Router routes the stanzas of sessions; package router implements it. All methods
// are called by the goroutine that handles the session's input.
type Router interface {
	// Stanza routes one stanza of a bound session. Where that has to wait for
	// the store it returns what for, and how far it has come: it is called
	// again with that stage on a worker of that kind. A stanza that has just
	// come begins at stage 0. A turn that may write is asked for nothing more but Derive.
	Stanza(t *Turn, s *Session, st *stanza.Stanza, stage int) (next int, need Work)

	// Unbound handles an iq of a client that has bound no resource: in-band
	// registration above all. False: there is no such request. Where it has to
	// wait for the store it returns what for and is called again on a worker.
	PreBindIQ(t *Turn, s *Session, st *stanza.Stanza) (known bool, need Work)

	// CaughtUp reports whether CatchUp has nothing to do.
	CaughtUp(event int64) bool

	// CatchUp is called before a session is put in the tables, on a worker for
	// writes unless CaughtUp was true. When it returns, everybody concerned has
	// been told of what happened to accounts up to an event: nothing that is in
	// memory of a former account of the same name is used for this one.
	CatchUp(t *Turn, event int64) error

	// UnboundSpace reports whether a client that is not authenticated may send
	// iqs with a payload of this namespace.
	PreAuthIQ(payload parser.Element) bool

	// Bound is called on a worker after the session was put in the tables and
	// before the client is told. False: there is no such account any more.
	OnBind(t *Turn, s *Session) bool

	// Left is called for a session that is no longer in the tables. It tells
	// everybody concerned and ends with SetPresence(nil, 0). With a turn that
	// must not block it may answer false and is called again on a worker.
	OnUnavailable(t *Turn, s *Session) bool
}

// Accounts is what the session asks of the store to authenticate a client.
type Accounts interface {
	// Account returns the account with this bare JID, or store.ErrNotFound.
	Account(ctx context.Context, bare jid.JID) (store.Account, error)

	// Iterations returns how many accounts, or how many of a sample, have each
	// number of iterations.
	Iterations(ctx context.Context) (map[int]int, error)
}

// TLSFunc returns the configuration of STARTTLS on a stream to one of the domains,
// always the same.
type TLSFunc func(domain string) *tls.Config

// Config is what a Manager needs. A zero value takes the default given, where one is
// given. A limit or time whose comment says "below 0" is turned off by a negative value.
type Config struct {
	Domains        []string       // domainparts that are served, normalized; at least one
	Accounts       Accounts       // required
	Router         Router         // required
	Secret         []byte         // for salts of accounts that do not exist; the same after a restart
	Limits         parser.Limits  // of the parser
	Loops          int            // loops that call sessions; default 1
	Workers        int            // goroutines that read from the store; default 32
	Writers        int            // goroutines that wait for the store to write, at most; default 1,024
	WriteMemory    int            // bytes of stanzas that wait for the store to write, or for keys; default 64 MiB
	KeyWorkers     int            // goroutines that derive keys; default half the CPUs, at least 1
	TLS            TLSFunc        // of STARTTLS; nil: not offered
	AllowPlaintext bool           // logins without TLS are allowed
	MaxFailures    int            // failed logins of one account from one network before more are refused, one is forgiven a minute; default 10; below 0: nothing is limited or delayed
	FailureDelay   time.Duration  // of the response to the first failed login, doubles with each; default 500 ms; below 0: none
	FanoutRate     int            // deliveries to others that the clients of one account may cause in a second, five seconds' worth of them at once; default 20,000; below 0: any number
	MaxResources   int            // sessions per account; default 10
	Conflict       ConflictPolicy // default KickOld
	DetachSlow     bool           // give a slow client time to take what is queued, instead of closing at once
	LoginTimeout   time.Duration  // from accept to binding; default 60 s
	Linger         time.Duration  // wait for the peer's close; default 5 s
	Shards         int            // of the session table; default 256
	Logger         *slog.Logger   // nil discards

	// Sent is called with each unit that is sent (see Session.SendBytes), before it is
	// queued, from any goroutine; for tests. It must not keep b. nil: nothing is called.
	Sent func(b []byte)
}

// WithDefaults returns c with the default in each field that is zero, or negative
// where that does not turn anything off.
func (c Config) WithDefaults() Config {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	setLimit := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	setTime := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&c.Loops, 1)
	set(&c.Workers, 32)
	set(&c.Writers, defaultWriters)
	set(&c.KeyWorkers, max(1, runtime.GOMAXPROCS(0)/2))
	set(&c.WriteMemory, 64<<20)
	setLimit(&c.FanoutRate, 20000)
	setLimit(&c.MaxFailures, 10)
	set(&c.MaxResources, 10)
	set(&c.Shards, 256)
	if c.FailureDelay == 0 {
		c.FailureDelay = 500 * time.Millisecond
	}
	setTime(&c.LoginTimeout, time.Minute)
	setTime(&c.Linger, 5*time.Second)
	c.Limits = c.Limits.WithDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c
}

// Manager makes sessions, binds them, finds them and lets them go.
type Manager struct {
	cfg            Config
	domains        map[string]bool
	table          *table
	presences      presences
	unbound        *xsync.MapOf[*Session, struct{}] // connected, not yet in the table
	deferred       *xsync.MapOf[*Session, []func(*Turn)]
	turns          []*Turn      // by loop
	reads          *workers     // for what asks the store, and never waits for a commit
	writes         *workers     // for what waits for commits
	keys           *workers     // for key derivation; they may read from the store
	offloadedBytes atomic.Int64 // bytes of stanzas that wait for commits
	keyQueue       *keyQueue    // gives keys to all networks in turn
	throttle       throttle
	fanout         fanout
	loginLog       loginLog
	panics         panics.Counter
	stopping       atomic.Bool
	mechs          []mechanism
	features       []Feature // in the order in which they are offered
	bound          atomic.Int64
	logins         atomic.Int64 // sessions bound since the start
	ended          endings
	postponedCount atomic.Int64 // functions that turns have left to later ones
	decoys         decoys
}

// NewManager returns a manager; Close stops its workers.
func NewManager(cfg Config) *Manager {
	cfg = cfg.WithDefaults()
	m := &Manager{
		cfg:       cfg,
		domains:   make(map[string]bool),
		table:     newTable(cfg.Shards),
		presences: newPresences(),
		unbound:   xsync.NewMapOf[*Session, struct{}](),
		deferred:  xsync.NewMapOf[*Session, []func(*Turn)](),
	}
	for _, d := range cfg.Domains {
		m.domains[d] = true
	}
	m.mechs = m.newMechanisms()
	m.features = newFeatures()
	for loop := range cfg.Loops {
		m.turns = append(m.turns, newTurn(m, loop))
	}
	m.reads = newWorkers(m, Read, cfg.Workers, cfg.Workers)
	m.writes = newWorkers(m, Write, min(keepWriters, cfg.Writers), cfg.Writers)
	m.keys = newWorkers(m, Derive, cfg.KeyWorkers, cfg.KeyWorkers)
	m.keyQueue = newKeyQueue(m.keys, cfg.KeyWorkers)
	m.throttle.prepare(&cfg)
	m.fanout.prepare(cfg.FanoutRate)
	m.decoys.m = m
	m.loginLog = newLoginLog(cfg.Logger)
	return m
}

// New makes a session for a connection that was accepted.
func (m *Manager) New(c Conn) *Session {
	s := &Session{mgr: m, conn: c}
	s.cold.Store(&coldState{negotiation: &negotiation{network: peernet.Of(c.RemoteAddr().Addr())}})
	s.parser.Restrict() // until the client is authenticated
	m.unbound.Store(s, struct{}{})
	s.set(flagLogin)
	c.SetDeadline(m.cfg.LoginTimeout)
	return s
}

// Serves reports whether domain is one of this server's.
func (m *Manager) Serves(domain string) bool { return m.domains[domain] }

// First is the head of an account's list of sessions, nil when it has none.
func (m *Manager) First(bare string) *Session { return m.table.first(bare) }

// Find returns the session with this resource, nil when there is none.
func (m *Manager) Find(bare, resource string) *Session {
	for s := m.table.first(bare); s != nil; s = s.Next() {
		if s.Resource() == resource && s.Bound() {
			return s
		}
	}
	return nil
}

// SendToAvailable sends x to all available resources of an account, whatever
// their priority, and returns how many took it.
func (m *Manager) SendToAvailable(t *Turn, bare string, x Appender) int {
	n := 0
	for s := m.table.first(bare); s != nil; s = s.Next() {
		if s.Available() && s.Bound() && s.Send(t, x) {
			n++
		}
	}
	return n
}

// SharePresence returns the shared copy of a presence stanza without from, to
// and id, to be handed to SetPresence.
func (m *Manager) SharePresence(xml []byte) *Presence { return m.presences.share(xml) }

// ReleasePresence gives back what SharePresence returned and nobody was given.
func (m *Manager) ReleasePresence(p *Presence) { m.presences.release(p) }

// Counts says how many sessions, bound ones, accounts, distinct presences and
// waiting jobs there are, of workers and of loops.
type Counts struct {
	Unbound, Bound, Accounts, Presences, Waiting int
}

// Counts returns the counts as they are now.
func (m *Manager) Counts() Counts {
	return Counts{
		Unbound:   m.unbound.Size(),
		Bound:     int(m.bound.Load()),
		Accounts:  m.table.count(),
		Presences: m.presences.m.Size(),
		Waiting:   m.reads.waiting() + m.writes.waiting() + m.keys.waiting() + m.keyQueue.left() + int(m.postponedCount.Load()),
	}
}

// Logins is the number of sessions that were bound since the manager was made.
func (m *Manager) Logins() int64 { return m.logins.Load() }

// debug reports whether debug lines are logged: a disabled one must cost a
// session nothing.
func (m *Manager) debug() bool {
	return m.cfg.Logger.Enabled(context.Background(), slog.LevelDebug)
}

// Each calls f for every bound session until f returns false.
func (m *Manager) Each(f func(*Session) bool) { m.table.each(f) }

// TurnEnd is to be called by every loop after each batch of events.
func (m *Manager) EndTurn(loop int) { m.turns[loop].end() }

// Block runs f on a worker for this kind of work while the session's reading is
// paused: for work of the session's own that may wait for the store. Only the
// goroutine that handles the session's input may call it; where that is a worker,
// f runs when its job is done and before the session's reading goes on.
func (m *Manager) Block(t *Turn, s *Session, need Work, f func(*Turn)) {
	if t.MayBlock() {
		s.runOnLoop(func(*Turn) { s.offload(need, f) })
		return
	}
	s.offload(need, f)
}

// OnLoop runs f on the session's loop when no worker has the session. It may be
// called from any goroutine and returns at once.
func (m *Manager) OnLoop(s *Session, f func(*Turn)) { s.runOnLoop(f) }

// Go runs f on a worker for this kind of work, Read or Write, for work that belongs to
// no session's input.
func (m *Manager) Go(need Work, f func(*Turn)) {
	if need == Derive {
		panic("session: BUG: keys are derived for a session, in turn with others of its network")
	}
	m.enqueue(nil, need, f)
}

// Shutdown closes all sessions with <system-shutdown/> (RFC 6120 section
// 4.9.3.19) at a pace that spreads the clients' return, and waits until they
// are gone or ctx ends. New sessions are closed as they come.
func (m *Manager) Shutdown(ctx context.Context) error {
	m.stopping.Store(true)
	const batch = 1000
	n := 0
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	stop := func(s *Session) bool {
		s.Close(ErrSystemShutdown)
		if n++; n%batch == 0 {
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
		return ctx.Err() == nil
	}
	m.unbound.Range(func(s *Session, _ struct{}) bool { return stop(s) })
	m.table.each(stop)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if c := m.Counts(); c.Unbound+c.Bound+c.Waiting == 0 {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
	}
}

// Close stops the workers; what they have begun or queued is finished first.
func (m *Manager) Close() {
	m.reads.close() // they may leave something to the others
	m.keys.close()  // keys are derived to be written
	m.writes.close()
	m.loginLog.limit.Close()
}
