//go:build interop

package interop

import (
	"cmp"
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The time limits for the start and the stop of a server.
const (
	startTime = 30 * time.Second
	stopTime  = 30 * time.Second
)

// server is a running XMPP server for the scenarios: roost, or another one given by the
// environment (see README.md).
type server struct {
	domain   string
	starttls string // host:port, TLS by STARTTLS
	direct   string // host:port, TLS from the first byte
	web      string // host:port for WebSocket, with TLS; empty: none
	ca       string // PEM file that a client trusts
	lenient  bool   // known violations of the specifications are reported and do not fail the test

	command func() *exec.Cmd                         // runs the server; nil if it is already running and stays
	addUser func(jid, password string) error         // creates an account
	user    func(input string, args ...string) error // runs `roost user`; nil for other servers

	process *exec.Cmd
	ended   chan error
	log     *logBuffer

	nodes []*server // of a cluster, whose first node this is: with it; nil for a server alone
}

// newServer starts the server to test.
func newServer(t testing.TB) *server {
	t.Helper()
	if os.Getenv("INTEROP_SERVER") != "" {
		return otherServer(t)
	}
	return roost(t)
}

// webServer starts roost with an endpoint for WebSocket, and with additional flags. It skips
// the test for another server.
func webServer(t testing.TB, flags ...string) *server {
	t.Helper()
	if os.Getenv("INTEROP_SERVER") != "" {
		t.Skip("the other server is not configured for WebSocket")
	}
	return startRoost(t, freeAddress(t), flags...)
}

// roost starts roost with a new data directory on free loopback ports, with additional flags.
func roost(t testing.TB, flags ...string) *server {
	t.Helper()
	return startRoost(t, "", flags...)
}

// startRoost starts roost with a new data directory. web is the address for WebSocket, empty
// for none.
func startRoost(t testing.TB, web string, flags ...string) *server {
	t.Helper()
	data := t.TempDir()
	s := startRoostIn(t, data, web, new(logBuffer), flags...)
	s.ca = certificateIn(t, data)
	return s
}

// startRoostIn starts roost with a data directory, and appends its output to log.
func startRoostIn(t testing.TB, data, web string, log *logBuffer, flags ...string) *server {
	t.Helper()
	binary := buildRoost(t)
	s := &server{
		domain:   "localhost",
		starttls: freeAddress(t),
		direct:   freeAddress(t),
		web:      web,
		log:      log,
	}
	s.command = func() *exec.Cmd {
		return exec.Command(binary, append([]string{"serve", "--domain", s.domain, "--c2s", s.starttls,
			"--c2s-tls", s.direct, "--ws", cmp.Or(s.web, "off"), "--data", data, "--register", "--log-level", "debug"}, flags...)...)
	}
	s.user = func(input string, args ...string) error {
		return runWithInput(input, binary, append(append([]string{"user"}, args...), "--data", data)...)
	}
	s.addUser = func(jid, password string) error {
		return s.user(password+"\n", "add", jid, "--password-stdin")
	}
	s.start(t)
	return s
}

// otherServer returns the server that the environment names, and starts it if necessary.
func otherServer(t testing.TB) *server {
	t.Helper()
	add := os.Getenv("INTEROP_ADDUSER")
	s := &server{
		domain:   os.Getenv("INTEROP_DOMAIN"),
		starttls: os.Getenv("INTEROP_SERVER"),
		direct:   os.Getenv("INTEROP_SERVER_TLS"),
		ca:       os.Getenv("INTEROP_CA"),
		lenient:  os.Getenv("INTEROP_LENIENT") != "",
		log:      new(logBuffer),
		addUser: func(jid, password string) error {
			return runWithInput(password+"\n", add, jid)
		},
	}
	if line := os.Getenv("INTEROP_START"); line != "" {
		s.command = func() *exec.Cmd { return exec.Command("sh", "-c", "exec "+line) }
		s.start(t)
	}
	return s
}

// start runs the server and waits until its ports accept connections. The server is stopped
// when t ends.
func (s *server) start(t testing.TB) {
	t.Helper()
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting the server: %v", err)
	}
	s.process, s.ended = cmd, make(chan error, 1)
	go func(ended chan<- error) { ended <- cmd.Wait() }(s.ended)
	t.Cleanup(func() { s.stop(t) })
	for _, address := range []string{s.starttls, s.direct, s.web} {
		if address == "" {
			continue
		}
		if err := s.await(address); err != nil {
			t.Fatalf("%s does not accept connections: %v\nthe log:\n%s", address, err, s.log.tail())
		}
	}
}

func (s *server) await(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case err := <-s.ended:
			s.ended <- err
			return fmt.Errorf("the server has ended: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop sends SIGTERM, and fails the test unless the server exits with status 0 in stopTime.
func (s *server) stop(t testing.TB) {
	t.Helper()
	if s.process == nil {
		return
	}
	process := s.process
	s.process = nil
	_ = process.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("the server ended with %v after SIGTERM; its log:\n%s", err, s.log.tail())
		}
	case <-time.After(stopTime):
		_ = process.Process.Kill()
		<-s.ended
		t.Errorf("the server was still running %v after SIGTERM; its log:\n%s", stopTime, s.log.tail())
	}
}

// restartable reports whether scenarios may stop and start the server.
func (s *server) restartable() bool { return s.command != nil }

// password is the password of all accounts. It has characters that need escaping.
const password = `p=a,s&s "wörd"`

// users creates accounts that no other scenario uses.
func (s *server) users(t testing.TB, n int) []string {
	t.Helper()
	jids := make([]string, n)
	for i := range jids {
		jids[i] = fmt.Sprintf("%s@%s", uniqueName(), s.domain)
		if err := s.addUser(jids[i], password); err != nil {
			t.Fatalf("adding %s: %v", jids[i], err)
		}
	}
	return jids
}

var names struct {
	sync.Mutex
	last int
}

func uniqueName() string {
	names.Lock()
	defer names.Unlock()
	names.last++
	return fmt.Sprintf("u%d-%x", names.last, time.Now().UnixNano())
}

// freeAddress returns a loopback address that is not in use.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

var build struct {
	sync.Once
	path string
	err  error
}

// buildRoost builds the binary once per test run.
func buildRoost(t testing.TB) string {
	t.Helper()
	build.Do(func() {
		build.path = filepath.Join(scratch, "roost")
		out, err := exec.Command("go", "build", "-o", build.path, "roost/cmd/roost").CombinedOutput()
		if err != nil {
			build.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// certificateIn finds the server's self-signed certificate.
func certificateIn(t testing.TB, dir string) string {
	t.Helper()
	var found string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || found != "" {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() > 1<<20 {
			return err
		}
		text, err := os.ReadFile(path)
		if block, _ := pem.Decode(text); block != nil && block.Type == "CERTIFICATE" {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no certificate in %s (%v)", dir, err)
	}
	return found
}

func runWithInput(input string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
