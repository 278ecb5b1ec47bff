package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"roost/acme"
	"roost/admin"
	"roost/admin/api"
	"roost/backup"
	"roost/internal/ownfile"
)

// savedFiles are the files of the data directory that a backup has, apart from the database and the
// directory of package acme. The others are made anew.
var savedFiles = []string{secretFile, domainsFile, selfSignedCert, selfSignedKey, admin.TokensName}

// lastBackupFile tells when the last backup was made.
const lastBackupFile = "last-backup"

// maxSaved limits the size of a saved file, in bytes.
const maxSaved = 16 << 20

// SavedFiles reads the files of a data directory that belong in a backup. skipped has the paths of
// symbolic links and special files in the directory of package acme, which are not saved.
func SavedFiles(dir string) (all []backup.File, skipped []string, err error) {
	for _, name := range savedFiles {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("server: %w", err)
		}
		data, err := io.ReadAll(io.LimitReader(f, maxSaved+1))
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, nil, fmt.Errorf("server: %w", err)
		}
		if len(data) > maxSaved {
			return nil, nil, fmt.Errorf("server: %s is larger than 16 MiB, which no file of a server is", f.Name())
		}
		all = append(all, backup.File{Name: name, Data: data})
	}
	// Locks are files of those who hold them.
	tree, skipped, err := backup.Tree(filepath.Join(dir, acme.DirName), func(path string) bool { return path != "locks" })
	switch {
	case err == nil:
		all = append(all, tree)
		for i, name := range skipped {
			skipped[i] = filepath.Join(dir, acme.DirName, name)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("server: %w", err)
	}
	return all, skipped, nil
}

// LockData locks a data directory as a server does, so that no server starts there until the
// result is closed. If one runs, the error says so.
func LockData(dir string) (io.Closer, error) { return takeLocks(dir, "") }

// NoteBackup records in a data directory that a backup was made. The running server shows it.
func NoteBackup(dir string, b api.Backup) error {
	text, err := json.Marshal(b)
	if err == nil {
		err = ownfile.Write(filepath.Join(dir, lastBackupFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("server: record the backup: %w", err)
	}
	return nil
}

// lastBackup returns the last backup of this server, nil if there is none.
func (s *Server) lastBackup() *api.Backup {
	text, err := os.ReadFile(filepath.Join(s.config().DataDir, lastBackupFile))
	if err != nil {
		return nil
	}
	b := new(api.Backup)
	if err := json.Unmarshal(text, b); err != nil || b.Time.IsZero() {
		return nil
	}
	b.AgeSeconds = time.Since(b.Time).Seconds()
	return b
}

// checkRestored returns an error if a data directory is being restored from a backup.
func checkRestored(dir string) error {
	if !backup.IsUnfinished(dir) {
		return nil
	}
	return fmt.Errorf("server: a backup was being restored to the data directory %s, which was interrupted: run roost restore again", dir)
}
