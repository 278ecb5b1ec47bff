// Package postgres implements store.Store using a PostgreSQL database, version 14 or newer,
// and github.com/jackc/pgx.
//
// # Goroutines
//
// One goroutine, the writer, owns a connection and sends all queued writes as one pipeline,
// which the database executes in one transaction: one round trip and one commit for all of
// them (group commit). So each write is one statement; those that take several steps are
// functions in the database. Reads run on the caller's goroutine, with a connection of a
// pool, and so do transactions that call a function of the store's user (UpdateBlobs); short
// reads that are to be made at the same time share a request, which one of their goroutines
// sends (see lookup). Each Watch has a connection of its own.
//
// # Several processes
//
// Any number of processes may use one database. The order of locks prevents deadlocks: each
// batch takes an advisory lock, shared if all its writes are about one account each, which
// are sent in the order of the accounts, and exclusive otherwise.
//
// A server takes a lock that excludes other servers, unless all of them are nodes of a
// cluster: see Options.Use.
//
// # Failures
//
// Reads are repeated when the connection is lost, and so are writes that certainly did not
// happen, until Config.RetryFor is over. Then reads fail at once until the database replies
// again. If a connection is lost while a transaction is being committed, the outcome is
// unknown, and the write returns ErrUnknown.
package postgres

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"roost/internal/combine"
	"roost/internal/histogram"
	"roost/internal/rawconn"
	"roost/store"
)

// Config configures Open. Zero values select the defaults.
type Config struct {
	// URL is the connection URL of PostgreSQL, postgres://USER:PASSWORD@HOST/DATABASE,
	// with the parameters of libpq and pgxpool. Required.
	URL string

	// Readers is the largest number of connections for reads, unless the URL has
	// pool_max_conns. Default 8. There are two more: of the writer and of Watch.
	Readers int

	// Timeout limits each attempt to connect, to read or to write. If the URL names several
	// servers, or a name has several addresses, each address has an equal part of it. Default
	// 10 seconds.
	Timeout time.Duration

	// RetryFor is how long reads, and writes that certainly did not happen, are repeated
	// while the database is unavailable: reads from their first failure, writes from when
	// they are queued. After that, reads fail at once until it is available again. Default
	// 10 seconds.
	RetryFor time.Duration

	// ClaimWait is how long a server waits for the lock of servers while another one has
	// it. Default 10 seconds.
	ClaimWait time.Duration

	// ClaimInterval is the interval at which a server makes sure that it still has the
	// lock of servers, while it does not write. Default 10 seconds.
	ClaimInterval time.Duration

	// CheckAfter is how long the writer's connection may be idle: after more time, it is
	// checked before it is used again. Default 1 second.
	CheckAfter time.Duration

	// WatchInterval is the time after which Watch looks for events that it does not report
	// at once: those of this process, and all while it is not notified. Default 1 second.
	WatchInterval time.Duration

	// ListenInterval is the interval at which Watch looks for events while it is notified of
	// them, in case its connection was cut and nobody has told. Default 10 seconds.
	ListenInterval time.Duration

	// Options are the options of every kind of store.
	Options store.Options
}

func (c Config) withDefaults() Config {
	if c.Readers <= 0 {
		c.Readers = 8
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.RetryFor <= 0 {
		c.RetryFor = 10 * time.Second
	}
	if c.ClaimWait <= 0 {
		c.ClaimWait = 10 * time.Second
	}
	if c.ClaimInterval <= 0 {
		c.ClaimInterval = 10 * time.Second
	}
	if c.CheckAfter <= 0 {
		c.CheckAfter = time.Second
	}
	if c.WatchInterval <= 0 {
		c.WatchInterval = time.Second
	}
	if c.ListenInterval <= 0 {
		c.ListenInterval = 10 * time.Second
	}
	return c
}

// Store is a database. It implements store.Store.
type Store struct {
	cfg     Config
	conn    *pgx.ConnConfig // for connections outside of the pool
	pool    *pgxpool.Pool
	lookups *combine.Queue[*lookup]
	alive   context.Context // ends with Close
	end     context.CancelFunc

	// writeMu is held for reading while a write is added to the queue, and for writing
	// by Close, so that no write is added after the queue is closed.
	writeMu sync.RWMutex
	queue   chan *write
	writer  sync.WaitGroup
	pid     atomic.Uint32              // process ID of the writer's connection in the database
	former  backend                    // the writer's last connection that had the lock of servers; owned by the writer
	usurped atomic.Pointer[inUseError] // why the lock was not taken again; nil: it was

	away   atomic.Bool    // see outage
	probes sync.WaitGroup // goroutines of outage

	commits atomic.Int64
	batches *histogram.Histogram // writes of each commit
	waiting atomic.Int64         // number of writes queued or running
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Batches = (*Store)(nil)
	_ store.Copier  = (*Store)(nil)
)

// Open connects to a database and migrates its tables to the current version. It creates
// the tables, but not the database.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	s := &Store{
		cfg:     cfg,
		queue:   make(chan *write, maxBatch),
		batches: histogram.New[int64](1, 2, 4, 8, 16, 32, 64, 128, 256),
	}
	s.lookups = combine.New(lookupConfig, s.lookUp)
	s.alive, s.end = context.WithCancel(context.Background())
	if err := s.open(ctx); err != nil {
		s.end()
		return nil, s.wrap("open "+redact(cfg.URL), err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	pc, err := poolConfig(&s.cfg)
	if err != nil {
		return err
	}
	s.conn = pc.ConnConfig.Copy()
	first, err := s.connect(ctx)
	if err != nil {
		return err
	}
	err = s.claim(ctx, first)
	if err == nil {
		err = migrate(ctx, first)
	}
	if err == nil {
		err = s.checkFinished(ctx, first)
	}
	if err != nil {
		return errors.Join(err, closeConn(first))
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return errors.Join(err, closeConn(first))
	}
	s.startWriter(first)
	return nil
}

// poolConfig returns the configuration of the pool and of all connections.
func poolConfig(cfg *Config) (*pgxpool.Config, error) {
	pc, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if !hasParameter(cfg.URL, "pool_max_conns") {
		pc.MaxConns = int32(min(cfg.Readers, math.MaxInt32))
	}
	// A query on a connection that was lost is repeated, which costs less than to ask
	// each one before.
	pc.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	pc.ConnConfig.ConnectTimeout = min(cfg.Timeout, nonZero(pc.ConnConfig.ConnectTimeout, cfg.Timeout))
	pc.ConnConfig.DialFunc = pgconn.DialFunc(rawconn.Dialer(pc.ConnConfig.DialFunc))
	timeout := cfg.Timeout
	pc.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		shareTimeout(ctx, c, timeout)
		return nil
	}
	params := pc.ConnConfig.RuntimeParams
	for name, value := range map[string]string{
		"application_name":                    "roost",
		"synchronous_commit":                  "on", // what was acknowledged is on the disk
		"statement_timeout":                   milliseconds(cfg.Timeout),
		"idle_in_transaction_session_timeout": milliseconds(cfg.Timeout), // the locks of a process that hangs
		"idle_session_timeout":                "0",                       // idle connections are kept
		"default_transaction_isolation":       "read committed",
	} {
		if _, ok := params[name]; !ok {
			params[name] = value
		}
	}
	return pc, nil
}

func nonZero(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// connect opens a connection outside of the pool.
func (s *Store) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	c := s.conn.Copy()
	shareTimeout(ctx, c, s.cfg.Timeout)
	return pgx.ConnectConfig(ctx, c)
}

// closeTimeout limits how long the end of a connection takes.
const closeTimeout = time.Second

// closeConn closes a connection, also one that was lost.
func closeConn(c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := c.Close(ctx); err != nil && !pgconn.Timeout(err) {
		return err
	}
	return nil
}

// Close implements store.Store. It finishes the queued writes.
func (s *Store) Close() error {
	s.writeMu.Lock()
	if s.alive.Err() != nil {
		s.writeMu.Unlock()
		return nil
	}
	s.end()
	close(s.queue)
	s.writeMu.Unlock()
	s.writer.Wait()
	s.probes.Wait()
	s.pool.Close()
	return nil
}
