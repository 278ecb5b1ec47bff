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

// RemoveLeft removes what processes that were killed have left in a directory of backups, which may
// be as large as two backups. What another process is writing stays.
func RemoveLeft(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		of, ok := strings.CutSuffix(e.Name(), partial)
		if !ok || !e.Type().IsRegular() || !kept.MatchString(of) {
			continue
		}
		var writing errWriting
		if e := removePartial(filepath.Join(dir, of)); !errors.As(e, &writing) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Keep deletes all but the newest n backups of a directory, and returns the names of those
// that it has deleted. Only files with names of NameAt that are backups count and are
// deleted. made, which was made just now, is the newest one whatever the names of others say:
// the clock was wrong when these were made, or is now.
func Keep(dir, made string, n int) (deleted []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := filepath.Join(dir, e.Name()); e.Type().IsRegular() && kept.MatchString(e.Name()) && isBackup(name) {
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
