package xep_test

import (
	"encoding/base64"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"roost/internal/memnet"
	"roost/internal/xmpptest"
	"roost/store"
	"roost/xep"
)

// testServer is a server in memory; remote is the address that its clients connect from.
type testServer struct {
	*xmpptest.Server
	remote netip.AddrPort
}

func newTestServer(t *testing.T, cfg xep.Config) *testServer {
	t.Helper()
	return newTestServerWith(t, xmpptest.Config{XEP: cfg})
}

func newTestServerWith(t *testing.T, cfg xmpptest.Config) *testServer {
	t.Helper()
	cfg.XEP.Iterations = store.MinIterations
	return &testServer{xmpptest.NewServer(t, cfg), memnet.Loopback}
}

// testClient is one client's connection.
type testClient struct {
	t    *testing.T
	conn net.Conn
	have string
}

const testHeader = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client'" +
	" xmlns:stream='http://etherx.jabber.org/streams'>"

// connect opens a stream and returns the client and the stream's features.
func (ts *testServer) connect(t *testing.T) (c *testClient, features string) {
	t.Helper()
	conn, err := ts.DialFrom(ts.remote)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c = &testClient{t: t, conn: conn}
	return c, c.ask(testHeader, "</stream:features>")
}

// login opens a stream, authenticates with the password "secret" and binds the
// resource "r".
func (ts *testServer) login(t *testing.T, user string) *testClient {
	t.Helper()
	return ts.loginAs(t, user, "r")
}

// loginAs is login with the given resource.
func (ts *testServer) loginAs(t *testing.T, user, resource string) *testClient {
	t.Helper()
	c, _ := ts.connect(t)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00secret"))
	c.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plain+"</auth>", "<success")
	c.ask(testHeader, "</stream:features>")
	c.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "</iq>")
	return c
}

// ask sends text and returns what is received, up to and including until.
func (c *testClient) ask(send, until string) string {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(send)); err != nil {
		c.t.Fatal(err)
	}
	c.conn.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
	for !strings.Contains(c.have, until) {
		b := make([]byte, 64<<10)
		n, err := c.conn.Read(b)
		if err != nil {
			c.t.Fatalf("waiting for %q: %v; received %q", until, err, c.have)
		}
		c.have += string(b[:n])
	}
	end := strings.Index(c.have, until) + len(until)
	got := c.have[:end]
	c.have = c.have[end:]
	return got
}

// iq sends a request and returns the condition of the error, or "result".
func (c *testClient) iq(kind, payload string) string {
	c.t.Helper()
	// A second request marks the end of the first one's reply.
	got := c.ask("<iq type='"+kind+"' id='x'>"+payload+"</iq><iq type='get' id='after' to='localhost'>"+
		"<no xmlns='such:request'/></iq>", "id='after'")
	c.ask("", "</iq>")
	if strings.Contains(got, "type='result' id='x'") {
		return "result"
	}
	return condition(got)
}

// condition returns the condition of the first stanza error in s.
func condition(s string) string {
	_, s, _ = strings.Cut(s, "<error type=")
	_, s, _ = strings.Cut(s, "><")
	s, _, _ = strings.Cut(s, " ")
	return s
}
