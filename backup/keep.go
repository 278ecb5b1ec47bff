package backup

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A directory of backups has files with the time in their names, in UTC.
var (
	kept     = regexp.MustCompile(`^roost-\d{8}T\d{6}Z\.tar$`)
	keptTime = "roost-20060102T150405Z.tar"
)

// NameAt returns the name of a backup in a directory of backups.
func NameAt(dir string, t time.Time) string { return filepath.Join(dir, t.UTC().Format(keptTime)) }

// Keep deletes all but the newest n backups of a directory, and returns the names of those
// that it has deleted. Only files with names of NameAt that are backups count and are
// deleted. What was left of a backup by a process that was killed is also deleted. made, which
// was made just now, is the newest one whatever the names of others say: the clock was wrong
// when these were made, or is now.
func Keep(dir, made string, n int) (deleted []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if of, ok := strings.CutSuffix(e.Name(), partial); ok && e.Type().IsRegular() && kept.MatchString(of) {
			var writing errWriting
			if e := removePartial(strings.TrimSuffix(name, partial)); !errors.As(e, &writing) {
				err = errors.Join(err, e)
			}
		}
		if e.Type().IsRegular() && kept.MatchString(e.Name()) && isBackup(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if i := slices.Index(names, made); i >= 0 {
		names = append(slices.Delete(names, i, i+1), made)
	}
	for _, name := range names[:max(0, len(names)-n)] {
		if e := os.Remove(name); e != nil {
			err = errors.Join(err, e)
			continue
		}
		deleted = append(deleted, name)
	}
	return deleted, err
}
