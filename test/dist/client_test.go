package dist

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that always happens.
const patience = time.Minute

// client is an XMPP client that does what the test writes.
type client struct {
	*testing.T
	conn net.Conn
	got  []byte
}

// login connects with direct TLS, and logs in with PLAIN.
func login(t *testing.T, addr, domain, user, password string) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: domain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := &client{T: t, conn: conn}
	open := "<stream:stream to='" + domain + "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	c.send(open)
	c.wait("</stream:features>")
	c.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)) + "</auth>")
	c.wait("<success")
	c.send(open)
	c.wait("</stream:features>")
	c.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>phone</resource></bind></iq><presence/>")
	c.wait("<jid>")
	c.wait("<presence") // its own: it is available
	return c
}

func (c *client) send(text string) {
	c.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.Fatal(err)
	}
}

// wait reads until a text has come.
func (c *client) wait(text string) {
	c.Helper()
	var buf [4096]byte
	for {
		if i := bytes.Index(c.got, []byte(text)); i >= 0 {
			c.got = c.got[i+len(text):]
			return
		}
		n, err := c.conn.Read(buf[:])
		if err != nil {
			c.Fatalf("%v while waiting for %q; received: %s", err, text, c.got)
		}
		c.got = append(c.got, buf[:n]...)
	}
}

// chat sends a message from romeo to juliet.
func chat(t *testing.T, addr, domain string) {
	t.Helper()
	juliet := login(t, addr, domain, "juliet", "secret")
	romeo := login(t, addr, domain, "romeo", "secret")
	romeo.send("<message to='juliet@" + domain + "' type='chat'><body>wherefore</body></message>")
	juliet.wait("<body>wherefore</body>")
}

// service is a server that runs in a root.
type service struct {
	*testing.T
	cmd  *exec.Cmd
	addr string // of direct TLS
	ends chan error
	log  *output
}

// output collects what a process prints. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// start runs a server until the end of the test, and waits until it accepts clients with
// direct TLS.
func start(t *testing.T, cmd *exec.Cmd) *service {
	t.Helper()
	s := &service{T: t, cmd: cmd, ends: make(chan error, 1), log: new(output)}
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ends <- cmd.Wait() }()
	t.Cleanup(s.stop)
	listens := regexp.MustCompile(`(?m)^ .*TLS.*?(127\.0\.0\.1:\d+)$`)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if strings.Contains(s.log.String(), "Ctrl-C") {
			for _, m := range listens.FindAllStringSubmatch(s.log.String(), -1) {
				s.addr = m[1]
			}
			return s
		}
		select {
		case err := <-s.ends:
			s.ends <- err
			t.Fatalf("the server ended: %v\n%s", err, s.log)
		default:
		}
	}
	t.Fatalf("the server does not start:\n%s", s.log)
	return nil
}

// stop stops the server as systemd does, and checks that it ends without an error.
func (s *service) stop() {
	s.Helper()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.ends:
		if err != nil {
			s.Error(fmt.Errorf("the server ended with %w:\n%s", err, s.log))
		}
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		s.Errorf("the server does not stop:\n%s", s.log)
		<-s.ends
	}
	s.cmd = nil
}
