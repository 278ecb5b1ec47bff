package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/cli"
	"roost/migrate"
	"roost/migrate/pie"
	"roost/migrate/sqlrows"
	"roost/store"
)

// importCmd imports accounts with all their data.
type importCmd struct {
	Source string    `arg:"" help:"What to import: a file, - for standard input, Prosody's data directory, or the postgres:// or mysql:// URL of a database of Prosody or ejabberd."`
	From   string    `enum:"json,xep0227,prosody,ejabberd" default:"json" env:"ROOST_IMPORT_FROM" placeholder:"NAME" help:"What the source is: json, a file of roost export; xep0227, a file with those that it includes; prosody, the data directory of Prosody, such as /var/lib/prosody, or its SQL database; ejabberd, a file of its command export_piefxis, or its SQL database. A database is an SQLite file, what sqlite3 .dump, pg_dump or mysqldump has written, or a URL (default: ${default})."`
	Domain domainArg `env:"ROOST_IMPORT_DOMAIN" placeholder:"NAME" help:"Domain of the accounts, for an SQL database of ejabberd that does not store it."`
	Schema string    `env:"ROOST_IMPORT_SCHEMA" placeholder:"NAME" help:"Database or schema to import from, if a dump has tables of Prosody or ejabberd in several: as the error names it."`
	DryRun bool      `env:"ROOST_DRY_RUN" help:"Read the whole source and report what would be imported, without importing anything."`
	iterationFlags
	newAccountFlags
	auditFlag
	JSON bool `name:"json" help:"Write the report as JSON, with the first problems."`

	stdin *bufio.Reader // standard input, of which the beginning may have been read
}

// Help implements kong's HelpProvider.
func (c *importCmd) Help() string {
	return "Accounts come with their keys or passwords, rosters, subscription requests, stored messages, vCards, private storage and blocked addresses. " +
		"Each is imported as a whole. Those that exist already are skipped, and not changed, so an interrupted import can be run again. " +
		"What cannot be imported is reported with its place in the source; the exit status is 1 if that is an account. The server may run."
}

// Run imports accounts.
func (c *importCmd) Run() error {
	ctx, stop := cli.Interrupted()
	defer stop()
	allowed, err := c.domainFilter()
	if err != nil {
		return err
	}
	return c.stored(ctx, c.openForNew, func(ctx context.Context, s store.Store, audit *admin.Audit) error {
		from, accounts, done, err := c.open(ctx)
		if err != nil {
			return err
		}
		defer done()
		to := &dataTarget{onStore: onStore{s, audit}, dryRun: c.DryRun}
		im := &importer{to: to, iterations: c.Iterations, allowed: allowed, unit: "account", moved: true}
		if c.DryRun {
			im.iterations = 0
		}
		im.show(sqlrows.Printable(c.Source), accounts, os.Stderr, term.IsTerminal(int(os.Stderr.Fd())))
		err = im.run(ctx, from)
		if c.JSON {
			return errors.Join(err, writeJSON(os.Stdout, c.report(im, to)))
		}
		fmt.Println(c.summary(im, to))
		return err
	})
}

// open opens the source. accounts is their number, -1 if it is not known.
func (c *importCmd) open(ctx context.Context) (from migrate.Source, accounts int, closed func(), err error) {
	if c.From == "prosody" || c.From == "ejabberd" {
		from, err := c.otherServer()
		return from, -1, func() {}, err
	}
	if c.From == "xep0227" {
		return pie.Source{Name: c.Source, Open: c.openFile, Now: time.Now()}, -1, func() {}, nil
	}
	in := os.Stdin
	if c.Source != "-" {
		if in, err = os.Open(c.Source); err != nil {
			return nil, 0, nil, err
		}
	}
	lines, err := countLines(in)
	if err != nil {
		return nil, 0, nil, errors.Join(err, in.Close())
	}
	file, done, err := readUntil(ctx, in)
	if err != nil {
		return nil, 0, nil, errors.Join(err, in.Close())
	}
	if lines > 0 {
		lines = max(0, lines-2) // the first and the last are not accounts
	}
	return migrate.Lines{Name: c.Source, In: file}, lines, func() {
		done()
		_ = in.Close() // it was only read
	}, nil
}

// dataTarget is a store into which accounts are imported with all their data.
type dataTarget struct {
	onStore
	dryRun bool
	parts  importParts
}

// importParts are the numbers of what accounts have that were imported.
type importParts struct {
	Contacts int `json:"contacts"`
	Requests int `json:"requests"`
	Messages int `json:"messages"`
	VCards   int `json:"vcards"`
	Private  int `json:"private"`
	Blocked  int `json:"blocked"`

	Invitations int `json:"invitations"`
}

func (t *dataTarget) importBatch(ctx context.Context, batch []store.AccountData, _ api.AccountImport) (done api.AccountsImported, err error) {
	created := make([]bool, len(batch))
	if t.dryRun {
		err = t.wouldCreate(ctx, batch, created)
	} else {
		if created, err = t.CreateAccounts(ctx, batch); err == nil {
			err = t.noteUses(ctx, batch, created)
		}
		auditCommand(t.audit, "roost import", "account.import", "", map[string]any{"accounts": addresses(batch)}, err)
	}
	if err != nil {
		return done, err
	}
	for i := range batch {
		if !created[i] {
			done.Existing++
			continue
		}
		done.Created++
		t.parts.add(&batch[i])
	}
	return done, nil
}

// noteUses records when new accounts were used last. This is not in the transaction that
// creates them: if it fails, they may seem unused since they were last online.
func (t *dataTarget) noteUses(ctx context.Context, batch []store.AccountData, created []bool) error {
	if uses := migrate.Uses(batch, created); uses != nil {
		return t.NoteUse(ctx, uses)
	}
	return nil
}

// wouldCreate sets which accounts importBatch would create.
func (t *dataTarget) wouldCreate(ctx context.Context, batch []store.AccountData, created []bool) error {
	for i := range batch {
		_, err := t.Account(ctx, batch[i].JID)
		if created[i] = errors.Is(err, store.ErrNotFound); !created[i] && err != nil {
			return err
		}
	}
	return nil
}

func (p *importParts) add(d *store.AccountData) {
	p.Contacts += len(d.Roster)
	p.Requests += len(d.Requests)
	p.Messages += len(d.Messages)
	for _, b := range d.Blobs {
		switch b.Kind {
		case store.BlockedKind:
			p.Blocked++
		case migrate.VCardKind:
			p.VCards++
		case migrate.PrivateKind:
			p.Private++
		}
	}
}

// importReport is what an import did, as JSON.
type importReport struct {
	Source   string `json:"source"`
	DryRun   bool   `json:"dry_run"`
	Created  int    `json:"created"`
	Existing int    `json:"existing"` // skipped
	Refused  int    `json:"refused"`  // accounts
	importParts
	LeftOut  int             `json:"left_out"` // parts of accounts
	Seconds  float64         `json:"seconds"`
	Problems []importProblem `json:"problems"` // at most maxProblems
}

// importProblem is something that was not imported.
type importProblem struct {
	At      string `json:"at"`
	Account string `json:"account,omitempty"`
	Text    string `json:"text"`
}

func (c *importCmd) report(im *importer, to *dataTarget) importReport {
	r := importReport{
		Source: sqlrows.Printable(c.Source), DryRun: c.DryRun, Created: im.created, Existing: im.existing, Refused: im.bad,
		importParts: to.parts, LeftOut: im.lost, Seconds: im.took.Seconds(), Problems: []importProblem{},
	}
	for _, p := range im.problems {
		r.Problems = append(r.Problems, importProblem{p.At, p.Account, p.Text})
	}
	return r
}

// summary describes what an import did.
func (c *importCmd) summary(im *importer, to *dataTarget) string {
	verb := "imported "
	if c.DryRun {
		verb = "dry run: would import "
	}
	s := verb + count(im.created, "account")
	p := &to.parts
	var parts []string
	for _, part := range []struct {
		n    int
		noun string
	}{
		{p.Contacts, "contact"}, {p.Requests, "subscription request"}, {p.Messages, "stored message"}, {p.VCards, "vCard"},
		{p.Private, "private value"}, {p.Blocked, "blocked JID"}, {p.Invitations, "invitation"},
	} {
		if part.n > 0 {
			parts = append(parts, count(part.n, part.noun))
		}
	}
	if parts != nil {
		s += " with " + strings.Join(parts, ", ")
	}
	s += "; skipped " + humanize.Comma(int64(im.existing)) + " existing"
	if im.bad > 0 {
		s += "; refused " + count(im.bad, "account")
	}
	if im.lost > 0 {
		s += "; left out " + count(im.lost, "part") + " of others"
	}
	s += "; " + im.took.Round(100*time.Millisecond).String()
	if done := im.created + im.existing; done > 0 {
		s += fmt.Sprintf(", %.0f accounts/s", float64(done)/im.took.Seconds())
	}
	return s
}
