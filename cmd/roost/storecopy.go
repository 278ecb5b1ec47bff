package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"roost/internal/cli"
	"roost/server"
	"roost/store"
	"roost/store/stores"
)

// storeCmd are the commands for whole stores.
type storeCmd struct {
	Copy storeCopyCmd `cmd:"" help:"Copy everything from one database to another, such as from SQLite to PostgreSQL."`
}

type storeCopyCmd struct {
	From string `required:"" env:"ROOST_COPY_FROM" placeholder:"URL" help:"Database to copy from, such as sqlite:/var/lib/roost/roost.db; no server may use it."`
	To   string `required:"" env:"ROOST_COPY_TO" placeholder:"URL" help:"Empty database to copy to, such as postgres://roost@db.example.org/roost, or one with an unfinished copy, which is continued."`
}

// Help implements kong's HelpProvider.
func (c *storeCopyCmd) Help() string {
	return "Stop the server first. Accounts, rosters, messages and everything else are copied, and then compared. " +
		"An interrupted copy continues if the same command is run again; until it is complete, no server starts with its target. " +
		"The source is not changed. The exit status is 1 if something was not copied or differs."
}

// Run copies a store.
func (c *storeCopyCmd) Run() error {
	ctx, stop := cli.Interrupted()
	defer stop()
	if c.From == c.To {
		return cli.UsageError("--from and --to name the same database")
	}
	from, unlock, err := openForCopy(ctx, "--from", c.From, true)
	if err != nil {
		return err
	}
	defer unlock()
	if source, err := from.CopySource(ctx); err != nil || source != "" {
		if err == nil {
			err = fmt.Errorf("%s: %w", stores.Redact(c.From), store.Unfinished(source))
		}
		return err
	}
	to, unlock, err := openForCopy(ctx, "--to", c.To, false)
	if err != nil {
		return err
	}
	defer unlock()
	p := &copyProgress{out: os.Stderr}
	if err := p.count(ctx, from, term.IsTerminal(int(os.Stderr.Fd()))); err != nil {
		return err
	}
	start := time.Now()
	err = store.Copy(ctx, from, to, stores.Redact(c.From), p.report)
	p.end()
	if errors.Is(err, store.ErrDifferent) {
		return fmt.Errorf("%w; the source has changed since the copy began, or was in use: delete everything in the target, and run the command again", err)
	}
	if err != nil {
		return orInterrupted(ctx, err, "interrupted: run the same command again to continue")
	}
	fmt.Printf("copied and compared %s; %s\n", count(int(p.total), "row"), time.Since(start).Round(100*time.Millisecond))
	return nil
}

// openForCopy opens a store that a flag names. unlock closes it.
func openForCopy(ctx context.Context, flag, url string, existing bool) (c store.Copier, unlock func(), err error) {
	l, err := stores.Locate(url)
	if err != nil {
		return nil, nil, cli.UsageError(flag + ": " + err.Error())
	}
	if existing && store.Missing(l) {
		return nil, nil, fmt.Errorf("%s: there is no database %s", flag, l.(store.Local).Path())
	}
	lock, err := server.LockStore(l)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.Open(ctx, store.Options{Use: store.Copying})
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	c, ok := s.(store.Copier)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("%s: this kind of database cannot be copied", flag), s.Close(), lock.Close())
	}
	return c, func() {
		_ = s.Close() // everything is committed
		_ = lock.Close()
	}, nil
}

// copyProgress shows the progress of a copy: as a line that is redrawn on a terminal,
// otherwise as one line for each table.
type copyProgress struct {
	out       io.Writer
	total     int64 // rows of the source
	bar       *progress
	table     *store.Table // of the last report
	verifying bool
	rows      int64 // of table that are done
}

// count counts the rows of the source.
func (p *copyProgress) count(ctx context.Context, from store.Copier, terminal bool) error {
	for _, t := range store.Tables {
		n, err := from.CountRows(ctx, t)
		if err != nil {
			return err
		}
		p.total += n
	}
	if terminal {
		p.bar = newProgress(p.out, "copying", "rows", int(p.total))
	}
	return nil
}

// report is a store.CopyReport.
func (p *copyProgress) report(t *store.Table, verifying bool, n int64) {
	if p.bar != nil {
		if verifying && !p.verifying {
			p.bar.clear()
			p.bar = newProgress(p.out, "comparing", "rows", int(p.total))
		}
		p.verifying = verifying
		p.bar.add(int(n))
		return
	}
	if t != p.table || verifying != p.verifying {
		p.end()
		p.table, p.verifying, p.rows = t, verifying, 0
	}
	p.rows += n
}

// end ends the line of the last table.
func (p *copyProgress) end() {
	p.bar.clear()
	if p.table != nil {
		what := "copied"
		if p.verifying {
			what = "compared"
		}
		fmt.Fprintf(p.out, "%s %s of %s\n", what, count(int(p.rows), "row"), p.table.Name)
	}
	p.table = nil
}
