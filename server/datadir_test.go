package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"roost/store/sqlite"
	"roost/store/stores"
)

// TestOneServerOnADirectory: a second server does not start and names the first; a
// leftover lock file of a killed server does not prevent a start.
func TestOneServerOnADirectory(t *testing.T) {
	dir := t.TempDir()
	child, _ := startChild(t, dir, "")
	_, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: dir})
	if err == nil {
		t.Fatal("two servers run on one data directory")
	}
	for _, want := range []string{dir, fmt.Sprintf("process %d (", child.Process.Pid), "-test.run=^$"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	// An account command runs beside it.
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, sqlite.FileName)})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for range 2 { // the second time after a clean stop
		s, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestLockIsLink: what a symbolic link in the place of a lock leads to stays as it is. The owner of
// the data directory may have put it there, and root takes the lock.
func TestLockIsLink(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("of root"), 0o600); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(dir, sqlite.FileName)
	location, err := stores.Locate(stores.Default(dir))
	if err != nil {
		t.Fatal(err)
	}
	f := func(link string, take func() (io.Closer, error)) {
		t.Helper()
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
		if l, err := take(); err == nil || !strings.Contains(err.Error(), link+" is a symbolic link") {
			t.Errorf("%v, %v", l, err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != "of root" {
			t.Errorf("%q, %v", text, err)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	f(filepath.Join(dir, lockFile), func() (io.Closer, error) { return LockData(dir) })
	f(database+"-lock", func() (io.Closer, error) { return LockStore(location) })
	f(filepath.Join(dir, lockFile), func() (io.Closer, error) { return LockStore(location) })
}

// TestLockAfterFailure: a server that failed to start has released the directory.
func TestLockAfterFailure(t *testing.T) {
	dir := t.TempDir()
	first, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Shutdown(t.Context())
	taken := Config{C2S: first.Addrs()[0].Addr.String(), DataDir: dir}
	if _, err := New(t.Context(), taken); err == nil {
		t.Fatal("two servers on one port")
	}
	s, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLockHolder: whatever the file contains, the message is one short line.
func TestLockHolder(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := lockHolder(strings.NewReader(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("12\nroost serve\n", "process 12 (roost serve)")
	f("12\n", "process 12")
	f("", "another process")
	f("-1\nx\n", "another process")
	f("nonsense\nx\n", "another process")
	f("12\na\x1b[2Jb\nc\n", "process 12 (a?[2Jb?c)")
	f("12\n"+strings.Repeat("x", 5000), "process 12 ("+strings.Repeat("x", maxCommand)+"…)")
}

// TestCommandOf: the command in the file of a lock has no passwords, however they are given. Bug: it
// had those of --store and --cluster, and the log of a second server on the directory, too.
func TestCommandOf(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		if got := commandOf(args); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("roost serve --domain=example.org -v", "roost", "serve", "--domain=example.org", "-v")
	f("roost serve --store postgres://roost:xxxxx@db/roost?sslmode=require", "roost", "serve", "--store", "postgres://roost:hunter2@db/roost?sslmode=require")
	f("roost --store=postgres://roost@db/roost?password=xxxxx --cluster=redis://:xxxxx@redis", "roost", "--store=postgres://roost@db/roost?password=hunter2", "--cluster=redis://:hunter2@redis")
	f("roost URL --data=a=b", "roost", "redis://roost:hunter2@redis:hunter2", "--data=a=b")

	dir, args := t.TempDir(), os.Args
	defer func() { os.Args = args }()
	os.Args = []string{"roost", "serve", "--store=postgres://roost:hunter2@db/roost"}
	first, err := LockData(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := LockData(dir); err == nil || !strings.Contains(err.Error(), "(roost serve --store=postgres://roost:xxxxx@db/roost)") {
		t.Errorf("%v", err)
	}
}

// filesOfServer runs a server on a data directory until the test ends, and returns the
// files in the directory after its start.
func filesOfServer(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	s, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// TestFilesOfRoot: files that a server creates as root belong to the owner of the
// directory.
func TestFilesOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change the owner of files")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 12345, 54321); err != nil {
		t.Fatal(err)
	}
	entries := filesOfServer(t, dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 12345 || st.Gid != 54321 {
			t.Errorf("%s belongs to %d:%d", e.Name(), st.Uid, st.Gid)
		}
	}
	for _, want := range []string{"roost.db", "roost.db-wal", "roost.db-shm", "lock", "domains", "secret", selfSignedCert, selfSignedKey} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among the files %v", want, names)
		}
	}
}

// TestServedDomains: account commands know the domains of the last start.
func TestServedDomains(t *testing.T) {
	dir := t.TempDir()
	f := func(want ...string) {
		t.Helper()
		got, err := ServedDomains(dir)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	f()
	for _, domains := range [][]string{{"Example.ORG", "example.net"}, {"localhost"}} {
		s, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: dir, Domains: domains})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if domains[0] == "localhost" {
			f("localhost")
		} else {
			f("example.org", "example.net")
		}
	}
}

// TestDataDirectoryPage: docs/architecture.md names exactly the files that a server
// creates in its data directory.
func TestDataDirectoryPage(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## The data directory\n")
	if !found {
		t.Fatal("docs/architecture.md has no section about the data directory")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var named []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(section, -1) {
		for i, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			name := m[1]
			if i > 0 && strings.HasPrefix(name, "-") { // `roost.db`, `-wal`
				name = sqlite.FileName + name
			}
			named = append(named, name)
		}
	}
	dir := t.TempDir()
	entries := filesOfServer(t, dir)
	var there []string
	for _, e := range entries {
		there = append(there, e.Name())
	}
	slices.Sort(named)
	slices.Sort(there)
	if !slices.Equal(named, there) {
		t.Errorf("the page names %q, the server made %q", named, there)
	}
}

// TestStoreElsewhere: the server uses a store outside the data directory, creates its
// directory, and removes the access of other users before SQLite creates the log with the
// same mode.
func TestStoreElsewhere(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere.db")
	missing := Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Store: "sqlite:" + filepath.Join(t.TempDir(), "not", "there", "elsewhere.db")}
	if s, err := New(t.Context(), missing); err != nil {
		t.Errorf("with a missing directory: %v", err)
	} else if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file+"-of-another", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: dir, Store: "sqlite:" + file})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{file, file + "-wal"} {
			wantMode(t, name, 0o600)
		}
		wantMode(t, file+"-of-another", 0o644)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: dir, Store: "sqlite:" + file})
	if err != nil {
		t.Fatal(err)
	}
	other := Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Store: "sqlite:" + file}
	if s, err := New(t.Context(), other); err == nil || !strings.Contains(err.Error(), "the database "+file+" is in use by process") {
		t.Errorf("a second server on one database: %v", err)
		if err == nil {
			_ = s.Shutdown(t.Context())
		}
	}
	if err := first.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, sqlite.FileName+"*")); len(names) > 0 {
		t.Errorf("in the data directory: %q", names)
	}
	cfg := Config{C2S: "127.0.0.1:0", DataDir: dir, Store: "mysql:"}
	var wrong *FieldError
	if _, err := New(t.Context(), cfg); !errors.As(err, &wrong) || wrong.Field != "Store" {
		t.Errorf("a store of an unknown kind: %v", err)
	}
}
