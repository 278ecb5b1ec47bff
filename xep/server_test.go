package xep

import (
	"encoding/base64"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"roost/internal/memnet"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/store"
	"roost/store/sqlite"
)

// testServer is a server in memory with the accounts romeo and juliet.
type testServer struct {
	loop   *memnet.Loop
	store  store.Store
	remote netip.Addr // where all clients seem to come from; zero: loopback
}

// remoteConn is a connection from another address than loopback.
type remoteConn struct {
	*memnet.Conn
	from netip.Addr
}

func (c remoteConn) RemoteAddr() netip.AddrPort { return netip.AddrPortFrom(c.from, 5222) }

func newTestServer(t *testing.T, cfg Config) *testServer {
	t.Helper()
	cfg.Iterations = store.MinIterations
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "roost.db")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := store.NewCredentials("secret", store.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"romeo@localhost", "juliet@localhost"} {
		if err := st.CreateAccount(t.Context(), store.Account{JID: jid.MustParse(name), Credentials: c}); err != nil {
			t.Fatal(err)
		}
	}
	domains := []string{"localhost"}
	r := router.New(router.Config{Domains: domains, Store: st, Extensions: All(cfg)})
	m := session.NewManager(session.Config{
		Domains: domains, Accounts: st, Router: r, Secret: []byte("for tests"), AllowPlaintext: true,
	})
	r.Attach(m)
	ts := &testServer{store: st}
	ts.loop = memnet.NewLoop(4<<20, func(c *memnet.Conn) memnet.Handler {
		if ts.remote.IsValid() {
			return m.New(remoteConn{c, ts.remote})
		}
		return m.New(c)
	}, m.TurnEnd)
	t.Cleanup(func() {
		m.Close()
		ts.loop.Close()
		r.Close()
		st.Close()
	})
	return ts
}

// testClient is one client.
type testClient struct {
	t    *testing.T
	conn net.Conn
	have string
}

const testHeader = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client'" +
	" xmlns:stream='http://etherx.jabber.org/streams'>"

// connect opens a stream.
func (ts *testServer) connect(t *testing.T) *testClient {
	t.Helper()
	c := &testClient{t: t, conn: ts.loop.Dial()}
	t.Cleanup(func() { c.conn.Close() })
	c.ask(testHeader, "</stream:features>")
	return c
}

// login opens a stream, authenticates with the password "secret" and binds the
// resource "r".
func (ts *testServer) login(t *testing.T, user string) *testClient {
	t.Helper()
	c := ts.connect(t)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00secret"))
	c.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plain+"</auth>", "<success")
	c.ask(testHeader, "</stream:features>")
	c.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "</iq>")
	return c
}

// ask sends and returns what comes, up to and with until.
func (c *testClient) ask(send, until string) string {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(send)); err != nil {
		c.t.Fatal(err)
	}
	c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for !strings.Contains(c.have, until) {
		b := make([]byte, 64<<10)
		n, err := c.conn.Read(b)
		if err != nil {
			c.t.Fatalf("waiting for %q: %v; there is %q", until, err, c.have)
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
	// A second request marks the end of the first one's answer.
	got := c.ask("<iq type='"+kind+"' id='x'>"+payload+"</iq><iq type='get' id='after' to='localhost'>"+
		"<no xmlns='such:request'/></iq>", "id='after'")
	c.ask("", "</iq>")
	if strings.Contains(got, "type='result' id='x'") {
		return "result"
	}
	return condition(got)
}

// condition is the condition of the first stanza error in s.
func condition(s string) string {
	_, s, _ = strings.Cut(s, "<error type=")
	_, s, _ = strings.Cut(s, "><")
	s, _, _ = strings.Cut(s, " ")
	return s
}
