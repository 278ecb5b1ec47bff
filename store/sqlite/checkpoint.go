package sqlite

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/internal/paced"
)

// The write-ahead log grows with each commit until a checkpoint moves its pages into the
// database file. By default, SQLite does that in a commit, every thousand pages. Here,
// when the log has grown to Config.LogBytes, a goroutine with its own connection moves
// most of it to the database on the disk while the writer continues. Then the writer moves
// the little that was added in the meantime and truncates the file, which needs a moment
// without readers of old pages. So the size of the log is limited to a small multiple of LogBytes (beyond that,
// the writer waits for the goroutine), and a page that changes often is moved once for
// many commits. If another process reads old pages for long, such as roost backup, the log
// grows until that process has finished; the writer tries again each time the log has grown
// by half of LogBytes, but waits only once for the same reader.

// truncateWait is how long the writer waits for readers when it truncates the log.
const truncateWait = 50 * time.Millisecond

// maxGrowth limits the size of the log during a checkpoint, as a multiple of its size at
// the beginning.
const maxGrowth = 3

// checkpoint is the state of checkpoints.
type checkpoint struct {
	wake chan struct{} // receives one value when the goroutine has work
	done chan int64    // receives how much of the log was moved, in pages, when the writer may truncate it
	wg   sync.WaitGroup

	hurry atomic.Bool // the writer waits for the goroutine

	// Owned by the writer.
	running bool
	next    int64 // size of the log at which the next checkpoint starts
	moved   int64 // what the last checkpoint has moved
	tries   int   // how often the log was to be truncated, for tests
	stuck   int64 // moved when the log could not be truncated the last time, or -1: as long as it stays the same, so does the reader
}

// startCheckpoints starts the goroutine, which owns c.
func (s *Store) startCheckpoints(c *conn) {
	k := &s.checkpoint
	k.wake, k.done, k.next = make(chan struct{}, 1), make(chan int64, 1), s.cfg.LogBytes
	k.stuck = -1
	k.wg.Go(func() {
		defer c.Close()
		for {
			select {
			case <-s.closed:
				return
			case <-k.wake:
				k.done <- s.moveAll(c)
			}
		}
	})
}

// maxPasses limits how often the log is moved before the writer truncates it.
const maxPasses = 4

// moveAll moves what it can of the log to the database on the disk, until little was added
// meanwhile: the rest is moved by the writer, for which all commits wait. It returns how many
// pages of the log were moved.
func (s *Store) moveAll(c *conn) (moved int64) {
	for range maxPasses {
		before := s.logSize()
		moved = moveLog(c)
		// SQLite leaves this to the writer if something was committed meanwhile. An error is
		// the writer's, too, when it truncates the log.
		_ = paced.Sync(s.file, s.awaited)
		if s.awaited() || s.logSize()-before < s.cfg.LogBytes/16 {
			break
		}
	}
	return moved
}

// awaited reports whether somebody waits for the goroutine.
func (s *Store) awaited() bool {
	select {
	case <-s.closed:
		return true
	default:
		return s.checkpoint.hurry.Load()
	}
}

// moveLog moves what it can of the log into the database, and returns how many pages of the
// log are there. If an error persists, the writer gets it too.
func moveLog(c *conn) (moved int64) {
	_ = sqlitex.ExecuteTransient(c.Conn, "PRAGMA wal_checkpoint(PASSIVE)", &sqlitex.ExecOptions{
		ResultFunc: func(st *sqlite.Stmt) error {
			moved = st.ColumnInt64(2)
			return nil
		},
	})
	return moved
}

func (s *Store) stopCheckpoints() { s.checkpoint.wg.Wait() }

// afterCommit is the writer's part of a checkpoint.
func (s *Store) afterCommit(c *conn) {
	k := &s.checkpoint
	size := s.logSize()
	if !k.running {
		if size >= k.next {
			k.running = true
			k.hurry.Store(false)
			k.wake <- struct{}{}
		}
		return
	}
	if size >= maxGrowth*k.next {
		s.waitCheckpoint()
	}
	select {
	case k.moved = <-k.done:
		k.running = false
	default:
	}
	switch {
	case k.running:
	case k.moved == k.stuck:
		k.next = size + s.cfg.LogBytes/2
	default:
		s.truncate(c)
	}
}

// waitCheckpoint waits for a running checkpoint.
func (s *Store) waitCheckpoint() {
	k := &s.checkpoint
	if !k.running {
		return
	}
	k.hurry.Store(true)
	select {
	case k.moved = <-k.done:
		k.running = false
	case <-s.closed:
	}
}

// truncate truncates the log and sets the size for the next attempt. On a full disk, the
// log keeps its space and only starts over: other processes would take the space.
func (s *Store) truncate(c *conn) {
	mode := "TRUNCATE"
	if s.reserve.deletesOnly {
		mode = "RESTART"
	}
	c.SetBusyTimeout(truncateWait)
	sqlitex.ExecuteTransient(c.Conn, "PRAGMA wal_checkpoint("+mode+")", nil)
	c.SetBusyTimeout(s.cfg.BusyTimeout)
	k, left := &s.checkpoint, s.logSize()
	k.tries++
	k.next = max(s.cfg.LogBytes, left+s.cfg.LogBytes/2)
	if k.stuck = -1; left > 0 {
		k.stuck = k.moved
	}
}

func (s *Store) logPath() string { return s.cfg.Path + "-wal" }

// logSize returns the size of the log in bytes.
func (s *Store) logSize() int64 {
	info, err := os.Stat(s.logPath())
	if err != nil {
		return 0
	}
	return info.Size()
}
