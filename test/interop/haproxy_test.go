//go:build interop

package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHAProxy sends messages with go-sendxmpp through Debian's HAProxy (2.6), with both
// versions of the PROXY protocol, STARTTLS and direct TLS. The log has the client's
// address, not HAProxy's, and HAProxy's health checks (the command LOCAL) succeed.
func TestHAProxy(t *testing.T) {
	if os.Getenv("INTEROP_SERVER") != "" {
		t.Skip("the other server is not configured for a proxy")
	}
	const proxy = "127.0.0.9"
	s := roost(t, "--proxy-protocol", proxy)
	fronts := startHAProxy(t, s, proxy)
	for _, version := range []string{"send-proxy", "send-proxy-v2"} {
		for _, mode := range []string{"starttls", "direct"} {
			t.Run(version+"/"+mode, func(t *testing.T) {
				user := s.users(t, 1)[0]
				ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
				defer cancel()
				args := []string{"-d", "-u", user, "-p", password, "-j", fronts[version+mode], user}
				if mode == "direct" {
					args = append([]string{"-t"}, args...)
				}
				cmd := exec.CommandContext(ctx, "go-sendxmpp", args...)
				cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.ca, "HOME="+t.TempDir())
				cmd.Stdin = strings.NewReader("through a proxy\n")
				mark := s.log.mark()
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("go-sendxmpp: %v\n%s\n--- the server:\n%s", err, out, s.log.tail())
				}
				bound := lineWith(s.log.since(mark), `msg="session bound"`, user)
				if !strings.Contains(bound, "peer=127.0.0.1:") {
					t.Errorf("the logged address of the session is not the client's: %q\n--- the server:\n%s", bound, s.log.since(mark))
				}
			})
		}
	}
	if bad := lineWith(s.log.tail(), "no valid PROXY protocol header"); bad != "" {
		t.Error(bad)
	}
}

// lineWith returns the first line of a text that contains all parts, or "" if there is none.
func lineWith(text string, parts ...string) string {
lines:
	for line := range strings.Lines(text) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		return line
	}
	return ""
}

// startHAProxy runs HAProxy in front of the server. HAProxy connects to the server from
// another address than clients do, and checks its health. The result has the address to
// connect to for each version and mode.
func startHAProxy(t *testing.T, s *server, source string) map[string]string {
	t.Helper()
	fronts := make(map[string]string)
	config := "defaults\n mode tcp\n" + haproxyTimes
	for _, version := range []string{"send-proxy", "send-proxy-v2"} {
		for mode, server := range map[string]string{"starttls": s.starttls, "direct": s.direct} {
			front := freeAddress(t)
			fronts[version+mode] = front
			config += fmt.Sprintf("listen %s-%s\n bind %s\n source %s\n server roost %s %s check inter 200ms fall 1\n", version, mode, front, source, server, version)
		}
	}
	runHAProxy(t, config, fronts)
	return fronts
}

// haproxyTimes are the timeouts that HAProxy must be given.
const haproxyTimes = " timeout connect 10s\n timeout client 1m\n timeout server 1m\n"

// runHAProxy runs HAProxy until t ends. fronts are the addresses that it listens on.
func runHAProxy(t *testing.T, config string, fronts map[string]string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	cmd := exec.Command("haproxy", "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = &log, &log
	// /usr/sbin is not in the path of every user.
	if path, err := exec.LookPath("/usr/sbin/haproxy"); err == nil {
		cmd.Path, cmd.Err = path, nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("haproxy: %v (install the packages in packages.txt)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("--- haproxy:\n%s\n%s", config, log.tail())
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for _, front := range fronts {
		for {
			c, err := net.Dial("tcp", front)
			if err == nil {
				_ = c.Close()
				break
			}
			select {
			case <-ctx.Done():
				t.Fatalf("haproxy does not listen on %s: %v\n%s", front, err, log.tail())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}
