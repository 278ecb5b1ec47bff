package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// becomeOwner makes a process of root one of the user who owns the data directory, if the
// directory that it writes into is that user's, too. Otherwise that user could lead root to any
// other file by a symbolic link, and could not delete what root leaves if it is killed. A
// directory of any other user is refused for the first of these reasons.
func becomeOwner(dir, data string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	to, err := owner(dir)
	of, e := owner(data)
	if errors.Is(errors.Join(err, e), fs.ErrNotExist) {
		return nil // what uses the directory gives a better error
	}
	if err := errors.Join(err, e); err != nil {
		return err
	}
	switch to.Uid {
	case 0:
		return nil
	case of.Uid:
		return become(to)
	}
	if of.Uid == 0 {
		return fmt.Errorf("%s belongs to %s: as root, use a directory of root", dir, userName(to.Uid))
	}
	return fmt.Errorf("%s belongs to %s: as root, use a directory of root, or of %s, to whom %s belongs", dir, userName(to.Uid), userName(of.Uid), data)
}

// owner returns the status of a directory, which has its owner.
func owner(dir string) (*syscall.Stat_t, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	return info.Sys().(*syscall.Stat_t), nil
}

// become gives up the rights of root, in all threads, for those of the owner of a directory, and
// root's environment of a user for that of the owner: what uses PostgreSQL looks for passwords and
// certificates in HOME, and cannot read those of root.
func become(of *syscall.Stat_t) error {
	group, groups := int(of.Gid), []int(nil)
	env := make(map[string]string)
	// A user whom the system does not know, as in a container, has the directory's group only.
	if u, err := user.LookupId(strconv.Itoa(int(of.Uid))); err == nil {
		env = map[string]string{"HOME": u.HomeDir, "USER": u.Username, "LOGNAME": u.Username}
		if ids, err := u.GroupIds(); err == nil {
			for _, id := range ids {
				if n, err := strconv.Atoi(id); err == nil {
					groups = append(groups, n)
				}
			}
		}
		if n, err := strconv.Atoi(u.Gid); err == nil {
			group = n
		}
	}
	err := syscall.Setgroups(groups)
	if err == nil {
		err = syscall.Setgid(group)
	}
	if err == nil {
		err = syscall.Setuid(int(of.Uid))
	}
	if err != nil {
		return fmt.Errorf("cannot go on as %s, who owns the directories: %w; run it as that user", userName(of.Uid), err)
	}
	for _, name := range []string{"HOME", "USER", "LOGNAME"} {
		if env[name] == "" {
			err = os.Unsetenv(name)
		} else {
			err = os.Setenv(name, env[name])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// userName returns the name of a user, or the number if there is none.
func userName(uid uint32) string {
	id := strconv.Itoa(int(uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}
