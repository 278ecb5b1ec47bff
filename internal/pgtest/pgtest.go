// Package pgtest starts PostgreSQL for tests: Debian's package postgresql, in a temporary
// directory, reachable only by a Unix socket there. A test binary has at most one shared
// server, and one that tests may stop; they end with it. Each database that a test asks for is
// an empty schema. Schemas are reused, because creating tables takes longer than most tests.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// RequireEnv is the environment variable that makes tests fail instead of being skipped if
// PostgreSQL is not installed. Package redistest has the same.
const RequireEnv = "ROOST_TEST_ENGINES"

// Server is a running PostgreSQL.
type Server struct {
	bin, dir string
	cred     *syscall.Credential // nil: that of this process
	schemas  int                 // that were created
	free     []string            // of these, those that no test uses
	mu       sync.Mutex
	watch    *os.File // the watcher ends the server when this is closed
}

var (
	shared = sync.OnceValues(start)
	own    = sync.OnceValues(start)
	inUse  sync.Mutex // held while a test has the own server
)

// Shared returns the server of this test binary, which it starts if necessary. If
// PostgreSQL is not installed, the test is skipped, or fails if RequireEnv is set.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	check(t, err)
	return s
}

// New returns a server that no other test uses at the same time. The test may stop it.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := own()
	check(t, err)
	inUse.Lock()
	t.Cleanup(func() {
		defer inUse.Unlock()
		if s.command("pg_ctl", "-D", s.data(), "status").Run() != nil {
			s.Start(t)
		}
	})
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, errMissing) && os.Getenv(RequireEnv) == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}

// database is one that every server has.
const database = "postgres"

// Dir returns the directory of the server's Unix socket, PGHOST for its programs.
func (s *Server) Dir() string { return s.dir }

// url returns the URL of the server with parameters.
func (s *Server) url(more url.Values) string {
	more.Set("host", s.dir)
	return "postgres://roost@/" + database + "?" + more.Encode()
}

// URL returns the URL of a schema that is empty, or has the tables of a store, which are
// empty. It belongs to the test until that ends.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	name, used := s.schema()
	if used {
		s.Exec(t, strings.ReplaceAll(empty, "SCHEMA", name))
	} else {
		s.Exec(t, "CREATE SCHEMA "+name)
	}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.free = append(s.free, name)
	})
	return s.url(url.Values{"search_path": {name}, "pool_max_conns": {"4"}})
}

// schema returns a schema that no test uses, and whether one has used it.
func (s *Server) schema() (name string, used bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		name, s.free = s.free[n-1], s.free[:n-1]
		return name, true
	}
	s.schemas++
	return fmt.Sprintf("s%d", s.schemas), false
}

// empty empties all tables of a schema, but for the version of the tables, and starts all
// sequences again. Truncating a small table takes longer than deleting its rows.
const empty = `DO $$
DECLARE
    object regclass;
BEGIN
    FOR object IN SELECT c.oid FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'SCHEMA'::regnamespace AND relname <> 'roost_schema' LOOP
        IF pg_relation_size(object) > 100000 THEN
            EXECUTE 'TRUNCATE ' || object || ' CASCADE';
        ELSE
            EXECUTE 'DELETE FROM ' || object;
        END IF;
    END LOOP;
    FOR object IN SELECT c.oid FROM pg_class c WHERE relkind = 'S' AND relnamespace = 'SCHEMA'::regnamespace LOOP
        PERFORM setval(object, 1, false);
    END LOOP;
END $$`

// Exec executes a statement.
func (s *Server) Exec(t testing.TB, sql string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.url(url.Values{}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// Stop stops the server: at once, as after a crash, or after it has disconnected all
// clients.
func (s *Server) Stop(t testing.TB, crash bool) {
	t.Helper()
	mode := "fast"
	if crash {
		mode = "immediate"
	}
	if out, err := s.command("pg_ctl", "-D", s.data(), "-m", mode, "-w", "stop").CombinedOutput(); err != nil {
		t.Fatalf("stop PostgreSQL: %v: %s", err, out)
	}
}

// Start starts a server that was stopped.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// errMissing means that PostgreSQL is not installed.
var errMissing = errors.New("PostgreSQL is not installed: install the Debian package postgresql, or run make deps")

// binaries returns the directory of the newest version's programs.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err == nil && len(found) > 0 {
		return filepath.Dir(slices.Max(found)), nil
	}
	name, err := exec.LookPath("initdb")
	if err == nil {
		name, err = filepath.EvalSymlinks(name)
	}
	if err != nil {
		return "", errMissing
	}
	return filepath.Dir(name), nil
}

// start creates a database cluster and starts a server.
func start() (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin}
	if s.dir, err = os.MkdirTemp("", "roost-pg"); err != nil {
		return nil, err
	}
	if err := s.dropRoot(); err != nil {
		return nil, err
	}
	if err := s.init(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// dropRoot makes the server run as another user if this process runs as root, which
// PostgreSQL refuses.
func (s *Server) dropRoot() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, uid, gid)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	return cmd
}

// settings are for speed: after a crash of the machine, nobody needs a test's data.
const settings = `
listen_addresses = ''
unix_socket_directories = '%s'
max_connections = 300
fsync = off
full_page_writes = off
autovacuum = off
jit = off
shared_buffers = 32MB
max_wal_size = 256MB
`

func (s *Server) init() error {
	out, err := s.command("initdb", "-D", s.data(), "-U", "roost", "-A", "trust", "-N", "--no-instructions", "-E", "UTF8", "--locale=C").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, settings, s.dir)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.startWatcher(); err != nil {
		return err
	}
	return s.run()
}

// run starts the server, and returns when it accepts connections.
func (s *Server) run() error {
	// pg_ctl's output goes to a file: the server would keep a pipe open.
	log := filepath.Join(s.dir, "log")
	cmd := s.command("pg_ctl", "-D", s.data(), "-l", log, "-w", "-t", "60", "start")
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log)
		return fmt.Errorf("start PostgreSQL: %w: %s", err, text)
	}
	return nil
}

// watcher ends the server and removes its files when its input ends, that is, when the test
// binary ends, however it ends.
const watcher = `read x; "$1/pg_ctl" -D "$2/data" -m immediate -w stop >/dev/null 2>&1; rm -rf "$2"`

func (s *Server) startWatcher() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c", watcher, "sh", s.bin, s.dir)
	cmd.Stdin, cmd.SysProcAttr = r, &syscall.SysProcAttr{Setpgid: true, Credential: s.cred}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, w.Close())
	}
	s.watch = w
	return cmd.Process.Release()
}
