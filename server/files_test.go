package server

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"roost/admin"
	"roost/admin/api"
	"roost/store/sqlite"
	"roost/store/stores"
)

// TestSecretFiles: after a server has started, only the owner can read the data directory
// and its secret files. The server warns about those that others could read before.
func TestSecretFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data [1]*") // contains characters of patterns
	var log bytes.Buffer
	run := func() string {
		t.Helper()
		log.Reset()
		s, err := New(context.Background(), Config{C2S: "127.0.0.1:0", DataDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			wantMode(t, filepath.Join(dir, sqlite.FileName+suffix), 0o600)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	if got := run(); strings.Contains(got, "could read") {
		t.Errorf("the server warns about its own files: %s", got)
	}
	secret := []string{dir, filepath.Join(dir, sqlite.FileName), filepath.Join(dir, secretFile), filepath.Join(dir, selfSignedKey)}
	for _, name := range secret {
		mode := os.FileMode(0o644)
		if name == dir {
			mode = 0o755
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	got := run()
	wantMode(t, dir, 0o700)
	for _, name := range secret[1:] {
		wantMode(t, name, 0o600)
	}
	if n := strings.Count(got, "other users could read a secret"); n != len(secret) {
		t.Errorf("%d warnings, want %d: %s", n, len(secret), got)
	}
	wantMode(t, filepath.Join(dir, selfSignedCert), 0o644) // not secret
	if got := run(); strings.Contains(got, "could read") {
		t.Errorf("the server warns again: %s", got)
	}
}

// TestSharedDirectory: the server does not change the mode of a directory that contains
// other files, nor that of the operator's key; it warns.
func TestSharedDirectory(t *testing.T) {
	dir := t.TempDir()
	key, other := filepath.Join(dir, "tls.key"), filepath.Join(dir, "notes.txt")
	for _, name := range []string{key, other} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(dirMode, keyMode os.FileMode, want int) {
		t.Helper()
		for name, mode := range map[string]os.FileMode{dir: dirMode, key: keyMode} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		secureFiles(dir, "", []string{key}, slog.New(slog.NewTextHandler(&log, nil)))
		if n := strings.Count(log.String(), "level=WARN"); n != want {
			t.Errorf("%o, %o: %d warnings, want %d: %s", dirMode, keyMode, n, want, &log)
		}
		wantMode(t, dir, dirMode)
		wantMode(t, key, keyMode)
	}
	f(0o700, 0o600, 0)
	f(0o750, 0o640, 0) // group access is the operator's choice
	f(0o755, 0o640, 1)
	f(0o755, 0o644, 2)
}

// TestOwnDirectory: the mode of a directory with nothing but a server's files is corrected, also when
// there are tokens and the socket of a server that was killed.
func TestOwnDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{stores.FileName, secretFile, admin.TokensName} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, api.SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	socket.SetUnlinkOnClose(false)
	_ = socket.Close()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	secureFiles(dir, "", nil, slog.New(slog.DiscardHandler))
	wantMode(t, dir, 0o700)
}

func wantMode(t *testing.T, name string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Error(err)
	} else if info.Mode().Perm() != want {
		t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
	}
}
