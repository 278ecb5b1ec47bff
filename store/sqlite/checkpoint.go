package sqlite

import (
	"os"
	"sync"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"
)

// The write-ahead log grows by each commit until a checkpoint moves its pages
// into the database file. SQLite's own way does that within somebody's commit,
// every thousand pages. Here, when the log has grown to Config.LogBytes, a
// goroutine with a connection of its own moves most of it while the writer goes
// on; then the writer moves the little that was added meanwhile and cuts the
// file, which needs a moment without readers of old pages. So the log stays
// within a small multiple of LogBytes (past that the writer waits for the
// goroutine), and a page that changes often is moved once for many commits. If
// another process holds an old page for long, the log grows until it lets go;
// it is tried again each time the log has grown by half of LogBytes.

// truncateWait is how long the writer waits for readers when it cuts the log.
const truncateWait = 50 * time.Millisecond

// maxGrowth is how many times larger than at its beginning the log may become
// during a checkpoint.
const maxGrowth = 3

// checkpoint is the state of the log's upkeep.
type checkpoint struct {
	wake chan struct{} // one token: the goroutine has something to do
	done chan struct{} // one token: the writer may cut the log
	wg   sync.WaitGroup

	// Owned by the writer.
	running bool
	next    int64 // size of the log at which something is done
}

// startCheckpoints starts the goroutine, which owns c.
func (s *Store) startCheckpoints(c *conn) {
	k := &s.checkpoint
	k.wake, k.done, k.next = make(chan struct{}, 1), make(chan struct{}, 1), s.cfg.LogBytes
	k.wg.Go(func() {
		defer c.Close()
		for {
			select {
			case <-s.closed:
				return
			case <-k.wake:
				// An error here comes again in the writer's turn, or not at all.
				sqlitex.ExecuteTransient(c.Conn, "PRAGMA wal_checkpoint(PASSIVE)", nil)
				k.done <- struct{}{}
			}
		}
	})
}

func (s *Store) stopCheckpoints() { s.checkpoint.wg.Wait() }

// afterCommit is the writer's part.
func (s *Store) afterCommit(c *conn) {
	k := &s.checkpoint
	size := s.logSize()
	if !k.running {
		if size >= k.next {
			k.running = true
			k.wake <- struct{}{}
		}
		return
	}
	if size >= maxGrowth*k.next {
		s.waitCheckpoint()
	}
	select {
	case <-k.done:
		k.running = false
	default:
	}
	if !k.running {
		s.truncate(c)
	}
}

// waitCheckpoint waits for a checkpoint that runs.
func (s *Store) waitCheckpoint() {
	k := &s.checkpoint
	if !k.running {
		return
	}
	select {
	case <-k.done:
		k.running = false
	case <-s.closed:
	}
}

// truncate cuts the log and sets when that is to be tried again. On a full disk
// the log keeps its space, to be written from its beginning: others would take it.
func (s *Store) truncate(c *conn) {
	mode := "TRUNCATE"
	if s.reserve.lent {
		mode = "RESTART"
	}
	c.SetBusyTimeout(truncateWait)
	sqlitex.ExecuteTransient(c.Conn, "PRAGMA wal_checkpoint("+mode+")", nil)
	c.SetBusyTimeout(s.cfg.BusyTimeout)
	s.checkpoint.next = max(s.cfg.LogBytes, s.logSize()+s.cfg.LogBytes/2)
}

func (s *Store) logPath() string { return s.cfg.Path + "-wal" }

// logSize is the size of the log in bytes.
func (s *Store) logSize() int64 {
	info, err := os.Stat(s.logPath())
	if err != nil {
		return 0
	}
	return info.Size()
}
