package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"roost/admin/api"
	"roost/backup"
	"roost/internal/cli"
	"roost/internal/version"
	"roost/server"
	"roost/store"
	"roost/store/stores"
)

// backupCmd writes a backup.
type backupCmd struct {
	File string `arg:"" type:"path" help:"File to write, or an existing directory, in which the file gets the time as its name. An older backup of the same name is replaced."`
	Keep int    `env:"ROOST_BACKUP_KEEP" placeholder:"N" help:"Delete all but the newest N backups in the directory afterwards (default: none)."`
	dataFlags
}

// Help implements kong's HelpProvider.
func (c *backupCmd) Help() string {
	return "The backup has everything as it was at one moment: accounts, rosters, messages, and the files of the data directory that the server needs, among them keys. " +
		"Keep it as secret as the data directory. It needs twice the size of the database on the disk of FILE while it is made. " +
		"A database of PostgreSQL is saved by pg_dump. roost restore reads the backup."
}

// Validate is called by kong after parsing.
func (c *backupCmd) Validate() error {
	if c.Keep < 0 {
		return errors.New("--keep must be 1 or more")
	}
	return nil
}

// Run writes the backup.
func (c *backupCmd) Run() error {
	ctx, stop := cli.Interrupted()
	defer stop()
	info, err := os.Stat(c.File)
	directory := err == nil && info.IsDir()
	if c.Keep > 0 && !directory {
		return cli.UsageError("--keep needs a directory that exists: " + c.File + " is none")
	}
	start, name := time.Now(), c.File
	now := start.UTC().Truncate(time.Second)
	if directory {
		name = backup.NameAt(c.File, now)
	}
	if err := becomeOwner(filepath.Dir(name), c.Data); err != nil {
		return err
	}
	if directory { // first, because it needs space
		if err := backup.RemoveLeft(c.File); err != nil {
			fmt.Fprintln(os.Stderr, "roost: what was left of an earlier backup could not be removed:", err)
		}
	}
	p := &byteProgress{terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	m, size, err := c.write(ctx, name, now, p)
	p.end()
	if err != nil {
		return orInterrupted(ctx, err, "interrupted: no backup was written")
	}
	fmt.Printf("%s: %s of %s, %s\n", name, bytesText(size), count(int(m.Database.Accounts), "account"), time.Since(start).Round(100*time.Millisecond))
	if err = server.NoteBackup(c.Data, api.Backup{Time: now, File: name, Bytes: size}); err != nil {
		err = fmt.Errorf("the backup is complete, but the server cannot show that: %w", err)
	}
	return errors.Join(err, c.keep(name))
}

// keep deletes old backups after a new one was made.
func (c *backupCmd) keep(made string) error {
	if c.Keep == 0 {
		return nil
	}
	deleted, err := backup.Keep(c.File, made, c.Keep)
	for _, name := range deleted {
		fmt.Println("deleted", name)
	}
	return err
}

// write writes the backup and returns its manifest and size.
func (c *backupCmd) write(ctx context.Context, name string, now time.Time, p *byteProgress) (*backup.Manifest, int64, error) {
	l, err := c.existing()
	if err != nil {
		return nil, 0, err
	}
	if _, err := os.Stat(c.Data); err != nil {
		return nil, 0, fmt.Errorf("%w: name the data directory of the server with --data, because a backup also has its files", err)
	}
	source, ok := l.(store.Snapshotter)
	if !ok {
		return nil, 0, errors.New("this kind of database cannot be copied")
	}
	w, err := backup.Begin(name)
	if err != nil {
		return nil, 0, err
	}
	defer w.Discard()
	if err := enoughSpace(filepath.Dir(name), l); err != nil { // after Begin has removed what was left
		return nil, 0, err
	}
	p.next("copying the database")
	info, err := source.Snapshot(ctx, w.DatabaseFile(), p.report)
	if err != nil {
		return nil, 0, err
	}
	// After the database: what it refers to is there.
	files, skipped, err := server.SavedFiles(c.Data)
	if err != nil {
		return nil, 0, err
	}
	p.end()
	for _, name := range skipped {
		fmt.Fprintf(os.Stderr, "roost: not in the backup: %s, which is a symbolic link or a special file; put the file itself there, or save it in another way\n", printable(name))
	}
	m := &backup.Manifest{
		Created: now, Store: stores.Redact(c.url()),
		Database: backup.Database{Entry: source.SnapshotName(), Version: info.Version, Accounts: info.Accounts},
	}
	m.Roost, _ = version.Get()
	if m.Domains, err = server.ServedDomains(c.Data); err != nil {
		return nil, 0, err
	}
	p.next("writing and checking")
	size, err := w.Finish(ctx, m, files, p.report)
	return m, size, err
}

// enoughSpace returns an error if a backup of a database in a file certainly does not fit on
// the disk of a directory.
func enoughSpace(dir string, l store.Location) error {
	local, ok := l.(store.Local)
	if !ok {
		return nil
	}
	info, err := os.Stat(local.Path())
	if err != nil {
		return err
	}
	there, err := free(dir)
	if needs := 2 * info.Size(); err == nil && there < needs {
		err = fmt.Errorf("the disk of %s has %s free; a backup needs %s while it is written, and half of that afterwards", dir, bytesText(there), bytesText(needs))
	}
	return err
}

// byteProgress shows the progress of parts of a command on a terminal.
type byteProgress struct {
	terminal bool
	bar      *progress
	done     int64 // of the part
}

// next begins the next part.
func (p *byteProgress) next(what string) {
	if !p.terminal {
		return
	}
	p.bar.clear()
	p.bar, p.done = newProgress(os.Stderr, what, "KiB", -1), 0
}

// report tells how many bytes of the part are done.
func (p *byteProgress) report(done, total int64) {
	if p.bar == nil {
		return
	}
	p.bar.total = int(total >> 10)
	p.bar.add(int(done>>10) - p.bar.done)
}

func (p *byteProgress) end() { p.bar.clear() }
