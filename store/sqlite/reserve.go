package sqlite

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"zombiezen.com/go/sqlite"

	"roost/internal/ownfile"
)

// On a full disk SQLite cannot even delete: that is written to the log first. A
// message that was delivered and cannot be deleted would be delivered again after
// the next start. So a file of some size is kept beside the database; when the
// disk is full, it is emptied, and deletions get its space: half of it is given to
// the log at once, before another process takes it. Deletions are done alone then:
// in one transaction with writes that need more space, they would fail with them.
// When there is space again, the file is filled again.

// reserve is the file.
type reserve struct {
	path  string
	size  int64 // 0: there is to be none
	ready bool  // the file has its size
	lent  bool  // the disk was full: only deletions are written, and the log keeps its space
}

// reserveCheck is how often it is looked whether the reserve is still there: a
// command of another process has emptied it where the disk was full, and ends without
// filling it again, or a person has removed it. Until that is noticed the next full
// disk finds nothing to lend.
const reserveCheck = time.Minute

// check notices that the file is gone or smaller.
func (r *reserve) check() {
	if !r.ready {
		return
	}
	info, err := os.Lstat(r.path)
	r.ready = err == nil && info.Mode().IsRegular() && info.Size() >= r.size
}

// full reports whether there is no more to reserve.
func (r *reserve) full() bool { return r.ready || r.size <= 0 }

// fill reserves the space, where as much is free besides, and reports whether it
// is reserved. A file that cannot be made is done without.
func (r *reserve) fill() bool {
	if r.full() {
		return true
	}
	if info, err := os.Lstat(r.path); err == nil && !info.Mode().IsRegular() {
		return false // a link that somebody has put there leads elsewhere
	}
	f, err := ownfile.Open(r.path, 0o600)
	if err != nil {
		return false
	}
	defer f.Close()
	var fs unix.Statfs_t
	info, err := f.Stat()
	if err != nil || unix.Fstatfs(int(f.Fd()), &fs) != nil {
		return false
	}
	if info.Size() < r.size {
		if free := int64(fs.Bavail) * fs.Bsize; free < 2*r.size {
			r.lent = r.lent && free < r.size
			return false
		}
		if err := unix.Fallocate(int(f.Fd()), 0, 0, r.size); err != nil {
			_ = f.Truncate(0)
			if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
				r.size, r.lent = 0, false // this file system reserves nothing
				return true
			}
			return false
		}
	}
	r.ready, r.lent = true, false
	return true
}

// release lends the space to deletions, half of it to this log. From then on only
// deletions are written, until there is as much space again: others would take what
// they need.
func (r *reserve) release(log string) {
	if r.size <= 0 {
		return
	}
	ready := r.ready
	r.ready, r.lent = false, true
	if info, err := os.Lstat(r.path); !ready || err != nil || !info.Mode().IsRegular() || os.Truncate(r.path, 0) != nil {
		return
	}
	f, err := os.OpenFile(log, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	// Space past the end of the log is no part of it. Where the file system cannot do
	// this, the log takes what it needs as it grows.
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, r.size/2)
}

// errLent is the error of what is not written while the reserve is lent.
var errLent = sqlite.ResultFull.ToError()

// isFull reports whether err means that the disk is full.
func isFull(err error) bool { return sqlite.ErrCode(err).ToPrimary() == sqlite.ResultFull }

// deleteAnyway does the deletions of a transaction that has failed because the
// disk is full, each in a transaction of its own. What they need is space in the
// log: there is as much as the log was given, once all of it is in the database and
// it is begun anew; and getting it into the database may need the other half of the
// reserve. After that deletions need no more, however many there are.
func (s *Store) deleteAnyway(c *conn, batch []*write) {
	for _, w := range batch {
		if w.mode&frees == 0 {
			continue
		}
		w.err = s.alone(c, w)
		if isFull(w.err) {
			s.reserve.release(s.logPath())
			s.waitCheckpoint() // it would keep the log from being begun anew
			s.truncate(c)
			w.err = s.alone(c, w)
		}
	}
	if !s.reserve.full() {
		s.upkeep.in(retryStep)
	}
}

// alone runs one write in a transaction of its own.
func (s *Store) alone(c *conn, w *write) error {
	err := c.exec(qBegin)
	if err != nil {
		return err
	}
	if err = w.run(c); err == nil {
		err = c.exec(qCommit)
	}
	if err != nil {
		c.rollback()
	}
	return err
}
