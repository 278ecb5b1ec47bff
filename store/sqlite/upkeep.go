package sqlite

import (
	"fmt"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"
)

// After deletions, the writer does this between its callers' writes, in steps of a few
// milliseconds:
//
//   - It returns free pages to the file system (incremental vacuum). It keeps some for
//     the next writes.
//   - After an account was deleted, it has the log moved into the database and truncates
//     it, because the log has older versions of the pages. Every ten minutes it does so in any
//     case: for what else was deleted, and for what other processes have deleted or left.
//   - It restores the reserve for a full disk, see reserve.go.
//
// Timers run only while there is something to do, except the one that checks the reserve
// once a minute.

const (
	// firstStep is the delay of the first step after a deletion, so that deletions
	// that follow share the step.
	firstStep = 100 * time.Millisecond
	// nextStep is the time between two steps, which is for the callers' writes.
	nextStep = 10 * time.Millisecond
	// retryStep is the delay before the next attempt after a failed one.
	retryStep = 5 * time.Second

	// logLife is how long the file of the log keeps what was written to it, about.
	logLife = 10 * time.Minute

	// vacuumPages is the number of pages that a step returns.
	vacuumPages = 64
	// keepPages is the number of free pages to keep. A vacuum starts when there are
	// twice as many.
	keepPages = 256
)

// upkeep is the state of this work. The writer owns it.
type upkeep struct {
	timer     *time.Timer // for the next step; nil if there is nothing to do
	vacuuming bool        // there were too many free pages
	scrub     bool        // the log may contain deleted data
	truncated time.Time   // when the log was truncated last
	commits   int64       // at the last call of limitLife
	stepped   func()      // for tests: called after each step; set before the first write
}

// due returns the channel that receives when the next step is due; nil if there is none.
func (u *upkeep) due() <-chan time.Time {
	if u.timer == nil {
		return nil
	}
	return u.timer.C
}

// in schedules the next step after d unless one is scheduled already.
func (u *upkeep) in(d time.Duration) {
	if u.timer == nil {
		u.timer = time.NewTimer(d)
	}
}

// step executes the next step.
func (s *Store) step(c *conn) {
	u := &s.upkeep
	u.timer = nil
	if s.vacuum(c) {
		u.in(nextStep)
	}
	if u.scrub && !u.vacuuming {
		s.cutLog(c)
	}
	s.keepReserve()
	if u.stepped != nil {
		u.stepped()
	}
}

// keepReserve fills the reserve if possible.
func (s *Store) keepReserve() {
	s.reserve.check()
	if !s.reserve.fill() {
		s.upkeep.in(retryStep)
	}
}

// vacuum returns some pages to the file system and reports whether more can be returned.
// It does nothing for an old database until that was converted, see convert.
func (s *Store) vacuum(c *conn) (more bool) {
	u := &s.upkeep
	free, err := queryInt(c.Conn, "PRAGMA freelist_count")
	if err != nil || free <= keepPages || !u.vacuuming && free <= 2*keepPages {
		if u.vacuuming {
			// The file shrinks when the log is moved into it.
			u.vacuuming, u.scrub = false, true
		}
		return false
	}
	c.SetBusyTimeout(resetWait)
	defer c.SetBusyTimeout(s.cfg.BusyTimeout)
	err = sqlitex.ExecuteTransient(c.Conn, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", min(vacuumPages, free-keepPages)), nil)
	if err != nil {
		u.in(retryStep) // another process is writing, or the disk is full
		return false
	}
	left, err := queryInt(c.Conn, "PRAGMA freelist_count")
	u.vacuuming = err == nil && left < free
	s.afterCommit(c)
	return u.vacuuming
}

// cutLog moves the log into the database and truncates it. The checkpoint goroutine moves
// most of it.
func (s *Store) cutLog(c *conn) {
	u, k := &s.upkeep, &s.checkpoint
	if !k.running {
		if s.logFileSize() == 0 {
			u.scrub = false
			return
		}
		k.running = true
		k.wake <- struct{}{}
		u.in(nextStep)
		return
	}
	select {
	case k.moved = <-k.done:
		k.running = false
		wait := resetWait
		if k.moved == k.stuck {
			wait = 0 // it has waited for this reader, such as a long backup
		}
		s.truncateLog(c, wait)
		if u.scrub = s.logFileSize() > 0; u.scrub {
			u.in(retryStep) // old pages are being read
		}
	default:
		u.in(nextStep)
	}
}

// limitLife has the log truncated if it was not for logLife. It is called from time to time.
func (s *Store) limitLife(now time.Time) {
	u, size, commits := &s.upkeep, s.logFileSize(), s.commits.Load()
	idle := commits == u.commits
	u.commits = commits
	switch {
	case size == 0, now.Sub(u.truncated) < logLife:
	case size > keptLogs*s.cfg.LogBytes && !idle: // restartLog gives its space back in steps
	default:
		u.scrub = true
		u.in(firstStep)
	}
}

// noteDeleted is called after each commit and schedules a step if something was deleted.
func (s *Store) noteDeleted(c *conn) {
	if c.scrub {
		s.upkeep.scrub = true
	}
	if c.scrub || c.freed {
		c.scrub, c.freed = false, false
		s.upkeep.in(firstStep)
	}
}

// lastStep runs before the writer ends, so that data deleted by a command is not left in
// the log when the command ends and a server still has the database open.
func (s *Store) lastStep(c *conn) {
	s.stopCheckpoints() // one of them would prevent it
	for range 10 {
		if !s.upkeep.scrub || s.logFileSize() == 0 {
			return
		}
		s.truncateLog(c, resetWait) // waits for readers of old pages
		if s.logFileSize() > 0 {
			<-time.After(resetWait) // but not for a checkpoint of another process
		}
	}
}
