// Package sqlite implements store.Store using one SQLite database file and a driver in pure
// Go.
//
// # Goroutines
//
// One goroutine, the writer, owns the only connection that writes. It executes all queued
// writes in one transaction (group commit), and their callers return when it is on the
// disk. Reads run on the caller's goroutine, with a connection from a small pool; in WAL
// mode, they and the writer do not block each other. Another goroutine moves the log into
// the database file, see checkpoint.go.
//
// Several processes may open the same database.
package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/internal/histogram"
	"roost/internal/ownfile"
	"roost/store"
)

// FileName is the name of the database in a data directory.
const FileName = "roost.db"

// appID marks a file as a database of roost (PRAGMA application_id).
const appID = 0x72_6f_73_74 // "rost"

// Config configures Open. Zero values select the defaults.
type Config struct {
	// Path is the database file. It and its directory are created if they do not
	// exist, readable by their owner only. Required.
	Path string

	// Readers is the number of connections for reads. Default 4.
	Readers int

	// CacheBytes is the size of the page cache of each connection. Default 512 KiB,
	// which is enough for the inner pages of a million accounts; the system caches the
	// file.
	CacheBytes int

	// BusyTimeout is how long a write waits for the writes of other processes. Default 10
	// seconds.
	BusyTimeout time.Duration

	// LogBytes is the size of the write-ahead log at which it is moved into the
	// database. Default 16 MiB.
	LogBytes int64

	// ReserveBytes is the size of a file beside the database whose space is freed for
	// deletions when the disk is full. They need at most LogBytes plus what one of them
	// writes. Default 32 MiB; negative means no reserve.
	ReserveBytes int64

	// WatchInterval is the interval at which Watch polls for events. Default 1 second.
	WatchInterval time.Duration

	// Options are the options of every kind of store.
	Options store.Options
}

func (c Config) withDefaults() Config {
	if c.Readers <= 0 {
		c.Readers = 4
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = 512 << 10
	}
	if c.BusyTimeout <= 0 {
		c.BusyTimeout = 10 * time.Second
	}
	if c.LogBytes <= 0 {
		c.LogBytes = 16 << 20
	}
	if c.WatchInterval <= 0 {
		c.WatchInterval = time.Second
	}
	if c.ReserveBytes == 0 {
		c.ReserveBytes = 32 << 20
	}
	return c
}

// Store is a database. It implements store.Store.
type Store struct {
	cfg     Config
	readers chan *conn    // the free ones
	closed  chan struct{} // closed by Close
	file    *os.File      // the database; closed after all connections, whose locks closing it releases (fcntl(2))

	// writeMu is held for reading while a write is added to the queue, and for writing
	// by Close, so that no write is added after the queue is closed.
	writeMu sync.RWMutex
	queue   chan *write
	spare   sync.Pool // of *write; not shared between stores: channels of a synctest bubble must not leave it
	writer  sync.WaitGroup

	checkpoint checkpoint
	commits    atomic.Int64
	batches    *histogram.Histogram // writes of each commit
	waiting    atomic.Int64         // number of writes queued or running
	reserve    reserve              // owned by the writer
	upkeep     upkeep               // owned by the writer
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Batches = (*Store)(nil)
	_ store.Copier  = (*Store)(nil)
)

// Open opens or creates a database and migrates its tables to the current version.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	s := &Store{
		cfg:     cfg,
		readers: make(chan *conn, cfg.Readers),
		closed:  make(chan struct{}),
		queue:   make(chan *write, maxBatch),
		spare:   sync.Pool{New: newWrite},
		batches: histogram.New[int64](1, 2, 4, 8, 16, 32, 64, 128, 256),
	}
	if err := s.open(ctx); err != nil {
		return nil, s.wrap("open "+cfg.Path, err)
	}
	return s, nil
}

// open creates the file, opens all connections and starts the goroutines.
func (s *Store) open(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.file, err = makeFile(s.cfg.Path); err != nil {
		return err
	}
	var opened []*conn
	defer func() {
		if err != nil {
			for _, c := range opened {
				c.Close()
			}
			_ = s.file.Close()
		}
	}()
	for range s.cfg.Readers + 2 {
		c, err := s.connect(ctx)
		if err != nil {
			return err
		}
		opened = append(opened, c)
		if len(opened) == 1 {
			if err := migrate(ctx, c); err != nil {
				return err
			}
			if err := s.checkFinished(c); err != nil {
				return err
			}
			c.convert()
		}
	}
	for _, c := range opened[2:] {
		if err := sqlitex.ExecuteTransient(c.Conn, "PRAGMA query_only = ON", nil); err != nil {
			return err
		}
		s.readers <- c
	}
	s.reserve = reserve{path: s.cfg.Path + "-reserve", size: s.cfg.ReserveBytes}
	s.keepReserve()
	s.startWriter(opened[0])
	s.startCheckpoints(opened[1])
	return nil
}

// makeFile opens the database file, and creates it and its directory if necessary, accessible
// by the owner only. SQLite gives its other files the same mode and owner.
func makeFile(path string) (*os.File, error) {
	if path == "" {
		return nil, errors.New("the path of the database file is missing")
	}
	if err := ownfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return ownfile.Open(path, 0o600)
}

// connect opens one connection.
func (s *Store) connect(ctx context.Context) (*conn, error) {
	raw, err := s.openWAL(ctx)
	if err != nil {
		return nil, err
	}
	raw.SetBusyTimeout(s.cfg.BusyTimeout)
	for _, pragma := range []string{
		"synchronous = FULL", // the log is on the disk when a commit returns
		"foreign_keys = ON",
		fmt.Sprintf("cache_size = -%d", s.cfg.CacheBytes>>10),
		"wal_autocheckpoint = 0", // see checkpoint.go
		"temp_store = MEMORY",
		"secure_delete = ON", // what is deleted is overwritten
	} {
		if err := sqlitex.ExecuteTransient(raw, "PRAGMA "+pragma, nil); err != nil {
			raw.Close()
			return nil, err
		}
	}
	return &conn{Conn: raw}, nil
}

// openWAL opens the file in WAL mode. If several processes open a new database at once,
// SQLite returns that it is busy changing the mode, without honouring the busy timeout. So
// openWAL retries.
func (s *Store) openWAL(ctx context.Context) (*sqlite.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.BusyTimeout)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		raw, err := sqlite.OpenConn(s.cfg.Path, sqlite.OpenReadWrite|sqlite.OpenWAL)
		if err == nil || sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy {
			return raw, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// convertBytes is the size up to which Open converts a database, which takes a second. A
// larger one is left to its operator, see docs/storage.md.
const convertBytes = 64 << 20

// convert enables incremental vacuum, which needs pointer maps in the file: for a new
// database, and for a small old one that lacks them. VACUUM rewrites the file. If that is
// not possible now, the next Open tries again.
func (c *conn) convert() {
	mode, err := queryInt(c.Conn, "PRAGMA auto_vacuum")
	if err != nil || mode != 0 {
		return
	}
	pages, err := queryInt(c.Conn, "PRAGMA page_count")
	if err != nil {
		return
	}
	size, err := queryInt(c.Conn, "PRAGMA page_size")
	if err != nil || pages*size > convertBytes {
		return
	}
	_ = sqlitex.ExecuteTransient(c.Conn, "PRAGMA auto_vacuum = INCREMENTAL", nil)
	_ = sqlitex.ExecuteTransient(c.Conn, "VACUUM", nil)
}

//go:embed schema/*.sql
var schemaFiles embed.FS

// migrations returns the files in schema, in their order.
func migrations() ([]string, error) {
	names, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	var scripts []string
	for _, name := range names {
		text, err := fs.ReadFile(schemaFiles, name)
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, string(text))
	}
	return scripts, nil
}

// errNewer means that a newer version of the program has migrated the database.
var errNewer = errors.New("the database belongs to a newer version of roost: run that version, or restore a backup")

// errForeign means that the file belongs to another program.
var errForeign = errors.New("the file is a database of another program: choose another file or data directory")

// migrate migrates the tables to the current version, each step in its own transaction.
// Other processes may do the same at the same time.
func migrate(ctx context.Context, c *conn) error {
	scripts, err := migrations()
	if err != nil {
		return err
	}
	tables, err := queryInt(c.Conn, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	id, err := queryInt(c.Conn, "PRAGMA application_id")
	if err != nil {
		return err
	}
	if tables > 0 && id != appID {
		return errForeign
	}
	version, err := queryInt(c.Conn, "PRAGMA user_version")
	if err != nil {
		return err
	}
	if version > int64(len(scripts)) {
		return errNewer
	}
	return sqlitemigration.Migrate(ctx, c.Conn, sqlitemigration.Schema{AppID: appID, Migrations: scripts})
}

// Close implements store.Store. It finishes the queued writes, and moves the log into the
// database unless another process has the database open.
func (s *Store) Close() error {
	s.writeMu.Lock()
	select {
	case <-s.closed:
		s.writeMu.Unlock()
		return nil
	default:
	}
	close(s.closed)
	close(s.queue)
	s.writeMu.Unlock()

	s.stopCheckpoints()
	// The last connection moves the log into the database and removes it, which two that
	// are closed at the same time leave to each other: one after another.
	s.writer.Wait()
	var errs []error
	for range s.cfg.Readers {
		c := <-s.readers
		errs = append(errs, c.Close())
	}
	errs = append(errs, s.file.Close())
	return s.wrap("close", errors.Join(errs...))
}

// NewestTables returns the version to which Open migrates the tables.
func NewestTables() int {
	scripts, err := migrations()
	if err != nil {
		panic("sqlite: BUG: " + err.Error())
	}
	return len(scripts)
}
