package sqlite

import (
	"os"
	"sync"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"
)

// The write-ahead log grows with each commit until a checkpoint moves its pages into the
// database file. By default, SQLite does that in a commit, every thousand pages. Here,
// when the log has grown to Config.LogBytes, a goroutine with its own connection moves
// most of it while the writer continues. Then the writer moves the little that was added
// in the meantime and truncates the file, which needs a moment without readers of old
// pages. So the size of the log is limited to a small multiple of LogBytes (beyond that,
// the writer waits for the goroutine), and a page that changes often is moved once for
// many commits. If another process reads an old page for long, the log grows until that
// process has finished; the writer tries again each time the log has grown by half of
// LogBytes.

// truncateWait is how long the writer waits for readers when it truncates the log.
const truncateWait = 50 * time.Millisecond

// maxGrowth limits the size of the log during a checkpoint, as a multiple of its size at
// the beginning.
const maxGrowth = 3

// checkpoint is the state of checkpoints.
type checkpoint struct {
	wake chan struct{} // receives one value when the goroutine has work
	done chan struct{} // receives one value when the writer may truncate the log
	wg   sync.WaitGroup

	// Owned by the writer.
	running bool
	next    int64 // size of the log at which the next checkpoint starts
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
				// If an error persists, the writer gets it too.
				sqlitex.ExecuteTransient(c.Conn, "PRAGMA wal_checkpoint(PASSIVE)", nil)
				k.done <- struct{}{}
			}
		}
	})
}

func (s *Store) stopCheckpoints() { s.checkpoint.wg.Wait() }

// afterCommit is the writer's part of a checkpoint.
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

// waitCheckpoint waits for a running checkpoint.
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
	s.checkpoint.next = max(s.cfg.LogBytes, s.logSize()+s.cfg.LogBytes/2)
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
