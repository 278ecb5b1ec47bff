// Package mariatest starts MariaDB for tests: Debian's packages mariadb-server-core and mariadb-client-core, in a
// temporary directory, reachable only by a Unix socket there, with TLS. A test binary has one
// server, which ends with it.
package mariatest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// RequireEnv is the environment variable that makes tests fail instead of being skipped if
// MariaDB is not installed. Package pgtest has the same.
const RequireEnv = "ROOST_TEST_ENGINES"

// The account of tests, and the name in the server's certificate.
const (
	User     = "roost"
	Password = "a secret/?"
	Name     = "maria.example"
)

// Server is a running MariaDB.
type Server struct {
	dir   string
	watch *os.File // the watcher ends the server when this is closed
}

var shared = sync.OnceValues(start)

// Shared returns the server of this test binary, which it starts if necessary. If MariaDB is
// not installed, the test is skipped, or fails if RequireEnv is set.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	switch {
	case errors.Is(err, errMissing) && os.Getenv(RequireEnv) == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return s
}

// Socket returns the file by which clients connect.
func (s *Server) Socket() string { return filepath.Join(s.dir, "socket") }

// Certificate returns the file with the certificate that clients have to trust.
func (s *Server) Certificate() string { return filepath.Join(s.dir, "cert.pem") }

// URL returns the URL of a new database.
func (s *Server) URL(t testing.TB, name string) *url.URL {
	t.Helper()
	s.Exec(t, "", "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	t.Cleanup(func() { s.Exec(t, "", "DROP DATABASE "+name) })
	return &url.URL{Scheme: "mysql", User: url.UserPassword(User, Password), Host: Name, Path: "/" + name, RawQuery: url.Values{"socket": {s.Socket()}}.Encode()}
}

// Exec executes statements in a database.
func (s *Server) Exec(t testing.TB, database, statements string) {
	t.Helper()
	if err := s.exec("root", "", database, statements); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) exec(user, password, database, statements string) (err error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.MultiStatements, c.Logger = user, password, "unix", s.Socket(), database, true, &mysql.NopLogger{}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(context.Background(), statements)
	return err
}

// errMissing means that MariaDB is not installed.
var errMissing = errors.New("MariaDB is not installed: install the Debian packages mariadb-server-core and mariadb-client-core, or run make deps")

// settings are for speed: after a crash, nobody needs a test's data.
var settings = []string{"--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=4M", "--innodb-doublewrite=0", "--innodb-buffer-pool-size=8M", "--sync-frm=0"}

// start makes the files of a server and starts it.
func start() (_ *Server, err error) {
	program, err := exec.LookPath("mariadbd")
	if err != nil {
		program = "/usr/sbin/mariadbd" // not in the PATH of everybody
	}
	if _, err := os.Stat(program); err != nil {
		return nil, errMissing
	}
	s := new(Server) // not the result, which is nil after an error
	if s.dir, err = os.MkdirTemp("", "roost-maria"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && s.watch == nil {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}()
	args := append([]string{"--no-defaults", "--datadir=" + filepath.Join(s.dir, "data"), "--tmpdir=" + s.dir}, settings...)
	if os.Getuid() == 0 {
		args = append(args, "--user=root") // the directory is for this user only
	}
	install := append(args[:len(args):len(args)], "--auth-root-authentication-method=normal", "--skip-test-db")
	if out, err := exec.Command("mariadb-install-db", install...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	if err := writeCertificate(s.dir); err != nil {
		return nil, err
	}
	args = append(args, "--socket="+s.Socket(), "--skip-networking", "--pid-file="+filepath.Join(s.dir, "pid"), "--ssl-cert="+s.Certificate(), "--ssl-key="+filepath.Join(s.dir, "key.pem"))
	if err := s.run(program, args); err != nil {
		return nil, err
	}
	return s, s.exec("root", "", "", "CREATE USER "+User+" IDENTIFIED BY '"+Password+"'; GRANT ALL ON *.* TO "+User)
}

// writeCertificate writes a certificate and its key.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{Name}, IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// watcher runs the server, ends it when its own input ends, that is, when the test binary
// ends, however it ends, and removes its files.
const watcher = `dir=$1; shift; "$@" >"$dir/log" 2>&1 & read x; kill -9 $!; wait; rm -rf "$dir"`

// run starts the server, and returns when it accepts connections.
func (s *Server) run(program string, args []string) error {
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(s.dir, "ready")})
	if err != nil {
		return err
	}
	defer ready.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command("sh", append([]string{"-c", watcher, "sh", s.dir, program}, args...)...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(s.dir, "ready"))
	cmd.Stdin, cmd.SysProcAttr = r, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, w.Close())
	}
	s.watch = w
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	// The server tells when it is ready, as it tells systemd.
	if err := ready.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	b := make([]byte, 4096)
	for {
		n, err := ready.Read(b)
		if err != nil {
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("start MariaDB: %w: %s", err, text)
		}
		if strings.Contains(string(b[:n]), "READY=1") {
			return nil
		}
	}
}
