package server

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"roost/capacity"
	"roost/store/stores"
)

// What others must not read: the database has what passwords can be guessed from,
// and all messages that wait.
const (
	othersMode = 0o077 // of the server's own files: the group and everybody else
	worldMode  = 0o007 // of a directory that has others' files, too
)

// ownFiles are patterns of the names of the files that are made in the data
// directory and are secret.
var ownFiles = []string{stores.FileName, stores.FileName + "-*", secretFile, selfSignedKey}

// secureFiles takes away from everybody but the owner the right to read the data
// directory, the secret files in it and the database, which may be elsewhere, and
// warns of each that had it: whoever has read one has it still. Of the operator's
// keys it only warns.
func secureFiles(dir, database string, keys []string, log *slog.Logger) {
	if onlyOurs(dir) {
		secure(dir, log)
	} else if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&worldMode != 0 {
		log.Warn("other users can read the data directory, and it contains files that are not the server's: give the server a directory of its own, with mode 0700", "file", dir)
	}
	var patterns []string
	for _, pattern := range ownFiles {
		patterns = append(patterns, filepath.Join(globQuote(dir), pattern))
	}
	if database != "" && filepath.Clean(database) != filepath.Join(dir, stores.FileName) {
		// Not database-*: other files may be in that directory, of any name.
		for _, suffix := range []string{"", "-wal", "-shm", "-journal", "-reserve"} {
			patterns = append(patterns, globQuote(database+suffix))
		}
	}
	for _, pattern := range patterns {
		names, _ := filepath.Glob(pattern) // the patterns are right
		for _, name := range names {
			if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
				secure(name, log)
			}
		}
	}
	for _, name := range keys {
		if info, err := os.Stat(name); err == nil && capacity.KeyReadable(info.Mode()) {
			log.Warn("every user of this machine can read the private key: change its mode to 0600 or 0640", "file", name, "mode", info.Mode().Perm().String())
		}
	}
}

// secure takes the rights of others from a file or directory of ours.
func secure(name string, log *slog.Logger) {
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm()&othersMode == 0 {
		return
	}
	mode := info.Mode().Perm()
	if err := os.Chmod(name, mode&^othersMode); err != nil {
		log.Warn("other users can read a secret file or directory, and its mode cannot be changed: run the server as the owner of its files", "file", name, "mode", mode.String(), "err", err)
		return
	}
	log.Warn("other users could read a secret file or directory; its mode is corrected", "file", name, "mode", mode.String())
}

// onlyOurs reports whether a directory has nothing but files of a server: it is not
// one that has been named by mistake, such as /tmp, whose mode others depend on.
func onlyOurs(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Type()&^fs.ModePerm != 0 || !ourName(e.Name()) {
			return false
		}
	}
	return true
}

func ourName(name string) bool {
	for _, prefix := range []string{stores.FileName, secretFile, "selfsigned.", lockFile, domainsFile} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// globQuote is a name that stands for itself in a pattern.
func globQuote(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
