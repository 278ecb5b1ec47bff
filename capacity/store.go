package capacity

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// StoreState describes the data directory and the database. The caller collects it, since
// this package does not open files outside /proc and /sys.
type StoreState struct {
	Dir      string // the data directory
	Missing  bool   // the directory does not exist yet
	WriteErr error  // why the directory is not writable

	Used string // URL of the database that the server of Dir uses, if it is not the one to check; the following fields are not set then

	Database string // file name of the database, "" if it is not a file on this machine
	FilesErr error  // why no files can be created beside Database, as SQLite requires
	Free     int64  // bytes available to an ordinary user on the database's file system
	DiskErr  error  // why Free is unknown

	Inspected  bool     // the following fields are set; some kinds of store cannot be inspected
	NoDatabase bool     // the database does not exist yet
	OpenErr    error    // why the database could not be read
	Version    int      // version of the schema
	Current    int      // schema version of this program, to which it migrates
	Accounts   int64    // number of accounts
	Problems   []string // findings of the integrity check
	Unfinished bool     // the integrity check took too long
}

// Store checks the data directory, the database and its disk, as far as possible from
// this machine.
func Store(s StoreState, p Plan) []Check {
	checks := []Check{dataDirectory(s)}
	if s.Used != "" {
		return append(checks, otherDatabase(s))
	}
	if s.elsewhere() {
		checks = append(checks, databaseDirectory(s))
	}
	if s.Database != "" {
		checks = append(checks, disk(s, p))
	}
	if s.Inspected {
		checks = append(checks, database(s))
	}
	return checks
}

// elsewhere reports whether the database is a file outside the data directory.
func (s StoreState) elsewhere() bool {
	return s.Database != "" && filepath.Dir(s.Database) != filepath.Clean(s.Dir)
}

// databaseDirectory checks the directory of a database that is not in the data directory.
func databaseDirectory(s StoreState) Check {
	c := Check{Name: "database-directory", Area: "store", Title: "directory of the database", Needs: "writable", Found: "writable"}
	if s.FilesErr != nil {
		c.Status, c.Found, c.Detail = Fail, "not writable", []string{s.FilesErr.Error()}
		c.Fix = []string{"chown -R roost: " + filepath.Dir(s.Database) + "   # the user that runs roost serve"}
	}
	return c
}

func dataDirectory(s StoreState) Check {
	c := Check{Name: "data-directory", Area: "store", Title: "data directory", Needs: "writable"}
	switch {
	case s.WriteErr != nil:
		c.Status, c.Found, c.Detail = Fail, "not writable", []string{s.WriteErr.Error()}
		c.Fix = []string{"chown -R roost: " + s.Dir + "   # the user that runs roost serve"}
	case s.Missing:
		c.Found = "not created yet"
	default:
		c.Found = "writable"
	}
	return c
}

// disk checks that there is space for an account, a roster and an offline message for
// each session that has no account yet.
func disk(s StoreState, p Plan) Check {
	more := max(0, int64(p.Sessions)-s.Accounts)
	need := StoreBase + more*AccountBytes + int64(p.Sessions)*OfflineBytes
	c := Check{Name: "disk", Area: "store", Title: "free on its disk", Needs: size(need)}
	if s.DiskErr != nil {
		return unknown(c, s.DiskErr)
	}
	c.Found = size(s.Free)
	if s.Free >= need {
		return c
	}
	c.Status = Fail
	c.Detail = []string{fmt.Sprintf("%s new accounts of %d B each, and a stored message of %d B for each session", number(more), AccountBytes, OfflineBytes)}
	c.Fix = []string{"roost serve --data DIR   # on a larger disk; move " + filepath.Base(s.Dir) + " there first"}
	if s.elsewhere() {
		c.Fix = []string{"roost serve --store sqlite:FILE   # on a larger disk; stop roost and move " + s.Database + " there first"}
	}
	return c
}

// otherDatabase is the check of a database that the server does not use: whether that one is intact
// does not matter.
func otherDatabase(s StoreState) Check {
	return Check{
		Name: "database", Area: "store", Title: "database", Needs: "readable, intact", Status: Warn, Found: "not the server's",
		Detail: []string{"the server of " + s.Dir + " uses " + s.Used},
		Fix:    []string{"run roost check with the --config or the --store of the server"},
	}
}

func database(s StoreState) Check {
	c := Check{Name: "database", Area: "store", Title: "database", Needs: "readable, intact"}
	switch {
	case s.OpenErr != nil && errors.Is(s.OpenErr, fs.ErrPermission):
		c.Status, c.Found, c.Detail = Fail, "not readable", []string{s.OpenErr.Error()}
		c.Fix = []string{"run roost check as the user that runs roost serve"}
	case s.OpenErr != nil:
		c.Status, c.Found, c.Detail = Fail, "not usable", []string{s.OpenErr.Error()}
		c.Fix = []string{"restore " + s.Database + " from a backup"}
	case s.NoDatabase:
		c.Found = "not created yet"
	case len(s.Problems) > 0:
		c.Status, c.Found, c.Detail = Fail, "damaged", s.Problems
		c.Fix = []string{"stop roost, copy " + filepath.Dir(s.Database) + ", restore " + s.Database + " from a backup"}
	case s.Version > s.Current:
		c.Status, c.Found = Fail, fmt.Sprintf("schema %d", s.Version)
		c.Detail = []string{fmt.Sprintf("written by a newer version of roost; this version supports schema %d", s.Current)}
		c.Fix = []string{"run the newer version of roost, or restore a backup"}
	default:
		c.Found = number(s.Accounts) + " accounts"
		if s.Accounts == 1 {
			c.Found = "1 account"
		}
		if s.Unfinished {
			c.Detail = []string{"large: only a part of it was checked, and that part is intact"}
		}
		if s.Version < s.Current {
			c.Detail = append(c.Detail, fmt.Sprintf("schema %d: roost serve upgrades it to %d; make a backup first", s.Version, s.Current))
		}
	}
	return c
}
