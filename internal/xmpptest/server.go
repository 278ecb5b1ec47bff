package xmpptest

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"roost/internal/memnet"
	"roost/internal/memnodes"
	"roost/internal/teststores"
	"roost/jid"
	"roost/parser"
	"roost/router"
	"roost/session"
	"roost/store"
	"roost/xep"
)

// Accounts are the accounts of every test server. Their password is "secret".
var Accounts = []string{"romeo", "juliet", "mercutio", "benvolio", "nurse", "paris"}

// Config configures a test server. Its zero value selects the defaults.
type Config struct {
	Session  session.Config // NewServer sets the fields that connect packages
	Router   router.Config
	XEP      xep.Config
	Outbox   int                           // bytes; default 256 KiB
	Unauth   int                           // limit of the bytes held for clients that are not authenticated; default no limit
	Location store.Location                // of the store; default a new SQLite database
	Store    store.Options                 // of the store
	Wrap     func(store.Store) store.Store // wraps the store
	Logger   *slog.Logger                  // default: warnings, in the test's log
	Cluster  *memnodes.Cluster             // makes the server a node of a cluster
	Name     string                        // of the node, under which it saves its sessions
}

// Server is a server in memory: everything above the poller.
type Server struct {
	Store    store.Store
	Location store.Location // of the store
	Router   *router.Router
	Sessions *session.Manager
	Restored session.Restored // the sessions of an earlier server with the store
	loop     *memnet.Loop
	node     *memnodes.Node // nil without a cluster
	name     string         // of the node
	unwatch  func()         // ends watch; nil without a cluster
	stopOnce sync.Once
}

// credentials returns the credentials of "secret", derived once: most tests are not about
// key derivation.
var credentials = sync.OnceValues(func() (store.Credentials, error) {
	return store.NewCredentials("secret", store.MinIterations)
})

// AddAccounts adds the Accounts and the Invitations to a store.
func AddAccounts(ctx context.Context, st store.Store, domain string) error {
	keys, err := credentials()
	if err != nil {
		return err
	}
	var accounts []store.Account
	for _, user := range Accounts {
		accounts = append(accounts, store.Account{JID: jid.MustParse(user + "@" + domain), Credentials: keys})
	}
	if _, _, err = st.ImportAccounts(ctx, accounts, store.SkipExisting); err != nil {
		return err
	}
	return addInvitations(ctx, st, domain)
}

// NewServer starts a server in memory and stops it when the test ends. Its store has only
// the Accounts.
func NewServer(t testing.TB, cfg Config) *Server {
	t.Helper()
	ctx := context.Background()
	if cfg.Location == nil {
		cfg.Location = teststores.SQLite.New(t)
	}
	db, err := cfg.Location.Open(ctx, cfg.Store)
	if err != nil {
		t.Fatal(err)
	}
	if err := AddAccounts(ctx, db, "localhost"); err != nil {
		t.Fatal(err)
	}
	s := &Server{Store: db, Location: cfg.Location, name: cfg.Name}
	if cfg.Wrap != nil {
		s.Store = cfg.Wrap(db)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	rc := cfg.Router
	rc.Store, rc.Logger = s.Store, log
	extensions := xep.New(cfg.XEP)
	rc.Extensions = append(extensions.All(), rc.Extensions...)
	s.Router = router.New(rc)
	sc := cfg.Session
	sc.Domains, sc.Accounts, sc.Router, sc.Tokens = []string{"localhost", "example.net"}, s.Store, s.Router, s.Store
	if sc.Logger == nil {
		sc.Logger = log
	}
	if sc.FailureDelay == 0 {
		sc.FailureDelay = -1 // many tests use wrong passwords
	}
	if sc.AckInterval == 0 {
		sc.AckInterval = -1 // so that requests do not depend on the time
	}
	sc.AllowPlaintext, sc.Secret = true, []byte("a secret of the tests")
	if sc.Limits == (parser.Limits{}) {
		sc.Limits = parser.Limits{MaxStanza: 64 << 10}
	}
	limits := sc.Limits.WithDefaults()
	extensions.SetStreamLimits(xep.StreamLimits{MaxStanza: limits.MaxStanza, MaxRestricted: limits.MaxRestricted, Idle: 24 * time.Hour})
	units, also := newUnits(t), sc.Sent
	sc.Sent = func(b []byte) {
		units.sent(b)
		if also != nil {
			also(b)
		}
	}
	s.Sessions = session.NewManager(sc)
	s.Router.Attach(s.Sessions)
	if err := s.Sessions.ReadKeys(ctx); err != nil {
		t.Fatal(err)
	}
	if cfg.Outbox == 0 {
		cfg.Outbox = 256 << 10
	}
	s.loop = memnet.NewLoop(cfg.Outbox, func(c *memnet.Conn) memnet.Handler { return s.Sessions.New(c) }, s.Sessions.EndTurn)
	s.loop.Unauth = cfg.Unauth
	if cfg.Cluster != nil {
		s.Router.BeginRestore()
		s.node = cfg.Cluster.Join(s.Router)
		s.Router.Join(s.node)
	}
	t.Cleanup(func() { s.stop(t) })
	if cfg.Cluster != nil {
		if err := s.Router.SkipAccountEvents(ctx); err != nil {
			t.Fatal(err)
		}
		s.watch(t)
	}
	s.restore(t)
	s.Router.EndRestore()
	if s.node != nil && s.Restored.Sessions > 0 {
		s.node.Repeat(router.LostPresence)
	}
	return s
}

// Node is the server's node in Config.Cluster.
func (s *Server) Node() *memnodes.Node { return s.node }

// settle waits until the server has done what it was asked to, as far as it can know.
func (s *Server) settle(t testing.TB) {
	t.Helper()
	s.loop.Sync()
	Eventually(t, "the workers are idle", func() bool {
		for _, w := range s.Sessions.Stats().Workers {
			if w.Busy+w.Waiting > 0 {
				return false
			}
		}
		return true
	})
	s.loop.Sync()
	s.Router.FlushPending(t.Context())
}

// watch has the server notice what other nodes do to accounts.
func (s *Server) watch(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := s.Router.Watch(ctx, func(f func(*session.Turn) error) error {
			result := make(chan error, 1)
			s.Sessions.Go(session.Write, func(t *session.Turn) { result <- f(t) })
			return <-result
		})
		if ctx.Err() == nil {
			t.Errorf("account events: %v", err)
		}
	}()
	s.unwatch = func() {
		cancel()
		<-done
	}
}

// restore takes the sessions that Suspend has left in the store, as package server does.
func (s *Server) restore(t testing.TB) {
	t.Helper()
	for {
		units, err := s.Store.TakeSessions(t.Context(), s.name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(units) == 0 {
			break
		}
		s.Sessions.Restore(units, &s.Restored, func() session.Conn { return s.loop.Vacant() })
	}
	if s.Restored.Sessions == 0 {
		return
	}
	done := make(chan error, 1)
	s.Sessions.Go(session.Write, func(t *session.Turn) { done <- s.Router.CatchUpFrom(t, s.Restored.Event) })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Suspend stops the server and leaves the sessions that can be resumed in the store, for the
// next server with the same location.
func (s *Server) Suspend(t testing.TB) session.Suspended {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	write := func(ctx context.Context, units []session.SavedUnit) error {
		all := make([]store.SavedSession, len(units))
		for i, u := range units {
			all[i] = store.SavedSession{Node: s.name, Key: u.Key, Until: u.Until, Data: u.Data}
		}
		return s.Store.PutSessions(ctx, all)
	}
	done, err := s.Sessions.Suspend(t.Context(), ctx, session.Keep{Limit: 1 << 30, Event: s.Router.LastEvent, Before: s.Router.BeforeSave, Each: s.node != nil, Write: write})
	if err != nil {
		t.Errorf("suspending: %v; %+v", err, s.Sessions.Counts())
	}
	s.stop(t)
	return done
}

// Held returns the bytes that are counted for clients that are not authenticated.
func (s *Server) Held() int { return s.loop.Held() }

// Dial connects a client.
func (s *Server) Dial() (net.Conn, error) { return s.loop.Dial(), nil }

// DialFrom connects a client that has the given address.
func (s *Server) DialFrom(addr netip.AddrPort) (net.Conn, error) { return s.loop.DialFrom(addr), nil }

func (s *Server) stop(t testing.TB) { s.stopOnce.Do(func() { s.stopNow(t) }) }

func (s *Server) stopNow(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Sessions.Shutdown(ctx); err != nil {
		t.Errorf("stopping: %v; %+v", err, s.Sessions.Counts())
	}
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.node != nil {
		s.node.Close()
	}
	s.Sessions.Close()
	s.loop.Close()
	if n := s.loop.Held(); n != 0 {
		t.Errorf("%d bytes are counted as held after all clients have left", n)
	}
	if n := s.Sessions.Stats().PartialBytes; n != 0 {
		t.Errorf("%d bytes of incomplete stanzas are counted after all clients have left", n)
	}
	if c := s.Sessions.Counts(); c != (session.Counts{}) {
		t.Errorf("counts after all clients have left: %+v", c)
	}
	s.Router.FlushPending(ctx)
	s.Router.Close()
	if err := s.Store.Close(); err != nil {
		t.Error(err)
	}
}

// testLog writes a server's log to the log of its test.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Helper()
	l.t.Logf("%s", p)
	return len(p), nil
}
