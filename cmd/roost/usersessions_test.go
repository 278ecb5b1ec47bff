package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"roost/internal/cli"
	"roost/internal/cmdtest"
	"roost/store"
)

// client is an authenticated client.
type client struct {
	t    *testing.T
	conn net.Conn
	have string
}

// ask sends text and waits for the expected response.
func (c *client) ask(send, until string) (before string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, send); err != nil {
		c.t.Fatal(err)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	buf := make([]byte, 4096)
	for !strings.Contains(c.have, until) {
		n, err := c.conn.Read(buf)
		if err != nil {
			c.t.Fatalf("waiting for %q: %v; received %q", until, err, c.have)
		}
		c.have += string(buf[:n])
	}
	before, c.have, _ = strings.Cut(c.have, until)
	return before
}

// loginAs logs in with the password "secret".
func loginAs(t *testing.T, addr, base64 string) *client {
	t.Helper()
	return loginTo(t, addr, "localhost", base64, "")
}

// loginTo logs in to a domain and binds a resource, one that the server makes if it is "".
func loginTo(t *testing.T, addr, domain, base64, resource string) *client {
	t.Helper()
	c := unbound(t, addr, domain, base64)
	if resource != "" {
		resource = "<resource>" + resource + "</resource>"
	}
	c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"+resource+"</bind></iq>", "</iq>")
	return c
}

// unbound logs in to a domain, and leaves the rest to the caller.
func unbound(t *testing.T, addr, domain, base64 string) *client {
	t.Helper()
	c := connected(t, addr, domain)
	c.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+base64+"</auth>", "<success")
	c.ask(streamTo(domain), "</stream:features>")
	return c
}

// connected connects to a server and opens a stream.
func connected(t *testing.T, addr, domain string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn}
	c.ask(streamTo(domain), "</stream:features>")
	return c
}

func streamTo(domain string) string {
	return "<stream:stream to='" + domain + "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
}

// TestKeepSessions: a new password ends the account's sessions unless a flag prevents
// that.
func TestKeepSessions(t *testing.T) {
	dir := t.TempDir()
	user := func(stdin string, args ...string) {
		t.Helper()
		if _, err := runUser(t, stdin, append(args, "--data", dir)...); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
	}
	user("romeo@localhost,secret\nnurse@localhost,secret\n", "import", "-", "--create")
	cmd, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", dir)
	addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting)
	for _, change := range []struct {
		stdin string
		args  []string
	}{
		{"secret", []string{"passwd", "romeo@localhost", "--password-stdin"}},
		{"romeo@localhost,secret\n", []string{"import", "-", "--update"}},
	} {
		for _, keep := range []bool{true, false} {
			romeo, nurse := loginAs(t, addr, "AHJvbWVvAHNlY3JldA=="), loginAs(t, addr, "AG51cnNlAHNlY3JldA==")
			args := change.args
			if keep {
				args = append(args[:len(args):len(args)], "--keep-sessions")
			}
			user(change.stdin, args...)
			// Events are processed in order: after this one, that of romeo has been
			// processed.
			user("secret", "passwd", "nurse@localhost", "--password-stdin")
			nurse.ask("", "</stream:stream>")
			if keep {
				romeo.ask("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
			} else {
				romeo.ask("", "</stream:stream>")
			}
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestFilesOfOwner: files that a command creates in the data directory as root belong to
// the directory's owner, which is the server's user.
func TestFilesOfOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can create files of other users")
	}
	const uid, gid = 54321, 54322
	dir := t.TempDir()
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Skip(err)
	}
	command := cmdtest.Program(nil, "user", "add", "juliet@example.com", "--password-stdin", "--create", "--data", dir)
	command.Stdin = strings.NewReader("secret")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The database is open, so that its other files exist, too.
	s := cmdtest.OpenStore(t, dir)
	if err := s.SetDisabled(t.Context(), juliet, true); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if sys := info.Sys().(*syscall.Stat_t); sys.Uid != uid || sys.Gid != gid {
			t.Errorf("%s belongs to %d:%d", filepath.Base(name), sys.Uid, sys.Gid)
		}
	}
}

// TestImportDomains: the command rejects accounts of domains that the server does not
// serve, line by line, unless a flag allows them.
func TestImportDomains(t *testing.T) {
	dir := t.TempDir()
	cmdtest.OpenStore(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "domains"), []byte("example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "accounts.csv")
	if err := os.WriteFile(file, []byte("a@example.com,1\nb@example.net,1\nc@EXAMPLE.com,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := cmdtest.Result(t, nil, "user", "import", file, "--data", dir, "--iterations", fmt.Sprint(store.MinIterations))
	if code != cli.ExitFailure || !strings.Contains(stderr, file+":2: its domain is not served (served: example.com)\n") || !strings.Contains(stdout, "added 2 accounts, skipped 0 existing, rejected 1 line") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	code, stdout, stderr = cmdtest.Result(t, nil, "user", "import", file, "--data", dir, "--any-domain")
	if code != 0 || stderr != "" || !strings.Contains(stdout, "added 1 account, skipped 2 existing") {
		t.Errorf("--any-domain: exit code %d, %q, %q", code, stdout, stderr)
	}
}
