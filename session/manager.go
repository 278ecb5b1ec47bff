package session

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"roost/internal/events"
	"roost/internal/histogram"
	"roost/internal/job"
	"roost/internal/loglimit"
	"roost/internal/panics"
	"roost/internal/peernet"
)

// Manager makes sessions, binds them, finds them and removes them.
type Manager struct {
	settings       atomic.Pointer[settings]
	table          *table
	presences      presences
	unbound        *xsync.MapOf[*Session, struct{}] // connected, not yet in the table
	deferred       *xsync.MapOf[*Session, []func(*Turn)]
	arriving       *xsync.MapOf[*Session, []func(*Turn)] // see Session.whenComplete
	turns          []*Turn                               // by loop
	reads          *workers                              // for jobs that read the store and never wait for a commit
	writes         *workers                              // for jobs that wait for commits
	keys           *workers                              // for key derivation; they may read from the store
	offloadedBytes atomic.Int64                          // bytes of stanzas that wait for commits or keys
	keyQueue       *keyQueue                             // lets networks take turns at key derivation
	throttle       throttle
	fanout         fanout
	loginLog       loginLog
	panics         panics.Counter
	stopping       atomic.Bool
	keeping        atomic.Bool // it is stopping, and sessions that can be resumed are kept: see Suspend
	mechs          []mechanism
	features       []Feature // in the order in which they are offered
	bound          atomic.Int64
	available      atomic.Int64 // sessions with presence
	logins         atomic.Int64 // sessions bound since the start
	loginTime      *histogram.Histogram
	started        time.Time
	ended          endings
	postponedCount atomic.Int64 // functions postponed to later turns
	leaving        atomic.Int64 // sessions that are handed on, or that are out of the tables but not yet announced
	partials       partials
	unackedBytes   atomic.Int64 // of stanzas that clients have not acknowledged
	large          largeQueues
	awaited        awaited
	paced          paced
	copies         struct {
		number atomic.Int64
		mu     sync.Mutex // held while a session that ends decides which of its copies to hand on
	}
	detached     detachedList
	successions  successions
	restored     restoredCounts
	past         pastSessions
	saving       saving
	resumeHash   *keyedHash // of resumption IDs
	decoys       decoys
	missing      missingKeys
	events       events.Bus
	taps         taps
	resourceHash *keyedHash // see clientID
	tokenHash    *keyedHash // see tokenKey
	tokenCounts  tokenCounts
	endpoints    endpoints
}

// NewManager returns a manager; Close stops its workers.
func NewManager(cfg Config) *Manager {
	cfg = cfg.WithDefaults()
	m := &Manager{
		table:     newTable(cfg.Shards),
		presences: newPresences(),
		unbound:   xsync.NewMapOf[*Session, struct{}](),
		deferred:  xsync.NewMapOf[*Session, []func(*Turn)](),
		arriving:  xsync.NewMapOf[*Session, []func(*Turn)](),
		loginTime: histogram.New(loginBounds...),
		started:   time.Now(),
	}
	m.settings.Store(newSettings(cfg))
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
	m.decoys.m, m.decoys.hash = m, &keyedHash{key: cfg.Secret}
	m.missing.m = m
	m.awaited.m = m
	m.large = largeQueues{m: m, all: xsync.NewMapOf[*coldState, *Session](), log: loglimit.New(cfg.Logger, "more sessions ended because of --unacked-memory than are logged")}
	m.paced.m = m
	m.detached.m = m
	m.tokenCounts.m = m
	m.resumeHash = subkey(cfg.Secret, "resumption")
	m.past.seed = maphash.MakeSeed()
	m.resourceHash = subkey(cfg.Secret, "resources")
	m.tokenHash = subkey(cfg.Secret, "tokens")
	m.loginLog = newLoginLog(cfg.Logger)
	return m
}

// New makes a session for an accepted connection.
func (m *Manager) New(c Conn) *Session {
	s := &Session{mgr: m}
	s.conn.Store(c)
	n := &negotiation{network: peernet.Of(c.RemoteAddr().Addr()), began: time.Since(m.started)}
	s.cold.Store(&coldState{rare: &rareState{negotiation: n}})
	if c.Messages() {
		s.parser.Documents()
	}
	s.parser.Restrict() // until the client has bound a resource
	m.unbound.Store(s, struct{}{})
	s.set(flagLogin)
	c.SetDeadline(m.config().LoginTimeout)
	return s
}

// Serves reports whether domain is one of this server's.
func (m *Manager) Serves(domain string) bool { return m.config().domains[domain] }

// First returns the head of the account's list of sessions, or nil if it has none.
func (m *Manager) First(bare string) *Session { return m.table.first(bare) }

// Find returns the bound session with this resource, or nil if there is none.
func (m *Manager) Find(bare, resource string) *Session {
	for s := m.table.first(bare); s != nil; s = s.Next() {
		if s.Resource() == resource && s.Bound() {
			return s
		}
	}
	return nil
}

// MaxResources returns the largest number of sessions of one account.
func (m *Manager) MaxResources() int { return m.config().MaxResources }

// SharePresence returns the shared copy of a presence stanza without from, to and id, for
// SetPresence.
func (m *Manager) SharePresence(xml []byte) *Presence { return m.presences.share(xml) }

// ReleasePresence releases a Presence that SharePresence returned and that was not passed
// to SetPresence.
func (m *Manager) ReleasePresence(p *Presence) { m.presences.release(p) }

// Counts holds the number of sessions without a resource, of connected and of available
// sessions, of accounts, of distinct presences, and of jobs: those that wait for workers
// or loops, and announcements of sessions that have left the tables.
type Counts struct {
	Unbound, Bound, Available, Accounts, Presences, Waiting int
}

// Counts returns a snapshot. The numbers may be from slightly different moments.
func (m *Manager) Counts() Counts {
	c := Counts{
		Unbound:   m.unbound.Size(),
		Bound:     int(m.bound.Load()),
		Available: int(m.available.Load()),
		Accounts:  m.table.count(),
		Presences: m.presences.m.Size(),
	}
	// The announcement of an end may leave jobs and postponed functions: in this order, and
	// after the tables, none of it is missed.
	c.Waiting = int(m.leaving.Load()) + m.reads.waiting() + m.writes.waiting() + m.keys.waiting() + m.keyQueue.left() + int(m.postponedCount.Load())
	return c
}

// Logins returns the number of sessions bound since the manager was made.
func (m *Manager) Logins() int64 { return m.logins.Load() }

// debug reports whether debug lines are logged. A disabled debug line must cost a session
// nothing.
func (m *Manager) debug() bool {
	return m.config().Logger.Enabled(context.Background(), slog.LevelDebug)
}

// Each calls f for every bound session until f returns false.
func (m *Manager) Each(f func(*Session) bool) { m.table.each(f) }

// EndTurn must be called by every loop after each batch of events.
func (m *Manager) EndTurn(loop int) { m.turns[loop].end() }

// Offload runs f on a worker for this kind of work while the session's reading is paused,
// for the session's own work that may wait for the store. Only the goroutine that handles
// the session's input may call it. If that goroutine is a worker, f runs after its job and
// before reading resumes.
func (m *Manager) Offload(t *Turn, s *Session, need Work, f func(*Turn)) {
	if t.MayBlock() {
		s.runOnLoop(func(*Turn) { s.offload(need, f) })
		return
	}
	s.offload(need, f)
}

// RunOnLoop runs f on the session's loop, when no worker has the session. It returns at once.
// Any goroutine may call it.
func (m *Manager) RunOnLoop(s *Session, f func(*Turn)) { s.runOnLoop(f) }

// Go runs f on a worker for this kind of work, Read or Write. It is for work that does not
// belong to a session's input.
func (m *Manager) Go(need Work, f func(*Turn)) {
	if need == Derive {
		panic("session: BUG: Go cannot derive keys; use Offload or Derive, which let networks take turns")
	}
	m.enqueue(nil, need, f)
}

// ReadWorkers is the largest number of workers for Read.
func (m *Manager) ReadWorkers() int { return m.reads.limit }

// Derive runs f on a worker that derives keys, for a client that has an address but no
// session. Like the derivations of sessions, f waits until it is the turn of the client's
// network.
func (m *Manager) Derive(from netip.Addr, f func(*Turn)) { m.keyQueue.submit(peernet.Of(from), f) }

// Shutdown closes all sessions with <system-shutdown/> ([RFC 6120 section 4.9.3.20]) at a
// limited pace, which spreads the clients' reconnections. It waits until all sessions are
// removed or ctx ends. New sessions are closed as they arrive.
//
// [RFC 6120 section 4.9.3.20]: https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.20
func (m *Manager) Shutdown(ctx context.Context) error { return m.closeAll(ctx, Counts.none) }

// none reports whether there are no sessions, and nothing is left to do.
func (c Counts) none() bool { return c.Unbound+c.Bound+c.Waiting == 0 }

// closeAll closes all sessions but those that are kept, and waits until done reports that
// they are removed, or ctx ends.
func (m *Manager) closeAll(ctx context.Context, done func(Counts) bool) error {
	m.tellAll(ctx, func(s *Session) { s.endOnLoop(s.suspend) })
	return m.await(ctx, done)
}

// tellAll calls tell for all sessions, at a limited pace. New ones are refused.
func (m *Manager) tellAll(ctx context.Context, tell func(*Session)) {
	m.stopping.Store(true)
	p := newPace()
	defer p.Stop()
	allowed := 0
	next := func(s *Session) bool {
		if allowed == 0 {
			if allowed = p.Wait(ctx, closeBurst); allowed == 0 {
				return false
			}
		}
		allowed--
		tell(s)
		return true
	}
	m.unbound.Range(func(s *Session, _ struct{}) bool { return next(s) })
	m.table.each(next)
}

// await waits until done returns true, or ctx ends.
func (m *Manager) await(ctx context.Context, done func(Counts) bool) error {
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if done(m.Counts()) {
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

// endsAll reports whether the server is stopping without keeping sessions.
func (m *Manager) endsAll() bool { return m.stopping.Load() && !m.keeping.Load() }

// closeRate is the number of sessions a second that Shutdown and CloseUnserved end.
// Shutdown looks at the clock after closeBurst of them.
const (
	closeRate  = 200_000
	closeBurst = 100
)

func newPace() *job.Pace { return job.NewPace(closeRate, time.NewTicker) }

// Close stops the workers after they have finished all queued jobs.
func (m *Manager) Close() {
	m.reads.close() // first: its jobs may queue jobs for the other workers
	m.keys.close()  // before the writers, which store derived keys
	m.writes.close()
	m.tokenCounts.close()
	m.loginLog.close()
	m.large.log.Close()
}

// logFault logs an error of the server because of which the login of an account has failed, or lacks
// something, at a limited rate.
func (m *Manager) logFault(what, account string, err error) { m.loginLog.fault(what, account, err) }
