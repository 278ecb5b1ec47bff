// Package redistest starts Redis servers for tests.
package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// RequireEnv is the environment variable that makes tests fail instead of being skipped if
// Redis is not installed. Package pgtest has the same.
const RequireEnv = "ROOST_TEST_ENGINES"

// Server is a Redis server on a free port of the loopback interface, with its files in a
// directory that is removed after the test.
type Server struct {
	Addr    string // host and port
	TLSAddr string // the same for TLS, of StartTLS

	t    testing.TB
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and its output was read
}

// Start starts a server that keeps nothing on disk. args are further options, such as
// "--appendonly", "yes". The server is killed at the end of the test, which is skipped if
// Redis is not installed, or fails if RequireEnv is set.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, "redis-server", args...)
}

// StartTLS is Start for a server that also accepts TLS, with a certificate and its key, which are
// files, and asks clients for none.
func StartTLS(t testing.TB, certificate, key string, args ...string) *Server {
	t.Helper()
	return start(t, "redis-server", append(args, certificateOption, certificate, "--tls-key-file", key, "--tls-auth-clients", "no")...)
}

// certificateOption is an option of servers that accept TLS.
const certificateOption = "--tls-cert-file"

func start(t testing.TB, program string, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing := t.Skipf
		if os.Getenv(RequireEnv) != "" {
			missing = t.Fatalf
		}
		missing("%s is not installed: the Debian package redis-server has it", program)
	}
	s := &Server{t: t, args: append([]string{program}, args...)}
	dir := t.TempDir()
	options := []string{"--bind", "127.0.0.1", "--dir", dir}
	if args = s.args; len(args) > 2 && args[2] == "--sentinel" {
		s.args = append(s.args, options...)
	} else {
		s.args = append(append([]string{program, "--save", ""}, options...), args[1:]...)
	}
	t.Cleanup(s.Kill)
	for range 5 {
		s.Addr = freeAddr(t)
		if slices.Contains(s.args, certificateOption) {
			s.TLSAddr = freeAddr(t)
		}
		if s.run() {
			return s
		}
	}
	t.Fatal("the Redis server has not found a free port")
	return nil
}

// freeAddr is an address that was free a moment ago.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run starts the process, and reports whether it accepts connections.
func (s *Server) run() bool {
	s.t.Helper()
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	args := append(s.args[1:len(s.args):len(s.args)], "--port", port)
	if s.TLSAddr != "" {
		_, port, _ := net.SplitHostPort(s.TLSAddr)
		args = append(args, "--tls-port", port)
	}
	s.cmd = exec.Command(s.args[0], args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan struct{})
	lines := bufio.NewScanner(out)
	ready, text := false, ""
	for !ready && lines.Scan() {
		text += lines.Text() + "\n"
		ready = strings.Contains(lines.Text(), "Ready to accept connections") || strings.Contains(lines.Text(), "Sentinel ID is")
	}
	go func() {
		defer close(s.done)
		_, _ = io.Copy(io.Discard, out)
		_ = s.cmd.Wait()
	}()
	if !ready && !strings.Contains(text, "ddress already in use") {
		s.t.Fatalf("the Redis server does not start:\n%s", text)
	}
	return ready
}

// URL is the address as a URL.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Kill ends the server at once, as kill -9. It may be called again.
func (s *Server) Kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Kill()
	<-s.done
}

// Restart starts the server again, at the same address, after Kill.
func (s *Server) Restart() {
	s.t.Helper()
	if !s.run() {
		s.t.Fatal("the Redis server's port is used by another program now")
	}
}

// Stop makes the server hang until Continue, as SIGSTOP.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Continue ends Stop.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(fmt.Errorf("redistest: %w", err))
	}
}
