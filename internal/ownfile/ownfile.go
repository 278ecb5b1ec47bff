// Package ownfile creates files and directories that belong to the owner of the directory
// that contains them.
//
// A server runs as its own user, but an operator often runs its commands as root. Files
// that root creates in the server's data directory must belong to the server's user;
// otherwise the server does not start the next time.
package ownfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Open opens a file for reading and writing. It creates a missing file with this mode.
func Open(name string, mode fs.FileMode) (*os.File, error) { return open(name, os.O_RDWR, mode) }

// OpenNoFollow is Open, but refuses a symbolic link: root must not write wherever the owner of
// the directory wants.
func OpenNoFollow(name string, mode fs.FileMode) (*os.File, error) {
	return open(name, os.O_RDWR|syscall.O_NOFOLLOW, mode)
}

// Append opens a file for reading and appending. It creates a missing file with this mode. It
// refuses a symbolic link, as OpenNoFollow does.
func Append(name string, mode fs.FileMode) (*os.File, error) {
	return open(name, os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, mode)
}

func open(name string, flags int, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flags|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(name, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	if err := give(f, filepath.Dir(name)); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// toDisk has the system write a file or directory to the disk; tests replace it.
var toDisk = (*os.File).Sync

// Write replaces the content of a file atomically: a reader sees either the old content
// or the new one, also after a power failure. It creates a missing file with this mode.
func Write(name string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), give(f, filepath.Dir(name)))
	if err == nil {
		err = toDisk(f) // first: the name must not lead to a file whose content is not there yet
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir has the names in a directory written to the disk, where the file system can do that for a
// directory, and this user may list it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	err = toDisk(d)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// MkdirAll creates a directory and its missing parents with this mode.
func MkdirAll(dir string, mode fs.FileMode) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if above := filepath.Dir(dir); above != dir {
		if err := MkdirAll(above, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, mode); err != nil {
		if info, e := os.Stat(dir); e == nil && info.IsDir() {
			return nil // created concurrently
		}
		return err
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(give(f, filepath.Dir(dir)), f.Close())
}

// What package syscall does not have: open(2), fchownat(2).
const (
	oPath       = 0x200000
	atEmptyPath = 0x1000
)

// Give gives a socket or a symbolic link to the owner and group of its directory. That owner
// may have replaced it by a link to a file that must stay root's: what has more than one
// name, or is something else, is left alone.
func Give(name string) error {
	return giveTo(filepath.Dir(name), func(uid, gid int) error {
		fd, err := syscall.Open(name, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: name, Err: err}
		}
		defer syscall.Close(fd)
		var st syscall.Stat_t
		if err := syscall.Fstat(fd, &st); err != nil {
			return &fs.PathError{Op: "stat", Path: name, Err: err}
		}
		if kind := st.Mode & syscall.S_IFMT; st.Nlink != 1 || kind != syscall.S_IFSOCK && kind != syscall.S_IFLNK {
			return nil
		}
		return syscall.Fchownat(fd, "", uid, gid, atEmptyPath)
	})
}

// give gives an open file to the owner and group of a directory.
func give(f *os.File, dir string) error { return giveTo(dir, f.Chown) }

// giveTo calls chown with the owner and group of a directory. Only root may change owners,
// and not in every container: if the kernel refuses, or does not know the owner, the file
// stays as it is.
func giveTo(dir string, chown func(uid, gid int) error) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	err = chown(int(owner.Uid), int(owner.Gid))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
