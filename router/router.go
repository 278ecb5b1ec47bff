// Package router decides who receives a stanza (RFC 6120 section 10,
// https://www.rfc-editor.org/rfc/rfc6120#section-10; RFC 6121 section 8,
// https://www.rfc-editor.org/rfc/rfc6121#section-8): it manages rosters and subscriptions,
// broadcasts presence, delivers or stores messages, and calls the extensions.
//
// # What may block
//
// Stanzas are received on the goroutine of a loop, which must never block. A function that
// needs the store first checks Turn.MayBlock or Turn.MayWrite, and if necessary returns the
// work that it has to wait for before it has done anything. The session then calls the
// router again, on a worker of that kind and with the stage that was reached.
//
// # Lock order
//
// An account's roster lock (one of rosterLocks) is taken to change its roster, on turns
// that may write, and held until the change is in the store and announced. It is not taken
// to read: a client that logs in does not wait for a commit. Within it, or alone, an
// account's presence lock (one of presenceLocks) is held for as long as it takes to queue
// some stanzas. It makes changing a presence and announcing the change one step, and
// also replacing a roster in memory and counting its changes. No goroutine holds two
// presence locks; two roster locks are taken in the order of their indexes.
package router

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"

	"roost/internal/loglimit"
	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// lockStripes is the number of locks of each kind: accounts share them by hash.
const lockStripes = 1024

// rosterIdle is how long a roster stays in memory after its last use.
const rosterIdle = 30 * time.Second

// Router routes the stanzas of all sessions of one Manager.
type Router struct {
	settings      atomic.Pointer[Config]
	ctx           context.Context // ends with Cancel or Close
	cancel        context.CancelFunc
	sessions      *session.Manager
	seed          maphash.Seed
	rosterLocks   [lockStripes]sync.Mutex
	rosterGates   [lockStripes]session.Gate // for changes by others than the account's own clients
	presenceLocks [lockStripes]sync.Mutex
	changes       [lockStripes]atomic.Uint32 // counts changes of rosters; incremented under the presence lock
	pages         [lockStripes]atomic.Uint32 // counts pages of stored messages that were sent; incremented under the roster lock
	rosters       *otter.Cache[string, *Roster]
	iqs           iqTable
	exts          []Extension
	stages        stages
	features      []session.Feature // of extensions
	routes        []Route           // of extensions, in the order in which they are tried
	states        []namedState      // what is kept of sessions while the server restarts
	lastActivity  lastActivity
	events        accountEvents
	undeleted     undeleted
	expired       atomic.Int64 // stored messages that were deleted because they were too old
	reports       *loglimit.Limit
	nodes         Nodes // nil: this server is alone
	nodeLog       *loglimit.Limit
	errorLog      *loglimit.Limit
	requests      nodeRequests
	kicking       atomic.Int32 // clients that wait for requests
	untold        untold
	recent        recentChanges
	back          backQueue
	saving        atomic.Pointer[keptVersions] // what is about to be saved: see BeforeSave
	pushed        lastPushes
	unannounced   retries[jid.JID]          // available resources of dead nodes whose contacts were not told
	unlearned     retries[missedChange]     // changes of other nodes that could not be read
	unreadable    retries[*session.Session] // whose stored messages could not be read
	moves         moves
	untaken       untakenCopies
	peers         peerNodes
	changesSeen   changeClock
	elsewhere     changesElsewhere
	directing     atomic.Int64 // number of resources that have sent directed presence
	strangers     strangers
	started       time.Time
}

// New returns a router. Call Attach before the first stanza.
func New(cfg Config) *Router {
	cfg = cfg.WithDefaults()
	r := &Router{
		seed:    maphash.MakeSeed(),
		iqs:     make(iqTable),
		started: time.Now(),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.settings.Store(&cfg)
	r.lastActivity.r = r
	r.nodeLog = loglimit.New(cfg.Logger, "more errors of the cluster than are logged")
	r.errorLog = loglimit.New(cfg.Logger, "more errors of the server than are logged")
	r.undeleted.r = r
	r.strangers.prepare(r)
	r.unannounced.later, r.unannounced.try = r.retryLater, r.diedOne
	r.unlearned.later, r.unlearned.try = r.retryLater, r.learn
	r.unreadable.later, r.unreadable.try = r.retryLater, r.readAgain
	r.changesSeen.ticks.Store(1) // 0 is the stamp of presence that was never held
	r.rosters = otter.Must(&otter.Options[string, *Roster]{
		MaximumWeight: uint64(cfg.RosterCache),
		Weigher:       func(_ string, r *Roster) uint32 { return r.weight() },
		// An idle client needs no roster, so what its login loaded is evicted.
		ExpiryCalculator: otter.ExpiryAccessing[string, *Roster](rosterIdle),
		StatsRecorder:    stats.NewCounter(),
	})
	r.register(rosterExtension(r))
	r.register(offlineExtension(r))
	r.register(hintsExtension())
	r.register(blockingExtension(r))
	r.register(reportsExtension(r))
	r.register(stanzaIDExtension())
	r.register(clientStateExtension(r))
	for _, x := range cfg.Extensions {
		r.register(x)
	}
	r.ready()
	return r
}

// Attach sets the manager of the sessions that the router routes between.
func (r *Router) Attach(m *session.Manager) {
	r.sessions = m
	m.AddFeatures(r.features...)
}

// FlushPending writes pending last activity to the store, and deletes delivered messages
// that could not be deleted before. Close the manager first.
func (r *Router) FlushPending(ctx context.Context) {
	r.lastActivity.write(ctx)
	r.undeleted.retry(ctx)
}

// Cancel ends Context, and with it the calls of the store that are still waiting.
func (r *Router) Cancel() { r.cancel() }

// Close closes the extensions and stops the router's background work. Close the manager
// first, and call Close once.
func (r *Router) Close() {
	r.cancel()
	for i := range r.exts {
		if x := &r.exts[i]; x.Close != nil {
			r.guarded(nil, x.Close)
		}
	}
	r.nodeLog.Close()
	r.errorLog.Close()
	r.strangers.log.Close()
	r.rosters.StopAllGoroutines()
}

// Sessions returns the manager that finds sessions.
func (r *Router) Sessions() *session.Manager { return r.sessions }

// Store returns the store.
func (r *Router) Store() store.Store { return r.config().Store }

// Context returns the context for calls of the store; it ends with Cancel or Close.
func (r *Router) Context() context.Context { return r.ctx }

// Logger returns the logger for extensions.
func (r *Router) Logger() *slog.Logger { return r.config().Logger }

// Serves reports whether domain is one of this server's.
func (r *Router) Serves(domain string) bool { return r.sessions.Serves(domain) }

// Started returns the time when the router was created.
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

// Route routes one stanza (RFC 6120 sections 10.3 and 10.4), starting at stage 0. If it has
// to wait for the store, it returns the kind of work and the stage that it has reached, and
// must be called again with that stage on a worker of that kind. On a turn that may write,
// the only further work that it can request is deriving keys, or waiting at a session.Gate,
// which it requests for clients only. Its stages are the extensions' functions for incoming
// stanzas, the rules of the RFCs, and the extensions' functions for delivered messages.
func (r *Router) Route(t *session.Turn, from Sender, st *stanza.Stanza, stage int) (next int, need session.Work) {
	if st.Kind == stanza.Message {
		r.dropStanzaIDs(st)
	}
	if stage == 0 && r.refuseOwnBlocked(t, from, st) {
		return stage, session.Done
	}
	remote := st.HasTo && !r.Serves(st.To.Domain())
	if remote && stage == 0 {
		if e := r.routable(from, st.To.Domain()); e != nil {
			countMessage(t, st, messageRefused)
			if st.Kind == stanza.Message {
				r.runSent(t, from, st)
			}
			r.Reply(t, from, st, e)
			return stage, session.Done
		}
	}
	if stage < len(r.stages.incoming) {
		var v Verdict
		if stage, v = r.runIncoming(t, from, st, stage); v != Pass {
			if v == Handled {
				countMessage(t, st, messageHandled)
			}
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

// workOf returns the work that a stanza has to wait for after a verdict.
func workOf(v Verdict) session.Work {
	switch v {
	case NeedsWorker:
		return session.Read
	case NeedsWriter:
		return session.Write
	}
	return session.Done
}

// Reply replies to a stanza with an error, unless it must not get an error reply.
func (r *Router) Reply(t *session.Turn, from Sender, st *stanza.Stanza, e *stanza.ErrorReply) {
	if !st.CanError() {
		return
	}
	t.CountError(e)
	b := stanza.AppendError(t.GetBuf(), st, address(from), e)
	from.SendBytes(t, b)
	t.PutBuf(b)
	r.runRefused(t, from, st, e)
}

// fault replies to a stanza that the server could not process, and logs why.
func (r *Router) fault(t *session.Turn, from Sender, st *stanza.Stanza, doing string, err error) {
	r.LogError(doing, address(from), err)
	r.Reply(t, from, st, stanza.InternalServerError)
}

// forward sends st to a session, with the sender's address stamped on it.
func (r *Router) forward(t *session.Turn, from Sender, to *session.Session, st *stanza.Stanza) bool {
	b := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: address(from)})
	ok := hold(t, to, st, address(from), chatStateFrom, b) || to.SendBytes(t, b)
	t.PutBuf(b)
	return ok
}
