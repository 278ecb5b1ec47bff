package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"roost/internal/cli"
	"roost/migrate"
	"roost/migrate/ejabberd"
	"roost/migrate/pie"
	"roost/migrate/prosody"
	"roost/migrate/sqlrows"
)

// Validate is called by kong after parsing.
func (c *importCmd) Validate() error {
	if c.Domain != "" && c.From != "ejabberd" {
		return cli.UsageError("--domain is for --from ejabberd only: other sources have the domains of their accounts")
	}
	if c.Schema != "" && (c.From != "ejabberd" && c.From != "prosody" || sqlrows.IsURL(c.Source)) {
		return notADump
	}
	return c.iterationFlags.Validate()
}

// notADump is the error for --schema with another source.
const notADump = cli.UsageError("--schema is for dumps of SQL databases only, with --from prosody or ejabberd: the URL of a database has its name, and for PostgreSQL, search_path=NAME in it is the schema")

// otherServer returns the source of accounts of Prosody or ejabberd: what it is shows in what
// is there.
func (c *importCmd) otherServer() (migrate.Source, error) {
	rows := sqlrows.Source{Name: c.Source, Schema: c.Schema, Open: func() (io.ReadCloser, error) { return c.openFile(c.Source) }}
	if c.From == "prosody" {
		if info, err := os.Stat(c.Source); err == nil && info.IsDir() {
			if c.Schema != "" {
				return nil, notADump
			}
			return prosody.Directory{Path: c.Source, Now: time.Now()}, nil
		}
		return prosody.Database{From: rows, Now: time.Now()}, nil
	}
	database := ejabberd.Database{From: rows, Domain: string(c.Domain), Now: time.Now()}
	if sqlrows.IsURL(c.Source) {
		return database, nil
	}
	isXML, err := c.isXML()
	if err != nil {
		return nil, err
	}
	if isXML && c.Schema != "" {
		return nil, notADump
	}
	if isXML && c.Domain != "" {
		return nil, cli.UsageError("--domain is for SQL databases only: the file has the domains of its accounts")
	}
	if isXML { // ejabberd writes XEP-0227, in its own way
		return pie.Source{Name: c.Source, Open: c.openFile, Now: time.Now()}, nil
	}
	return database, nil
}

// isXML reports whether the source is a file of XML.
func (c *importCmd) isXML() (is bool, err error) {
	f, err := c.openFile(c.Source)
	if err != nil {
		return false, err
	}
	in := bufio.NewReader(f)
	if c.Source == "-" {
		in = c.stdin
	} else {
		defer func() { err = errors.Join(err, f.Close()) }()
	}
	start, err := in.Peek(64)
	if err == io.EOF {
		err = nil
	}
	start = bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\ufeff")), " \t\r\n")
	return bytes.HasPrefix(start, []byte("<")), err
}

// openFile opens the source, or a file that it includes.
func (c *importCmd) openFile(name string) (io.ReadCloser, error) {
	if name != "-" || c.Source != "-" {
		return os.Open(name)
	}
	if c.stdin == nil {
		c.stdin = bufio.NewReader(os.Stdin)
	}
	return io.NopCloser(c.stdin), nil
}
