package sqlite

import (
	"fmt"
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
// the little that was added in the meantime and makes the log start over, which needs a moment
// without readers of old pages. So the size of the log is limited to a small multiple of LogBytes
// (beyond that, the writer waits for the goroutine), and a page that changes often is moved once
// for many commits. If another process reads old pages for long, such as roost backup, the log
// grows until that process has finished; the writer tries again each time the log has grown
// by half of LogBytes, but waits only once for the same reader.
//
// The file of the log keeps its space when the log starts over. All commits would wait while the
// file system frees it, for tens of milliseconds, and a commit that makes a file longer takes
// twice as long as one that overwrites it. Only what is more than keptLogs times LogBytes
// is given back, in steps. What the file keeps may be older than the database, so it is truncated
// when an account was deleted, and from time to time (upkeep.go).

// resetWait is how long the writer waits for readers when the log is to start over.
const resetWait = 50 * time.Millisecond

// keptLogs is how much space the file of the log keeps, as a multiple of Config.LogBytes.
const keptLogs = 4

// maxGrowth limits the size of the log during a checkpoint, as a multiple of its size at
// the beginning.
const maxGrowth = 3

// checkpoint is the state of checkpoints.
type checkpoint struct {
	wake chan struct{} // receives one value when the goroutine has work
	done chan int64    // receives how much of the log was moved, in pages, when it may start over
	wg   sync.WaitGroup

	hurry atomic.Bool // the writer waits for the goroutine

	// Owned by the writer.
	running bool
	next    int64 // size of the log at which the next checkpoint starts
	moved   int64 // what the last checkpoint has moved
	tries   int   // how often the log was to start over, for tests
	stuck   int64 // moved when the log could not start over the last time, or -1: as long as it stays the same, so does the reader
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

// maxPasses limits how often the log is moved before the writer makes it start over.
const maxPasses = 8

// moveAll moves what it can of the log to the database on the disk, until little was added
// meanwhile: the rest is moved by the writer, for which all commits wait. It returns how many
// pages of the log were moved.
func (s *Store) moveAll(c *conn) (moved int64) {
	for range maxPasses {
		before := checkpointLog(c, "PASSIVE")
		dirty := (before.moved - moved) * logPageBytes
		// SQLite leaves this to the writer if something was committed meanwhile. An error is
		// the writer's, too, when the log is to start over.
		_ = paced.Sync(s.file, dirty, s.awaited)
		if moved = before.moved; dirty <= 0 { // old pages are being read
			break
		}
		if s.awaited() || logSize(c)-before.size < s.cfg.LogBytes/64 {
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

// logState is the state of the log after a checkpoint.
type logState struct {
	busy  bool  // the log could not start over
	size  int64 // in bytes
	moved int64 // pages of the log that are in the database
}

// logPageBytes is the size of a page in the log, with its header.
const logPageBytes = 4096 + 24

// checkpointLog executes a checkpoint: PASSIVE moves what it can of the log into the database;
// RESTART moves all of it, and makes the next commit write at the beginning of the log; TRUNCATE
// truncates the file, too; NOOP only returns the state. If an error persists, commits get it, too.
func checkpointLog(c *conn, mode string) (l logState) {
	l.busy = true // unless SQLite says something else
	_ = sqlitex.ExecuteTransient(c.Conn, "PRAGMA wal_checkpoint("+mode+")", &sqlitex.ExecOptions{
		ResultFunc: func(st *sqlite.Stmt) error {
			l = logState{busy: st.ColumnInt64(0) != 0, size: st.ColumnInt64(1) * logPageBytes, moved: st.ColumnInt64(2)}
			return nil
		},
	})
	return l
}

// logSize returns the size of the log in bytes.
func logSize(c *conn) int64 { return checkpointLog(c, "NOOP").size }

func (s *Store) stopCheckpoints() { s.checkpoint.wg.Wait() }

// afterCommit is the writer's part of a checkpoint.
func (s *Store) afterCommit(c *conn) {
	k := &s.checkpoint
	size := logSize(c)
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
		s.restartLog(c)
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

// restartLog makes the log start over.
func (s *Store) restartLog(c *conn) {
	s.resetLog(c, "RESTART", resetWait)
	// On a full disk, other processes would take the space.
	if size, keep := s.logFileSize(), keptLogs*s.cfg.LogBytes; size > keep && !s.reserve.deletesOnly {
		// A large file, which readers of old pages have caused, is truncated by the next
		// commit to this size.
		_ = sqlitex.ExecuteTransient(c.Conn, fmt.Sprintf("PRAGMA journal_size_limit = %d", max(keep, size-s.cfg.LogBytes)), nil)
	}
}

// truncateLog makes the log start over, and truncates it. On a full disk, the log keeps its space:
// other processes would take it. wait is how long it waits for readers.
func (s *Store) truncateLog(c *conn, wait time.Duration) {
	if s.reserve.deletesOnly {
		s.resetLog(c, "RESTART", wait)
	} else if s.resetLog(c, "TRUNCATE", wait) {
		s.upkeep.truncated = time.Now()
	}
}

// resetLog makes the log start over, unless old pages are being read for longer than wait, and sets
// the size for the next attempt. It reports whether the log starts over.
func (s *Store) resetLog(c *conn, mode string, wait time.Duration) (ok bool) {
	c.SetBusyTimeout(wait)
	l := checkpointLog(c, mode)
	c.SetBusyTimeout(s.cfg.BusyTimeout)
	k := &s.checkpoint
	k.tries++
	if k.stuck, k.next = -1, s.cfg.LogBytes; l.busy {
		k.stuck, k.next = k.moved, max(s.cfg.LogBytes, l.size+s.cfg.LogBytes/2)
	}
	return !l.busy
}

func (s *Store) logPath() string { return s.cfg.Path + "-wal" }

// logFileSize returns the size of the log's file in bytes. It may be larger than the log.
func (s *Store) logFileSize() int64 {
	info, err := os.Stat(s.logPath())
	if err != nil {
		return 0
	}
	return info.Size()
}
