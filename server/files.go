package server

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"roost/acme"
	"roost/admin"
	"roost/admin/api"
	"roost/capacity"
	"roost/store/stores"
)

// Other users must not read these files: the database contains offline messages and data
// for guessing passwords.
const (
	othersMode = 0o077 // of the server's files: group and others
	worldMode  = 0o007 // of a directory that also contains other files
)

// ownFiles are name patterns of the secret files that the server creates in the data
// directory.
var ownFiles = []string{stores.FileName, stores.FileName + "-*", secretFile, selfSignedKey}

// secureFiles removes the access of other users to the data directory, the secret files
// in it and the database, which may be elsewhere. It warns about each change, since other
// users may already have read the file. For the operator's keys it only warns.
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
		// Not database-*: the directory may contain other files with such names.
		for _, suffix := range []string{"", "-wal", "-shm", "-journal", "-reserve"} {
			patterns = append(patterns, globQuote(database+suffix))
		}
	}
	for _, pattern := range patterns {
		names, _ := filepath.Glob(pattern) // the patterns are valid
		for _, name := range names {
			if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
				secure(name, log)
			}
		}
	}
	secureKeys(keys, log)
}

// secureKeys warns of the operator's private keys that everybody can read.
func secureKeys(keys []string, log *slog.Logger) {
	for _, name := range keys {
		if info, err := os.Stat(name); err == nil && capacity.KeyReadable(info.Mode()) {
			log.Warn("every user of this machine can read the private key: change its mode to 0600 or 0640", "file", name, "mode", info.Mode().Perm().String())
		}
	}
}

// secure removes the access of other users to a file or directory of the server.
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

// onlyOurs reports whether a directory contains only files of a server. If not, it may
// have been named by mistake, such as /tmp, and others may depend on its mode.
func onlyOurs(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Name() == acme.DirName && e.IsDir() || e.Name() == api.SocketName && e.Type()&(fs.ModeSocket|fs.ModeSymlink) != 0 {
			continue
		}
		if e.Type()&^fs.ModePerm != 0 || !ourName(e.Name()) {
			return false
		}
	}
	return true
}

func ourName(name string) bool {
	for _, prefix := range []string{stores.FileName, secretFile, "selfsigned.", lockFile, domainsFile, lastBackupFile, admin.TokensName} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == storeFile || strings.HasPrefix(name, storeFile+".new-")
}

// globQuote escapes a name for use in a pattern.
func globQuote(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
