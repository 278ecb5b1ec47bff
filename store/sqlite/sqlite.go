// Package sqlite keeps a store.Store in one SQLite database file, by a driver
// in pure Go.
//
// # Goroutines
//
// One goroutine, the writer, owns the only connection that writes. It puts the
// writes that wait into one transaction (group commit) and answers their
// callers when that is on the disk. Reads run on the caller's goroutine, on a
// connection from a small pool; WAL mode keeps them out of the writer's way.
// Another goroutine moves the log into the database file, see checkpoint.go.
//
// Several processes may have one database open.
package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/internal/ownfile"
	"roost/store"
)

// FileName is the name of the database in a data directory.
const FileName = "roost.db"

// appID marks a file as a database of roost (PRAGMA application_id).
const appID = 0x72_6f_73_74 // "rost"

// Config is what Open needs. Zero values take the default given.
type Config struct {
	// Path is the database file. It and its directory are made when they are
	// missing, readable by their owner only. Required.
	Path string

	// Readers is the number of connections for reads. Default 4.
	Readers int

	// CacheBytes is the page cache of each connection. Default 512 KiB, which
	// holds the inner pages of a million accounts; the system caches the file.
	CacheBytes int

	// BusyTimeout is how long a write waits for another process's. Default 10
	// seconds.
	BusyTimeout time.Duration

	// LogBytes is the size of the write-ahead log at which it is moved into the
	// database. Default 16 MiB.
	LogBytes int64

	// ReserveBytes is the size of a file beside the database whose space deletions
	// get when the disk is full. They need no more than LogBytes and what one of
	// them writes. Default 32 MiB; below 0: there is none.
	ReserveBytes int64

	// WatchInterval is how often Watch looks for what other processes have written.
	// Default 1 second.
	WatchInterval time.Duration

	// Options are those of every kind of store.
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
	readers chan *conn    // those that are free
	closed  chan struct{} // closed by Close

	// writeMu is held for reading while a write is handed over, and for
	// writing by Close: then no write is underway to the queue.
	writeMu sync.RWMutex
	queue   chan *write
	spare   sync.Pool // of *write; not shared by stores: a test in virtual time must keep its channels
	writer  sync.WaitGroup

	checkpoint checkpoint
	commits    atomic.Int64
	waiting    atomic.Int64 // writes in the queue or under way
	reserve    reserve      // owned by the writer
	upkeep     upkeep       // owned by the writer
}

var _ store.Store = (*Store)(nil)

// Open opens or makes a database and brings its tables up to date.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	s := &Store{
		cfg:     cfg,
		readers: make(chan *conn, cfg.Readers),
		closed:  make(chan struct{}),
		queue:   make(chan *write, maxBatch),
		spare:   sync.Pool{New: newWrite},
	}
	if err := s.open(ctx); err != nil {
		return nil, s.wrap("open "+cfg.Path, err)
	}
	return s, nil
}

// open makes the file and all connections, and starts the goroutines.
func (s *Store) open(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := makeFile(s.cfg.Path); err != nil {
		return err
	}
	var opened []*conn
	defer func() {
		if err != nil {
			for _, c := range opened {
				c.Close()
			}
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

// makeFile makes the database file and its directory, for the owner's eyes only:
// SQLite gives its other files the same mode and the same owner.
func makeFile(path string) error {
	if path == "" {
		return errors.New("no path of a database file given")
	}
	if err := ownfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := ownfile.Open(path, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
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

// openWAL opens the file in WAL mode. Where several processes open a new database
// at once, SQLite answers that it is busy with the change of mode without waiting
// as long as it was told to; so the waiting is done here.
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

// convertBytes is the size up to which a database is converted when it is opened,
// which takes a second. A larger one is left to its operator, see docs/tuning.md.
const convertBytes = 64 << 20

// convert has the database give back free pages, which needs lists of what its
// pages belong to: a new one gets them here, and so does a small one from before
// there was an upkeep. It is written anew for that. Where that is not possible
// now, it is tried when the database is opened next.
func (c *conn) convert() {
	mode, err := number(c.Conn, "PRAGMA auto_vacuum")
	if err != nil || mode != 0 {
		return
	}
	pages, err := number(c.Conn, "PRAGMA page_count")
	if err != nil {
		return
	}
	size, err := number(c.Conn, "PRAGMA page_size")
	if err != nil || pages*size > convertBytes {
		return
	}
	_ = sqlitex.ExecuteTransient(c.Conn, "PRAGMA auto_vacuum = INCREMENTAL", nil)
	_ = sqlitex.ExecuteTransient(c.Conn, "VACUUM", nil)
}

//go:embed schema/*.sql
var schemaFiles embed.FS

// migrations are the files in schema, in their order.
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
var errNewer = errors.New("the database was made by a newer version of roost: run that version, or restore a backup")

// errForeign means that the file belongs to another program.
var errForeign = errors.New("the file is a database of another program, which roost leaves alone: choose another file or data directory")

// migrate brings the tables up to date, each step in a transaction of its own.
// Other processes may try the same.
func migrate(ctx context.Context, c *conn) error {
	scripts, err := migrations()
	if err != nil {
		return err
	}
	tables, err := number(c.Conn, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	id, err := number(c.Conn, "PRAGMA application_id")
	if err != nil {
		return err
	}
	if tables > 0 && id != appID {
		return errForeign
	}
	version, err := number(c.Conn, "PRAGMA user_version")
	if err != nil {
		return err
	}
	if version > int64(len(scripts)) {
		return errNewer
	}
	return sqlitemigration.Migrate(ctx, c.Conn, sqlitemigration.Schema{AppID: appID, Migrations: scripts})
}

// Close implements store.Store. It answers the writes that wait, and moves the
// log into the database unless another process has it open.
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
	var errs []error
	for range s.cfg.Readers {
		c := <-s.readers
		errs = append(errs, c.Close())
	}
	s.writer.Wait()
	return s.wrap("close", errors.Join(errs...))
}
