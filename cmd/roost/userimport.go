package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"roost/admin"
	"roost/internal/cli"
	"roost/jid"
	"roost/store"
)

type userImportCmd struct {
	File   string `arg:"" help:"CSV file with lines of the form jid,password and optionally a header; - for standard input."`
	Update bool   `env:"ROOST_UPDATE" help:"Also set the passwords of existing accounts. Their clients have to log in again."`
	keepSessionsFlag
	iterationFlags
	newAccountFlags
	auditFlag
}

// Help implements kong's HelpProvider.
func (c *userImportCmd) Help() string {
	return "Existing accounts are skipped, so an interrupted import can be run again. " +
		"Each line has an address, a comma and a password. Quote a password that contains a comma or a double quote, and double each double quote in it. " +
		"Invalid lines are reported by number, never with their text; all others are imported, and the exit status is 1."
}

// Run imports accounts.
func (c *userImportCmd) Run() error {
	in := os.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	ctx, stop := cli.Interrupted()
	defer stop()
	return c.stored(ctx, c.openForNew, func(ctx context.Context, s store.Store, audit *admin.Audit) error {
		allowed, err := c.domainFilter()
		if err != nil {
			return err
		}
		lines, err := countLines(in)
		if err != nil {
			return err
		}
		file, done, err := readUntil(ctx, in)
		if err != nil {
			return err
		}
		defer done()
		im := &importer{store: s, mode: c.mode(), iterations: c.Iterations, allowed: allowed}
		im.show(c.File, lines, os.Stderr, term.IsTerminal(int(os.Stderr.Fd())))
		err = im.run(ctx, im.csv(file))
		fmt.Println(im.summary())
		params := map[string]any{"created": im.created, "existing": im.existing, "rejected": im.bad, "update": c.Update, "keep_sessions": c.KeepSessions, "iterations": c.Iterations}
		auditUser(audit, "account.import", c.File, params, err)
		return err
	})
}

// mode defines how to treat accounts that exist already.
func (c *userImportCmd) mode() store.ImportMode {
	switch {
	case !c.Update:
		return store.SkipExisting
	case c.KeepSessions:
		return store.UpdateQuietly
	}
	return store.UpdateExisting
}

// countLines returns the number of lines of a regular file, otherwise -1.
func countLines(f *os.File) (int, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return -1, err
	}
	n, buf := 0, make([]byte, 64<<10)
	for {
		k, err := f.Read(buf)
		n += bytes.Count(buf[:k], []byte{'\n'})
		if err == io.EOF {
			_, err = f.Seek(0, io.SeekStart)
			return n, err
		}
		if err != nil {
			return 0, err
		}
	}
}

// importBatch is the number of accounts per transaction.
const importBatch = 256

// producer passes accounts with their passwords to the goroutines that derive keys, until
// the input or ctx ends.
type producer func(ctx context.Context, accounts chan<- passwordRecord) error

// passwordRecord is an account with its password.
type passwordRecord struct {
	line     int // line of the file, for messages
	jid      jid.JID
	password string
}

// importer performs one import. One goroutine produces records, one per CPU derives keys,
// and the caller's goroutine writes accounts.
type importer struct {
	store      store.Accounts
	mode       store.ImportMode
	iterations int
	allowed    func(domain string) error // rejects domains; nil accepts all

	said sync.Mutex // protects the fields below, and writing messages
	bar  *progress  // nil: not shown
	name string     // name of the file, printed before line numbers
	out  io.Writer
	bad  int // number of malformed lines

	// Owned by run.
	created, existing int
	took              time.Duration
}

// show sets where to report malformed lines, and whether to show the progress there.
func (im *importer) show(name string, lines int, out io.Writer, progress bool) {
	im.name, im.out = name, out
	if progress {
		im.bar = newProgress(out, lines)
	}
}

// refuse reports a malformed line. The message does not contain the line: a password may
// be anywhere in it.
func (im *importer) refuse(number int, err error) {
	im.said.Lock()
	defer im.said.Unlock()
	im.bad++
	im.bar.add(1) // may redraw the progress line
	im.bar.clear()
	fmt.Fprintf(im.out, "%s:%d: %v\n", im.name, number, err)
}

// run imports all records. If ctx ends, it writes the accounts that are ready and stops.
func (im *importer) run(ctx context.Context, produce producer) error {
	start := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	records := make(chan passwordRecord, 64)
	ready := make(chan store.Account, importBatch)
	go func() {
		defer close(records)
		if err := produce(ctx, records); err != nil {
			cancel(err)
		}
	}()
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for r := range records {
				if err := im.derive(ctx, r, ready); err != nil {
					cancel(err)
				}
			}
		})
	}
	go func() {
		workers.Wait()
		close(ready)
	}()
	err := im.write(context.WithoutCancel(ctx), ready, cancel)
	im.took = time.Since(start)
	im.bar.clear()
	return im.outcome(ctx, err)
}

// outcome returns the error with which an import ends.
func (im *importer) outcome(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil && errors.Is(cause, context.Canceled):
		return errors.New("interrupted: run the same command again to import the rest")
	case cause != nil:
		return cause
	case im.bad > 0:
		return fmt.Errorf("%s not imported; correct the file and run the same command again", count(im.bad, "line"))
	}
	return nil
}

// derive converts a record to an account. It skips accounts that exist and stay
// unchanged, since deriving keys takes most of the time.
func (im *importer) derive(ctx context.Context, r passwordRecord, ready chan<- store.Account) error {
	if ctx.Err() != nil {
		return nil
	}
	a := store.Account{JID: r.jid}
	if im.mode == store.SkipExisting {
		_, err := im.store.Account(ctx, r.jid)
		if err == nil {
			ready <- a
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	var err error
	a.Credentials, err = store.NewCredentials(r.password, im.iterations)
	if errors.Is(err, store.ErrPassword) {
		im.refuse(r.line, err)
		return nil
	}
	if err != nil {
		return err
	}
	ready <- a
	return nil
}

// write stores accounts as they become ready. If the store fails, it stops the other
// goroutines and drains their output.
func (im *importer) write(ctx context.Context, ready <-chan store.Account, cancel context.CancelCauseFunc) (failed error) {
	batch := make([]store.Account, 0, importBatch)
	flush := func() {
		if failed == nil && len(batch) > 0 {
			created, existing, err := im.store.ImportAccounts(ctx, batch, im.mode)
			im.created += created
			im.existing += existing
			im.progress(created + existing)
			if err != nil {
				failed = err
				cancel(err)
			}
		}
		batch = batch[:0]
	}
	for a := range ready {
		if a.Credentials.Salt == nil {
			im.existing++
			im.progress(1)
			continue
		}
		if batch = append(batch, a); len(batch) == importBatch {
			flush()
		}
	}
	flush()
	return failed
}

func (im *importer) progress(n int) {
	im.said.Lock()
	defer im.said.Unlock()
	im.bar.add(n)
}

// summary describes what an import did.
func (im *importer) summary() string {
	existing := "skipped %s existing"
	if im.mode != store.SkipExisting {
		existing = "updated %s"
	}
	s := "added " + count(im.created, "account") + ", " + fmt.Sprintf(existing, humanize.Comma(int64(im.existing)))
	if im.bad > 0 {
		s += ", rejected " + count(im.bad, "line")
	}
	s += "; " + im.took.Round(100*time.Millisecond).String()
	if derived := im.created + im.updated(); derived > 0 {
		s += fmt.Sprintf(", %.0f accounts/s", float64(derived)/im.took.Seconds())
	}
	return s
}

// updated returns how many existing accounts got a new password.
func (im *importer) updated() int {
	if im.mode != store.SkipExisting {
		return im.existing
	}
	return 0
}

// count formats a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return humanize.Comma(int64(n)) + " " + noun + "s"
}
