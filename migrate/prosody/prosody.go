// Package prosody reads the accounts of a Prosody server: from its data directory, as its
// module storage_internal writes it, or from its SQL database.
package prosody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"roost/migrate"
)

// Directory is a migrate.Source of a data directory (data_path), with a directory for each
// host.
type Directory struct {
	Path string
	Now  time.Time // the time of requests and messages without one
}

// The stores of an account that are read.
const (
	vcard4Store = "pep_urn%3axmpp%3avcard4" // a file name
)

// readStores are the names of directories of a host that are read, or that have nothing that
// would have to be imported.
var readStores = []string{"accounts", "roster", "private", "vcard", "blocklist", "offline", vcard4Store, "pep", "account_details", "lastlog", "lastlog2", "smacks_h", "cron", "upload"}

// directoryPage is how many names of a directory are read at once.
const directoryPage = 1024

// Read implements migrate.Source.
func (d Directory) Read(ctx context.Context, to migrate.Receiver) error {
	r := &directory{ctx: ctx, from: d, to: to, b: migrate.NewBuilder(to.Problem)}
	hosts := 0
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(d.Path, e.Name())
		if _, err := os.Stat(filepath.Join(dir, "accounts")); err != nil {
			continue // no host, or one without accounts
		}
		hosts++
		if err := r.host(dir, decode(e.Name())); err != nil {
			return err
		}
	}
	if hosts == 0 {
		return fmt.Errorf("%s: no directory of a host with accounts in it: name Prosody's data directory, such as /var/lib/prosody", d.Path)
	}
	return nil
}

// decode returns a name that is encoded in a file name.
func decode(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+2 < len(name) {
			if n, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// directory reads a data directory.
type directory struct {
	ctx  context.Context
	from Directory
	to   migrate.Receiver
	b    *migrate.Builder
}

// host reads the accounts of a host.
func (r *directory) host(dir, host string) (err error) {
	if err := r.others(dir); err != nil {
		return err
	}
	accounts, err := os.Open(filepath.Join(dir, "accounts"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, accounts.Close()) }()
	for {
		page, err := accounts.ReadDir(directoryPage)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range page {
			user, ok := strings.CutSuffix(e.Name(), ".dat")
			if !ok {
				continue
			}
			if err := r.ctx.Err(); err != nil {
				return err
			}
			if err := r.account(dir, host, user); err != nil {
				return err
			}
		}
	}
}

// others reports the stores of a host that are not read.
func (r *directory) others(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(readStores, e.Name()) {
			r.to.Problem(migrate.Problem{At: filepath.Join(dir, e.Name()), Text: fmt.Sprintf("the store %q is not imported", decode(e.Name()))})
		}
	}
	return nil
}

// account reads an account. user is the name of its files.
func (r *directory) account(dir, host, user string) error {
	file := func(store, extension string) string { return filepath.Join(dir, store, user+extension) }
	b, now := r.b, r.from.Now
	main := file("accounts", ".dat")
	if !b.Begin(main, decode(user), host) {
		return nil
	}
	type part struct {
		file string
		read func(at string, t *table)
	}
	for _, p := range []part{
		{main, func(at string, t *table) { account(b, at, t) }},
		{file("roster", ".dat"), func(at string, t *table) { roster(b, at, t, now) }},
		{file("private", ".dat"), func(at string, t *table) { private(b, at, t) }},
		{file("blocklist", ".dat"), func(at string, t *table) { blocklist(b, at, t) }},
		{file("offline", ".list"), func(at string, t *table) { message(b, at, t, now) }},
	} {
		if err := r.tables(p.file, p.read); err != nil {
			return err
		}
	}
	if err := r.vcard(file("vcard", ".dat"), file(vcard4Store, ".list")); err != nil {
		return err
	}
	if b.Secret(main) {
		return r.to.Account(b.Account)
	}
	return nil
}

// vcard reads the vCard: of the older kind, or else the last one of the newer kind.
func (r *directory) vcard(older, newer string) error {
	var at string
	var last *table
	keep := func(place string, t *table) { at, last = place, t }
	if err := r.tables(older, keep); err != nil {
		return err
	}
	if last != nil {
		r.b.VCard(at, migrate.XML{Text: []byte(element(last))})
		return nil
	}
	if err := r.tables(newer, keep); err != nil {
		return err
	}
	if last != nil {
		vcard4(r.b, at, migrate.XML{Text: []byte(element(last))})
	}
	return nil
}

// tables calls f for each table of a file, which need not exist. A file with a mistake is
// reported.
func (r *directory) tables(name string, f func(at string, t *table)) error {
	text, err := readFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errLarge):
		r.b.Skip(name, "%v", err)
		return nil
	case err != nil:
		return err
	}
	err = parse(text, func(line int, t *table) { f(fmt.Sprintf("%s:%d", name, line), t) })
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		r.b.Skip(fmt.Sprintf("%s:%d", name, syntax.line), "not a file of Prosody: %s", syntax.text)
		return nil
	}
	return err
}

// errLarge means that a file is too large.
var errLarge = fmt.Errorf("the file is larger than %d MiB", migrate.MaxAccount>>20)

// readFile reads a file of limited size.
func readFile(name string) (text []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(f, migrate.MaxAccount+1))
	if err == nil && n > migrate.MaxAccount {
		err = errLarge
	}
	return b.Bytes(), err
}
