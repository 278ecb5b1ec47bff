// Package router decides who gets a stanza (RFC 6120 section 10, RFC 6121
// section 8): it keeps rosters and subscriptions, broadcasts presence, delivers
// messages or keeps them for later, and has the hooks that extensions hang on.
//
// # What may block
//
// Stanzas come in on the goroutine of a loop, which must never wait. A function
// that needs the store checks Turn.MayBlock or Turn.MayWrite first, and returns what
// it has to wait for before anything has happened; the session then calls again, on
// a worker of that kind and with the stage that was reached.
//
// # Lock order
//
// An account's roster lock (one of rosterLocks) is taken by those who change its
// roster, on turns that may write, and held until the change is in the store and
// told. Nobody takes it to read: a client that logs in does not wait for a commit.
// Within it, or alone, an account's presence lock (one of presenceLocks) is held for as
// long as it takes to queue some stanzas. It makes changing a presence and telling
// of it one step, and so it does a roster in memory and counting its changes. No
// goroutine holds two presence locks; two roster locks are taken in the order of
// their indexes.
package router

import (
	"context"
	"hash/maphash"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"roost/session"
	"roost/stanza"
	"roost/store"
)

// Config is what a Router needs. A zero value takes the default given, where one is
// given.
type Config struct {
	Domains      []string    // domainparts that are served, normalized
	Store        store.Store // required
	Extensions   []Extension
	RosterCache  int          // memory for rosters, in bytes; default 8 MiB
	MaxRoster    int          // items of one roster; default 5,000
	RosterBytes  int          // bytes of one roster as it is sent; default 2 MiB
	MaxRequests  int          // pending inbound subscription requests of one account; default 500
	MaxDirected  int          // addresses that one resource may send directed presence to; default 1,000
	MaxOffline   int          // messages kept for one account; default 1,000; below 0: none are kept
	OfflineBytes int64        // bytes of the messages kept for one account; default 8 MiB
	OfflineShare int          // percent of MaxOffline and OfflineBytes that one sender may use; default 50
	HighestOnly  bool         // a message to a bare JID goes to the highest priority only, not to all
	PageBytes    int          // offline messages are read and sent in pages of this size; default 64 KiB
	Logger       *slog.Logger // nil discards
}

// WithDefaults returns c with the default in each field that is zero.
func (c Config) WithDefaults() Config {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.RosterCache, 8<<20)
	set(&c.MaxRoster, 5000)
	set(&c.RosterBytes, 2<<20)
	set(&c.MaxRequests, 500)
	set(&c.MaxDirected, 1000)
	set(&c.MaxOffline, 1000)
	set(&c.OfflineShare, 50)
	if c.OfflineBytes == 0 {
		c.OfflineBytes = 8 << 20
	}
	set(&c.PageBytes, 64<<10)
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c
}

// lockStripes is the number of locks of each kind: accounts share them by hash.
const lockStripes = 1024

// rosterIdle is how long a roster stays in memory after it was last used.
const rosterIdle = 30 * time.Second

// Router routes the stanzas of all sessions of one Manager.
type Router struct {
	cfg           Config
	ctx           context.Context // ends with Close
	cancel        context.CancelFunc
	sessions      *session.Manager
	domains       map[string]bool
	seed          maphash.Seed
	rosterLocks   [lockStripes]sync.Mutex
	presenceLocks [lockStripes]sync.Mutex
	changes       [lockStripes]atomic.Uint32 // changes of rosters; counted under the presence lock
	rosters       *otter.Cache[string, *Roster]
	iqs           iqTable
	exts          []Extension
	stages        stages
	features      []session.Feature // of extensions
	routes        []Route           // of extensions, in the order in which they are asked
	lastActivity  lastActivity
	events        accountEvents
	undeleted     undeleted
	directing     atomic.Int64 // resources that have sent directed presence
	started       time.Time
}

// New returns a router. Attach gives it the manager before the first stanza.
func New(cfg Config) *Router {
	cfg = cfg.WithDefaults()
	r := &Router{
		cfg:     cfg,
		domains: make(map[string]bool),
		seed:    maphash.MakeSeed(),
		iqs:     make(iqTable),
		started: time.Now(),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.lastActivity.r = r
	r.undeleted.r = r
	for _, d := range cfg.Domains {
		r.domains[d] = true
	}
	r.rosters = otter.Must(&otter.Options[string, *Roster]{
		MaximumWeight: uint64(cfg.RosterCache),
		Weigher:       func(_ string, r *Roster) uint32 { return r.weight() },
		// An idle client needs no roster: what a login brought in goes again.
		ExpiryCalculator: otter.ExpiryAccessing[string, *Roster](rosterIdle),
	})
	r.register(rosterExtension(r))
	r.register(offlineExtension(r))
	for _, x := range cfg.Extensions {
		r.register(x)
	}
	r.ready()
	return r
}

// Attach gives the router the sessions that it routes between.
func (r *Router) Attach(m *session.Manager) {
	r.sessions = m
	m.AddFeatures(r.features...)
}

// Flush writes to the store what is gathered to be written together, and deletes
// what could not be deleted. The manager is closed before.
func (r *Router) FlushPending(ctx context.Context) {
	r.lastActivity.write(ctx)
	r.undeleted.retry(ctx)
}

// Close ends what the router does in the background. The manager is closed
// before.
func (r *Router) Close() {
	r.cancel()
	r.rosters.StopAllGoroutines()
}

// Sessions is the manager that finds sessions.
func (r *Router) Sessions() *session.Manager { return r.sessions }

// Store is what outlives the sessions.
func (r *Router) Store() store.Store { return r.cfg.Store }

// Context is the context for calls of the store; it ends when the router does.
func (r *Router) Context() context.Context { return r.ctx }

// Logger is where extensions log.
func (r *Router) Logger() *slog.Logger { return r.cfg.Logger }

// Serves reports whether domain is one of this server's.
func (r *Router) Serves(domain string) bool { return r.domains[domain] }

// Started is when the router was made.
func (r *Router) Started() time.Time { return r.started }

func (r *Router) stripe(bare string) uint64 { return maphash.String(r.seed, bare) % lockStripes }

// lockPresence takes an account's presence lock and returns it, locked.
func (r *Router) lockPresence(bare string) *sync.Mutex {
	mu := &r.presenceLocks[r.stripe(bare)]
	mu.Lock()
	return mu
}

// Stanza routes one stanza of a bound session. It implements session.Router.
func (r *Router) Stanza(t *session.Turn, s *session.Session, st *stanza.Stanza, stage int) (int, session.Work) {
	return r.Route(t, s, st, stage)
}

// Route routes one stanza (RFC 6120 sections 10.3 and 10.4), from stage 0 on. Where it
// has to wait for the store it returns what for, and how far it has come: it is to be
// called again with that stage on a worker of that kind. A turn that may write is asked
// for nothing more, except for keys, which are derived for clients only. Its stages are the functions
// of extensions for incoming stanzas, the rules of the RFCs, and the functions for
// what was delivered.
func (r *Router) Route(t *session.Turn, from Sender, st *stanza.Stanza, stage int) (next int, need session.Work) {
	remote := st.HasTo && !r.Serves(st.To.Domain())
	if remote && stage == 0 && !r.routable(from, st.To.Domain()) {
		r.Reply(t, from, st, stanza.RemoteServerNotFound)
		return stage, session.Done
	}
	if stage < len(r.stages.incoming) {
		var v Verdict
		if stage, v = r.runIncoming(t, from, st, stage); v != Pass {
			return stage, workOf(v)
		}
	}
	switch {
	case st.Kind == stanza.Message:
		return r.message(t, from, st, stage, remote)
	case st.Kind == stanza.Presence:
		return stage, r.presence(t, from, st, remote)
	case remote:
		r.forwardRemote(t, from, st)
		return stage, session.Done
	default:
		return stage, r.iq(t, from, st)
	}
}

// workOf is what a stanza has to wait for after a verdict.
func workOf(v Verdict) session.Work {
	switch v {
	case NeedsWorker:
		return session.Read
	case NeedsWriter:
		return session.Write
	}
	return session.Done
}

// Reply answers a stanza with an error, unless it must not be answered with one.
func (r *Router) Reply(t *session.Turn, from Sender, st *stanza.Stanza, e *stanza.ErrorReply) {
	if !st.CanError() {
		return
	}
	b := stanza.AppendError(t.GetBuf(), st, address(from), e)
	from.SendBytes(t, b)
	t.PutBuf(b)
}

// fault answers a stanza that the server could not handle, and logs why.
func (r *Router) fault(t *session.Turn, from Sender, st *stanza.Stanza, doing string, err error) {
	r.cfg.Logger.Error(doing, "jid", address(from), "err", err)
	r.Reply(t, from, st, stanza.InternalServerError)
}

// forward sends st to a session, with the sender's address stamped on it.
func (r *Router) forward(t *session.Turn, from Sender, to *session.Session, st *stanza.Stanza) bool {
	b := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: address(from)})
	ok := to.SendBytes(t, b)
	t.PutBuf(b)
	return ok
}
