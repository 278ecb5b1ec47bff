package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"roost/admin/api"
)

type userImportCmd struct {
	File   string `arg:"" help:"CSV file with lines of the form jid,password and optionally a header; - for standard input."`
	Update bool   `field:"update" env:"ROOST_UPDATE" help:"Also set the passwords of existing accounts. Their clients have to log in again."`
	keepSessionsFlag
	iterationFlags
	newAccountFlags
	userFlags
	JSON bool `name:"json" help:"Write the result as JSON, with the first mistakes."`
}

// Help implements kong's HelpProvider.
func (c *userImportCmd) Help() string {
	return "Existing accounts are skipped, so an interrupted import can be run again. " +
		"Each line has an address, a comma and a password. Quote a password that contains a comma or a double quote, and double each double quote in it. " +
		"Invalid lines are reported by number, never with their text; all others are imported, and the exit status is 1. " +
		"This command derives the keys, at a low priority, and a running server only stores them: it does not get the passwords."
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
	return c.accounts(&c.dataFlags, c.openForNew, func(ctx context.Context, a accounts) error {
		allowed, err := c.allowed(ctx, a)
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
		how := api.AccountImport{Update: c.Update, KeepSessions: c.KeepSessions, AnyDomain: c.AnyDomain}
		im := &importer{to: a, how: how, iterations: c.Iterations, allowed: allowed}
		im.show(c.File, lines, os.Stderr, term.IsTerminal(int(os.Stderr.Fd())))
		err = im.run(ctx, im.csv(file))
		if c.JSON {
			return errors.Join(err, writeJSON(os.Stdout, im.result()))
		}
		fmt.Println(im.summary())
		return err
	})
}

// allowed returns a function that rejects domains that are not served, by the running
// server or, without one, by that of the data directory.
func (c *userImportCmd) allowed(ctx context.Context, a accounts) (func(domain string) error, error) {
	server, ok := a.(onServer)
	if !ok || c.AnyDomain {
		return c.domainFilter()
	}
	var s api.Status
	if err := server.Get(ctx, api.PathStatus, nil, &s); err != nil {
		return nil, err
	}
	return onlyServed(s.Domains), nil
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

// importResult is what an import did, as JSON.
type importResult struct {
	File     string          `json:"file"`
	Created  int             `json:"created"`
	Existing int             `json:"existing"` // skipped, or updated with --update
	Rejected int             `json:"rejected"` // lines
	Seconds  float64         `json:"seconds"`
	Mistakes []importMistake `json:"mistakes"` // at most maxProblems
}

// importMistake is what is wrong with a line.
type importMistake struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

func (im *importer) result() importResult {
	r := importResult{im.name, im.created, im.existing, im.bad, im.took.Seconds(), []importMistake{}}
	for _, p := range im.problems {
		line, _ := strconv.Atoi(p.At[strings.LastIndexByte(p.At, ':')+1:])
		r.Mistakes = append(r.Mistakes, importMistake{line, p.Text})
	}
	return r
}

// summary describes what an import did.
func (im *importer) summary() string {
	existing, derived := "skipped %s existing", im.created
	if im.how.Update {
		existing, derived = "updated %s", im.created+im.existing
	}
	s := "added " + count(im.created, "account") + ", " + fmt.Sprintf(existing, humanize.Comma(int64(im.existing)))
	if im.bad > 0 {
		s += ", rejected " + count(im.bad, cmp.Or(im.unit, "line"))
	}
	s += "; " + im.took.Round(100*time.Millisecond).String()
	if derived > 0 {
		s += fmt.Sprintf(", %.0f accounts/s", float64(derived)/im.took.Seconds())
	}
	return s
}

// count formats a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return humanize.Comma(int64(n)) + " " + noun + "s"
}
