package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"roost/internal/ownfile"
	"roost/store"
	"roost/store/stores"
)

// Files of the data directory, apart from the database and TLS files.
const (
	lockFile    = "lock"    // locked by the running server; contains its process ID and command
	domainsFile = "domains" // domains of the current or last server, one per line
	storeFile   = "store"   // URL of its database, if that is elsewhere
)

// maxCommand limits the part of a command line that is kept and shown, in bytes.
const maxCommand = 200

// locks are files that this process has locked.
type locks []*os.File

// Close releases the locks.
func (l locks) Close() (err error) {
	for _, f := range l {
		err = errors.Join(err, f.Close())
	}
	return err
}

// takeLocks locks a data directory for this process and, unless database is "", also a
// database file elsewhere: of two servers on one database, each would only know its own
// clients.
func takeLocks(dir, database string) (locks, error) {
	f, err := lock(filepath.Join(dir, lockFile), "data directory "+dir)
	if err != nil {
		return nil, err
	}
	if database == "" || filepath.Clean(database) == filepath.Join(dir, stores.FileName) {
		return locks{f}, nil
	}
	err = ownfile.MkdirAll(filepath.Dir(database), 0o700) // as the store would
	if err != nil {
		err = fmt.Errorf("server: directory of the database: %w", err)
		return nil, errors.Join(err, f.Close())
	}
	g, err := lock(database+"-lock", "database "+database)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return locks{f, g}, nil
}

// LockStore locks the file of a store as the server that uses it does, so that no server
// starts until the result is closed. If a server runs, the error says so. A store that is
// not a file has a lock of its own, see store.Options.
func LockStore(location store.Location) (io.Closer, error) {
	file := databaseFile(location)
	if file == "" {
		return locks(nil), nil
	}
	if err := ownfile.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("server: directory of the database: %w", err)
	}
	f, err := lock(file+"-lock", "database "+file)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(file)
	if _, err := os.Stat(filepath.Join(dir, lockFile)); filepath.Base(file) != stores.FileName || errors.Is(err, fs.ErrNotExist) {
		return locks{f}, nil // no data directory of a server
	}
	g, err := lock(filepath.Join(dir, lockFile), "data directory "+dir)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return locks{f, g}, nil
}

// lock takes a lock for this process until the file is closed. It is a kernel lock that
// ends with the process, so a leftover file locks nothing. Commands for accounts do not
// take it, since they run beside a server. Root takes locks in the directory of the server's
// user, such as for roost restore, so a link there is not followed: its target would be
// overwritten.
func lock(name, what string) (*os.File, error) {
	f, err := ownfile.OpenNoFollow(name, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("server: lock the %s: %s is a symbolic link, which is not followed: delete it", what, name)
	}
	if err != nil {
		return nil, fmt.Errorf("server: lock the %s: %w", what, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("server: the %s is in use by %s: stop that server, or use another one", what, lockHolder(f))
		return nil, errors.Join(err, f.Close())
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n%s\n", os.Getpid(), printable(commandOf(os.Args)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("server: lock the %s: %w", what, err), f.Close())
	}
	return f, nil
}

// commandOf returns a command line for the file of a lock, and for the log of whoever finds it locked:
// URLs, such as that of --store, are without passwords.
func commandOf(args []string) string {
	shown := make([]string, len(args))
	for i, arg := range args {
		flag, value := "", arg
		if before, after, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(arg, "-") {
			flag, value = before+"=", after
		}
		if strings.Contains(value, "://") {
			value = stores.Redact(value)
		}
		shown[i] = flag + value
	}
	return strings.Join(shown, " ")
}

// lockHolder returns the process that holds a lock, as that process has recorded it in
// the file.
func lockHolder(f io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(f, 2*maxCommand))
	pid, command, _ := strings.Cut(string(text), "\n")
	if n, err := strconv.Atoi(pid); err != nil || n <= 0 {
		return "another process"
	}
	if command = printable(strings.TrimSuffix(command, "\n")); command == "" {
		return "process " + pid
	}
	return fmt.Sprintf("process %s (%s)", pid, command)
}

// printable makes a text safe to show in one line of a message.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if len(text) > maxCommand {
		text = strings.ToValidUTF8(text[:maxCommand], "") + "…"
	}
	return text
}

// recordDomains records the served domains for the commands for accounts.
func recordDomains(dir string, domains []string) error {
	text := []byte(strings.Join(domains, "\n") + "\n")
	name := filepath.Join(dir, domainsFile)
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
		return nil
	}
	if err := ownfile.Write(name, text, 0o600); err != nil {
		return fmt.Errorf("server: record the domains: %w", err)
	}
	return nil
}

// recordStore records where the database is, for commands that would otherwise use one that was
// left in the data directory. database is its file, "" if it has none.
func recordStore(dir, storeURL, database string) error {
	name, err := filepath.Abs(filepath.Join(dir, storeFile))
	if err == nil && database != "" {
		database, err = filepath.Abs(database)
		storeURL = stores.InFile(database)
	}
	switch {
	case err != nil:
	case database == filepath.Join(filepath.Dir(name), stores.FileName):
		if err = os.Remove(name); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	default:
		text := []byte(stores.Redact(storeURL) + "\n")
		if old, e := os.ReadFile(name); e != nil || !bytes.Equal(old, text) {
			err = ownfile.Write(name, text, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("server: record the database: %w", err)
	}
	return nil
}

// StoreElsewhere returns the URL, without its password, of the database that the server of a data
// directory uses or last used. It is "" if that is the one in the directory, before a server has
// run.
func StoreElsewhere(dataDir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, storeFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("server: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// ServedDomains returns the domains that the server of a data directory serves or last
// served, in normalized form. It returns none before a server has run.
func ServedDomains(dataDir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, domainsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("server: %w", err)
	}
	return strings.Fields(string(text)), nil
}
