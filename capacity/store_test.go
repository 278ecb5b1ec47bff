package capacity

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestStore(t *testing.T) {
	good := StoreState{Dir: "/var/lib/roost", Database: "/var/lib/roost/roost.db", Inspected: true, Free: 100 << 30, Version: 3, Current: 3, Accounts: 1_000_000}
	f := func(check string, want Status, text string, spoil func(*StoreState)) {
		t.Helper()
		s := good
		spoil(&s)
		checks := Store(s, million())
		for _, c := range checks {
			complete(t, c)
			if c.Name != check && c.Status != OK {
				t.Errorf("%s is %v, but only %s should fail", c.Name, c.Status, check)
			}
		}
		c := named(t, checks, check)
		if all := fmt.Sprint(c.Found, c.Detail, c.Fix); c.Status != want || !strings.Contains(all, text) {
			t.Errorf("%s: %v, %q; want %v and %q", check, c.Status, all, want, text)
		}
	}
	elsewhere := func(err error) func(*StoreState) {
		return func(s *StoreState) { s.Database, s.FilesErr = "/srv/db/roost.db", err }
	}
	f("database-directory", OK, "writable", elsewhere(nil))
	f("database-directory", Fail, "chown -R roost: /srv/db ", elsewhere(fs.ErrPermission))
	f("data-directory", OK, "writable", func(*StoreState) {})
	f("data-directory", OK, "not created yet", func(s *StoreState) { s.Missing = true })
	f("data-directory", Fail, "chown -R roost: /var/lib/roost", func(s *StoreState) { s.WriteErr = fs.ErrPermission })
	f("disk", OK, "100 GiB", func(*StoreState) {})
	f("disk", Fail, "1,000,000 new accounts", func(s *StoreState) { s.Free, s.Accounts = 2<<30, 0 })
	f("disk", OK, "", func(s *StoreState) { s.Free = 2 << 30 })
	f("disk", Warn, "no such disk", func(s *StoreState) { s.DiskErr = errors.New("no such disk") })
	f("database", OK, "1,000,000 accounts", func(*StoreState) {})
	f("database", OK, "not created yet", func(s *StoreState) { s.NoDatabase = true })
	f("database", OK, "backup first", func(s *StoreState) { s.Version = 2 })
	f("database", OK, "only a part of it was checked", func(s *StoreState) { s.Unfinished = true })
	f("database", Warn, "uses postgres://db/roost] [run roost check with the --config or the --store", func(s *StoreState) { *s = StoreState{Dir: s.Dir, Used: "postgres://db/roost"} })
	f("database", Fail, "newer version", func(s *StoreState) { s.Version = 4 })
	f("database", Fail, "page 7", func(s *StoreState) { s.Problems = []string{"page 7 is bad"} })
	f("database", Fail, "restore /var/lib/roost/roost.db", func(s *StoreState) { s.OpenErr = errors.New("no database") })
	f("database", Fail, "as the user", func(s *StoreState) { s.OpenErr = fmt.Errorf("x: %w", fs.ErrPermission) })
}
