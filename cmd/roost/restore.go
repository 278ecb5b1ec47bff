package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"roost/backup"
	"roost/internal/cli"
	"roost/internal/ownfile"
	"roost/server"
	"roost/store/stores"
)

// restoreCmd restores a backup.
type restoreCmd struct {
	File string `arg:"" help:"Backup to restore, or - for stdin."`
	Data string `default:"roost-data" env:"ROOST_DATA" placeholder:"DIR" type:"path" help:"Data directory to restore into; it must be empty or not exist (default: ${default})."`
}

// Help implements kong's HelpProvider.
func (c *restoreCmd) Help() string {
	return "Everything is read and checked before it appears in the data directory. If it is interrupted, run it again; until then, no server starts there. " +
		"If the backup has a dump of PostgreSQL, it is put into the data directory, and the command that loads it into an empty database is shown."
}

// Run restores the backup.
func (c *restoreCmd) Run() (err error) {
	ctx, stop := cli.Interrupted()
	defer stop()
	if c.Data == "" {
		return cli.UsageError("--data must name a directory")
	}
	in := os.Stdin
	if c.File != "-" {
		if in, err = os.Open(c.File); err != nil {
			return err
		}
		defer in.Close()
	}
	if err := backup.CheckEmpty(c.Data); err != nil {
		return err
	}
	if err := ownfile.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	lock, err := server.LockData(c.Data)
	if err != nil {
		return err
	}
	defer lock.Close()
	m, err := backup.Restore(ctx, io.Reader(in), c.Data, acceptVersion)
	if err != nil {
		return orInterrupted(ctx, fmt.Errorf("%s: %w", c.File, err), "interrupted: run the same command again")
	}
	var names []string
	for _, e := range m.Entries {
		names = append(names, backup.RestoredName(e.Name))
	}
	of := "" // before a server has run
	if len(m.Domains) > 0 {
		of = " of " + printable(strings.Join(m.Domains, ", "))
	}
	fmt.Printf("restored to %s: %s\nbacked up at %s by roost %s, with %s%s\n", c.Data, strings.Join(names, ", "),
		m.Created.Format(time.RFC3339), printable(m.Roost), count(int(m.Database.Accounts), "account"), of)
	c.printNext(m)
	return nil
}

// acceptVersion refuses a backup whose database this program could not open.
func acceptVersion(m *backup.Manifest) error {
	if newest := stores.NewestTables(m.Database.Entry); m.Database.Version > newest {
		return fmt.Errorf("the backup was made by a newer version of roost (%s): restore it with that version", printable(m.Roost))
	}
	return nil
}

// printNext says what is left to do.
func (c *restoreCmd) printNext(m *backup.Manifest) {
	if of, err := owner(c.Data); err == nil && os.Geteuid() == 0 && of.Uid == 0 {
		fmt.Printf("the files belong to root: if the server runs as another user, give them to that user, such as by:\n  chown -R roost:roost %s\n", cli.Quote(c.Data))
	}
	switch {
	case m.Database.Entry != stores.FileName:
		fmt.Printf("load the dump into an empty database, and then delete it:\n  pg_restore --no-owner --exit-on-error --single-transaction --dbname=URL %s\n", cli.Quote(filepath.Join(c.Data, m.Database.Entry)))
	case m.Store != "" && !strings.HasSuffix(m.Store, "/"+stores.FileName):
		fmt.Printf("the database was %s and is now %s: move it there, or start the server without --store\n", printable(m.Store), filepath.Join(c.Data, stores.FileName))
	}
}
