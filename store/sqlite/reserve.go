package sqlite

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"zombiezen.com/go/sqlite"

	"roost/internal/ownfile"
)

// On a full disk, SQLite cannot even delete, because it writes deletions to the log first.
// A message that was delivered and cannot be deleted would be delivered again after the
// next start. So the store keeps a file of some size beside the database. When the disk
// is full, it truncates that file for the benefit of deletions: half of the space goes to
// the log at once, before another process takes it. Each deletion then has a transaction
// of its own, because it would fail together with writes that need more space. When the
// disk has space again, the file gets its size back.

// reserve is that file.
type reserve struct {
	path        string
	size        int64 // 0 means that there is no file
	ready       bool  // the file has its size
	deletesOnly bool  // the disk was full: only deletions are written, and the log keeps its space
}

// reserveCheck is the interval at which the store checks that the reserve still exists. A
// command in another process may have used it on a full disk without restoring it, or
// somebody may have removed it. On the next full disk, it would be missing.
const reserveCheck = time.Minute

// check notices if the file was removed or truncated.
func (r *reserve) check() {
	if !r.ready {
		return
	}
	info, err := os.Lstat(r.path)
	r.ready = err == nil && info.Mode().IsRegular() && info.Size() >= r.size
}

// full reports whether nothing is left to reserve.
func (r *reserve) full() bool { return r.ready || r.size <= 0 }

// fill reserves the space if the disk has twice as much, and reports whether it is
// reserved. If the file cannot be created, there is no reserve.
func (r *reserve) fill() bool {
	if r.full() {
		return true
	}
	if info, err := os.Lstat(r.path); err == nil && !info.Mode().IsRegular() {
		return false // somebody has put a link there, which must not be followed
	}
	f, err := ownfile.OpenNoFollow(r.path, 0o600)
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
			r.deletesOnly = r.deletesOnly && free < r.size
			return false
		}
		if err := unix.Fallocate(int(f.Fd()), 0, 0, r.size); err != nil {
			_ = f.Truncate(0)
			if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
				r.size, r.deletesOnly = 0, false // this file system reserves nothing
				return true
			}
			return false
		}
	}
	r.ready, r.deletesOnly = true, false
	return true
}

// release frees the space for deletions, and gives half of it to the log. From then on,
// only deletions are written until there is as much space again: other writes would use
// what deletions need.
func (r *reserve) release(log string) {
	if r.size <= 0 {
		return
	}
	ready := r.ready
	r.ready, r.deletesOnly = false, true
	if info, err := os.Lstat(r.path); !ready || err != nil || !info.Mode().IsRegular() || os.Truncate(r.path, 0) != nil {
		return
	}
	f, err := os.OpenFile(log, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	// The space is beyond the end of the log and so no part of its content. If the file
	// system cannot allocate it, the log takes space as it grows.
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, r.size/2)
}

// errFull is the error of writes other than deletions while the reserve is released.
var errFull = sqlite.ResultFull.ToError()

// isFull reports whether err means that the disk is full.
func isFull(err error) bool { return sqlite.ErrCode(err).ToPrimary() == sqlite.ResultFull }

// deleteAnyway repeats the deletions of a transaction that has failed because the disk is
// full, each in a transaction of its own. They need space in the log. The log has the
// space that release gave it, once its content is in the database and it starts over;
// moving the content may need the other half of the reserve. After that, deletions need
// no more space, however many there are.
func (s *Store) deleteAnyway(c *conn, batch []*write) {
	for _, w := range batch {
		if w.mode&deletes == 0 {
			continue
		}
		w.err = s.alone(c, w)
		if isFull(w.err) {
			s.reserve.release(s.logPath())
			s.waitCheckpoint() // it would prevent the log from starting over
			s.truncateLog(c, resetWait)
			w.err = s.alone(c, w)
		}
	}
	if !s.reserve.full() {
		s.upkeep.in(retryStep)
	}
}

// alone runs one write in its own transaction.
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
