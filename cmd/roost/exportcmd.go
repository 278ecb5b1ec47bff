package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"roost/internal/cli"
	"roost/migrate"
	"roost/migrate/pie"
	"roost/store"
)

// exportCmd writes accounts with all their data to a file.
type exportCmd struct {
	File   string    `arg:"" help:"File to write, which must not exist; - for standard output. It contains what is needed to log in, and is readable by its owner only."`
	Format string    `enum:"json,xep0227" default:"json" env:"ROOST_EXPORT_FORMAT" placeholder:"NAME" help:"Format of the file: json, one account per line, or xep0227, which other servers read (default: ${default})."`
	Domain domainArg `env:"ROOST_EXPORT_DOMAIN" placeholder:"NAME" help:"Export only the accounts of this domain."`
	dataFlags
}

// Help implements kong's HelpProvider.
func (c *exportCmd) Help() string {
	return "The file has the keys of the accounts, rosters, subscription requests, stored messages, vCards, private storage and blocked addresses, and as JSON lines also the invitations. " +
		"It does not have passwords, which roost does not know, and the tokens by which clients log in, which only work here. " +
		"The server may run; what clients change meanwhile may be missing."
}

// accountWriter writes a file of accounts.
type accountWriter interface {
	Write(*store.AccountData) error
	Close() error // writes the end of the file
}

// invitationWriter is an accountWriter of a format that has invitations.
type invitationWriter interface {
	Invite(*store.Invitation) bool // false: there are too many
}

// exportFormats are the formats of files that can be written.
var exportFormats = map[string]func(io.Writer) (accountWriter, error){
	"json":    func(w io.Writer) (accountWriter, error) { return migrate.NewLineWriter(w) },
	"xep0227": func(w io.Writer) (accountWriter, error) { return pie.NewWriter(w) },
}

// Run exports accounts.
func (c *exportCmd) Run() (err error) {
	ctx, stop := cli.Interrupted()
	defer stop()
	s, err := c.openExisting(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if c.File == "-" {
		_, err := c.export(ctx, s, os.Stdout)
		return orInterrupted(ctx, err, notExported)
	}
	start, n := time.Now(), 0
	if err := createFile(c.File, func(w io.Writer) error {
		n, err = c.export(ctx, s, w)
		return orInterrupted(ctx, err, notExported)
	}); err != nil {
		return err
	}
	fmt.Printf("exported %s to %s; %s\n", count(n, "account"), c.File, time.Since(start).Round(100*time.Millisecond))
	return nil
}

// createFile writes a new file that only its owner can read. If that fails, it removes it.
func createFile(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: name another file", name)
	}
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// notExported is the error of an export that was interrupted.
const notExported = "interrupted: nothing was exported"

// export writes all accounts and returns their number.
func (c *exportCmd) export(ctx context.Context, s store.Store, to io.Writer) (n int, err error) {
	buffered := bufio.NewWriterSize(to, 1<<20)
	w, err := exportFormats[c.Format](buffered)
	if err != nil {
		return 0, err
	}
	var bar *progress
	if term.IsTerminal(int(os.Stderr.Fd())) {
		bar = newProgress(os.Stderr, "exporting", "accounts", -1)
	}
	err = migrate.Export(ctx, s, string(c.Domain), func(d *store.AccountData) error {
		n++
		bar.add(1)
		return w.Write(d)
	})
	bar.clear()
	if invitations, ok := w.(invitationWriter); ok && err == nil {
		err = c.exportInvitations(ctx, s, invitations)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = buffered.Flush()
	}
	return n, err
}

// exportInvitations writes the invitations that can still be used.
func (c *exportCmd) exportInvitations(ctx context.Context, s store.Store, w invitationWriter) error {
	lost := 0
	err := migrate.Invitations(ctx, s, string(c.Domain), time.Now(), func(i *store.Invitation) error {
		if !w.Invite(i) {
			lost++
		}
		return nil
	})
	if lost > 0 {
		fmt.Fprintf(os.Stderr, "left out %s: a file has at most %d\n", count(lost, "invitation"), migrate.MaxInvitations)
	}
	return err
}
