package sqlite

import (
	"fmt"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"
)

// What the writer does between its callers' writes, in steps of a few
// milliseconds, when something was deleted:
//
//   - It gives pages that are free back to the file system (incremental vacuum).
//     Some are kept, for what is written next.
//   - It has the log moved into the database and cuts it after an account was
//     deleted: the log has pages as they were before.
//   - It takes back the space that a full disk was lent, see reserve.go.
//
// A timer runs only while there is something to do, but for one that looks after the
// reserve once a minute.

const (
	// firstStep is how long after a deletion the first step comes: others that
	// follow it share it.
	firstStep = 100 * time.Millisecond
	// nextStep is the time between two steps, which belongs to the callers.
	nextStep = 10 * time.Millisecond
	// retryStep is the time to the next try of what is not possible now.
	retryStep = 5 * time.Second

	// vacuumPages is how many pages a step gives back.
	vacuumPages = 64
	// keepPages is how many free pages are left, and twice as many are too many.
	keepPages = 256
)

// upkeep is the state of what is to be done. It is owned by the writer.
type upkeep struct {
	timer     *time.Timer // nil: nothing is to be done
	vacuuming bool        // there were too many free pages
	scrub     bool        // the log may have what was deleted
	stepped   func()      // for tests: called after each step; set before the first write
}

// due is when the next step is to be done: never where there is none.
func (u *upkeep) due() <-chan time.Time {
	if u.timer == nil {
		return nil
	}
	return u.timer.C
}

// in has the next step done after d, unless one is to be done already.
func (u *upkeep) in(d time.Duration) {
	if u.timer == nil {
		u.timer = time.NewTimer(d)
	}
}

// step does the next step.
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

// keepReserve fills the reserve where that is possible.
func (s *Store) keepReserve() {
	s.reserve.check()
	if !s.reserve.fill() {
		s.upkeep.in(retryStep)
	}
}

// vacuum gives some pages back and reports whether there are more. A database
// from before there was this has no list of what its pages belong to, and gives
// nothing back until it was converted, see convert.
func (s *Store) vacuum(c *conn) (more bool) {
	u := &s.upkeep
	free, err := number(c.Conn, "PRAGMA freelist_count")
	if err != nil || free <= keepPages || !u.vacuuming && free <= 2*keepPages {
		if u.vacuuming {
			// The file gets shorter when the log is moved into it.
			u.vacuuming, u.scrub = false, true
		}
		return false
	}
	c.SetBusyTimeout(truncateWait)
	defer c.SetBusyTimeout(s.cfg.BusyTimeout)
	err = sqlitex.ExecuteTransient(c.Conn, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", min(vacuumPages, free-keepPages)), nil)
	if err != nil {
		u.in(retryStep) // another process writes, or the disk is full
		return false
	}
	left, err := number(c.Conn, "PRAGMA freelist_count")
	u.vacuuming = err == nil && left < free
	s.afterCommit(c)
	return u.vacuuming
}

// cutLog moves the log into the database and cuts it, most of it by the goroutine
// that does so.
func (s *Store) cutLog(c *conn) {
	u, k := &s.upkeep, &s.checkpoint
	if !k.running {
		if s.logSize() == 0 {
			u.scrub = false
			return
		}
		k.running = true
		k.wake <- struct{}{}
		u.in(nextStep)
		return
	}
	select {
	case <-k.done:
		k.running = false
		s.truncate(c)
		if u.scrub = s.logSize() > 0; u.scrub {
			u.in(retryStep) // somebody reads old pages
		}
	default:
		u.in(nextStep)
	}
}

// noteDeleted is called when a transaction that deleted something is committed.
func (s *Store) noteDeleted(c *conn) {
	if c.scrub {
		s.upkeep.scrub = true
	}
	if c.scrub || c.freed {
		c.scrub, c.freed = false, false
		s.upkeep.in(firstStep)
	}
}

// lastStep is done before the writer ends: what was deleted by a command is not
// left in the log when the command ends, though a server has the database open.
func (s *Store) lastStep(c *conn) {
	for range 10 {
		if !s.upkeep.scrub || s.logSize() == 0 {
			return
		}
		s.truncate(c) // waits for those that read old pages
	}
}
