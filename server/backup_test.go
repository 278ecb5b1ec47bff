package server

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/admin/api"
	"roost/backup"
	"roost/store/stores"
)

// TestSavedFiles: a backup has every file that a server makes in its data directory, except
// those of the database, the lock and the socket. Whoever adds a file decides whether it
// belongs in a backup.
func TestSavedFiles(t *testing.T) {
	dir := t.TempDir()
	entries := filesOfServer(t, dir)
	files, skipped, err := SavedFiles(dir)
	if err != nil || len(skipped) > 0 {
		t.Fatalf("%q, %v", skipped, err)
	}
	var saved, want []string
	for _, f := range files {
		saved = append(saved, f.Name)
		if data, err := os.ReadFile(filepath.Join(dir, f.Name)); err != nil || string(data) != string(f.Data) {
			t.Errorf("%s: %v, or it is different", f.Name, err)
		}
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, stores.FileName) && name != lockFile && name != "admin.sock" {
			want = append(want, name)
		}
	}
	slices.Sort(saved)
	if !slices.Equal(saved, want) {
		t.Errorf("a backup has %q, the server made %q", saved, want)
	}
}

// TestSavedCertificates: a backup has what certificates by ACME need, but no locks, and no links, which
// are named; it is restored as it was, and only its owner can read it.
func TestSavedCertificates(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "restored")
	saved := map[string]string{
		"acme/ca.example-dir/users/admin@example.org/admin.key":                    "account",
		"acme/certificates/ca.example-dir/example.org/example.org.key":             "key",
		"acme/certificates/ca.example-dir/xn--bcher-kva.example/wildcard_.crt":     "certificate",
		"acme/certificates/ca.example-dir/xn--bcher-kva.example/really/an empty 1": "",
	}
	for name, text := range saved {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "acme/locks"), 0o700), os.WriteFile(filepath.Join(dir, "acme/locks/example.org"), nil, 0o600),
		os.Symlink("/etc/passwd", filepath.Join(dir, "acme/link"))); err != nil {
		t.Fatal(err)
	}
	files, skipped, err := SavedFiles(dir)
	if err != nil || !slices.Equal(skipped, []string{filepath.Join(dir, "acme/link")}) {
		t.Fatalf("%q, %v", skipped, err)
	}
	name := filepath.Join(t.TempDir(), "b.tar")
	w, err := backup.Begin(name)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	if _, err := w.Finish(t.Context(), &backup.Manifest{Database: backup.Database{Entry: "roost.db"}}, files, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), in, to, func(*backup.Manifest) error { return nil }); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	err = fs.WalkDir(os.DirFS(to), "acme", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", name, info.Mode())
		}
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(to, name))
		got[name] = string(text)
		return err
	})
	if err != nil || !maps.Equal(got, saved) {
		t.Errorf("restored %q, %v", got, err)
	}
}

// TestUnfinishedRestore: no server starts on half a backup.
func TestUnfinishedRestore(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, backup.Unfinished), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: dir}); err == nil || !strings.Contains(err.Error(), "run roost restore again") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, stores.FileName)); err == nil {
		t.Error("the server has made a database")
	}
}

// TestLastBackup: a server shows the last backup that was recorded in its data directory, and
// nothing if what is there makes no sense.
func TestLastBackup(t *testing.T) {
	dir := t.TempDir()
	s := &Server{}
	s.settings.Store(&Config{DataDir: dir})
	f := func(want bool) {
		t.Helper()
		if b := s.lastBackup(); (b != nil) != want || want && (b.File != "/b.tar" || b.Bytes != 5 || b.AgeSeconds < 3600) {
			t.Errorf("%+v", b)
		}
	}
	f(false)
	if err := NoteBackup(dir, api.Backup{Time: time.Now().Add(-time.Hour), File: "/b.tar", Bytes: 5}); err != nil {
		t.Fatal(err)
	}
	f(true)
	if err := os.WriteFile(filepath.Join(dir, lastBackupFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(false)
}
