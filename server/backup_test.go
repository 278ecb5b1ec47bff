package server

import (
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
	files, err := SavedFiles(dir)
	if err != nil {
		t.Fatal(err)
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
