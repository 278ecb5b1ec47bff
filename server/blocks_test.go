package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/xmpptest"
	"roost/poller"
)

// block blocks something.
func block(ctx context.Context, c *api.Client, q api.BlockRequest) (b api.BlockResult, err error) {
	return b, c.Do(ctx, http.MethodPost, api.PathBlocks, nil, q, &b)
}

// unblock removes a block.
func unblock(ctx context.Context, c *api.Client, target string) error {
	return c.Do(ctx, http.MethodDelete, strings.Replace(api.PathBlock, "{target}", url.PathEscape(target), 1), nil, nil, nil)
}

// from connects to a server from another address of loopback.
func from(t *testing.T, s *Server, addr string) *peer {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	conn, err := d.Dial("tcp", s.Addrs()[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn}
}

// closes waits for the end of a connection on which nothing was received.
func (p *peer) closes() {
	p.t.Helper()
	_ = p.conn.SetDeadline(time.Now().Add(xmpptest.WaitLimit))
	_, _ = io.WriteString(p.conn, testHeader)
	if b, err := io.ReadAll(p.conn); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Errorf("%q %v, want a connection that is closed at once", b, err)
	}
}

const pingServer = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"

// TestBlockNetwork: the connections of a network end, logged in or not, and new ones are
// closed as soon as they are accepted; others, and the administration interface, are left
// alone.
func TestBlockNetwork(t *testing.T) {
	file := filepath.Join(t.TempDir(), admin.TokensName)
	token, err := admin.AddToken(file, "t", admin.ScopeWrite)
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, func(c *Config) { c.Admin.Addr, c.Admin.Tokens = "127.0.0.1:0", file })
	c, err := api.Remote("http://"+s.admin.Addr().String(), token, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bound, early := from(t, s, "127.0.0.2").login("romeo", "r"), from(t, s, "127.0.0.3")
	early.ask(testHeader, "</stream:features>")
	other := from(t, s, "127.0.1.1").login("juliet", "r")
	b, err := block(t.Context(), c, api.BlockRequest{Target: "127.0.0.0/24", Seconds: 3600, Reason: "spam"})
	if err != nil || b.Target != "127.0.0.0/24" || b.Kind != api.BlockNetwork || b.Until == nil || b.Reason != "spam" || b.Actor != "token t" || b.Sessions != 2 {
		t.Errorf("%+v %v", b, err)
	}
	for _, p := range []*peer{bound, early} {
		p.ask("", "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"+
			"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>This network is blocked.</text></stream:error></stream:stream>")
	}
	from(t, s, "127.0.0.4").closes()
	if n := s.poller.Stats().RefusedBy[poller.RefusedBlocked]; n != 1 {
		t.Errorf("%d connections of blocked networks, want 1", n)
	}
	other.ask(pingServer, "id='p'")
	from(t, s, "127.0.1.2").login("romeo", "r")
	if err := unblock(t.Context(), c, "127.0.0.99/24"); err != nil { // from a blocked address
		t.Error(err)
	}
	from(t, s, "127.0.0.4").login("romeo", "s")
}

// TestBlockPending: if an event loop does not turn, a block is in force and says that it is
// not complete; connections that the server had accepted before, and that become sessions
// only when the loop turns, end then.
func TestBlockPending(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Poller = poller.Config{Loops: 2} })
	c := adminOf(t, s)
	bound := from(t, s, "127.0.0.2").login("romeo", "r")
	stuck, release := make(chan struct{}), make(chan struct{})
	s.poller.PostAll(func(loop int) {
		if loop == 1 { // loop 0 accepts
			close(stuck)
			<-release
		}
	})
	<-stuck
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	before := s.poller.Stats().Accepted
	early := []*peer{from(t, s, "127.0.0.3"), from(t, s, "127.0.0.3")} // one for each loop
	for deadline := time.Now().Add(xmpptest.WaitLimit); s.poller.Stats().Accepted < before+2; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("no connection is accepted")
		}
	}
	b, err := block(t.Context(), c, api.BlockRequest{Target: "127.0.0.0/24"})
	if err != nil || !b.Pending {
		t.Errorf("%+v %v, want a block that is pending", b, err)
	}
	from(t, s, "127.0.0.4").closes()
	free()
	bound.ask("", "This network is blocked.</text></stream:error></stream:stream>")
	for _, p := range early {
		p.ask("", "This network is blocked.</text></stream:error></stream:stream>")
	}
	if b, err := block(t.Context(), c, api.BlockRequest{Target: "127.0.9.0/24"}); err != nil || b.Pending {
		t.Errorf("%+v %v", b, err)
	}
}

// TestBlockAccount: the sessions of an account end, also one that is not bound yet; it
// cannot log in, and is told why, but only if the password is right.
func TestBlockAccount(t *testing.T) {
	s := startServer(t, nil)
	c := adminOf(t, s)
	bound, half := connect(t, s).login("romeo", "r"), connect(t, s).authenticate("romeo")
	juliet := connect(t, s).login("juliet", "r")
	if b, err := block(t.Context(), c, api.BlockRequest{Target: "Romeo@localhost", Reason: "Call <us>."}); err != nil || b.Target != "romeo@localhost" || b.Kind != api.BlockAccount || b.Until != nil || b.Sessions != 1 {
		t.Errorf("%+v %v", b, err)
	}
	for _, p := range []*peer{bound, half} {
		p.ask("", "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"+
			"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>Call &lt;us&gt;.</text></stream:error></stream:stream>")
	}
	p := connect(t, s)
	p.ask(testHeader, "</stream:features>")
	auth := "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>"
	p.ask(fmt.Sprintf(auth, "AHJvbWVvAHdyb25n"), "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")
	p.ask(fmt.Sprintf(auth, plainLogin["romeo"]), "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><account-disabled/><text xml:lang='en'>Call &lt;us&gt;.</text></failure>")
	p.ask(fmt.Sprintf(auth, "AHJvbWVvAHdyb25n"), "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")
	p.ask(fmt.Sprintf(auth, plainLogin["juliet"]), "<success")
	juliet.ask(pingServer, "id='p'")
	if _, err := block(t.Context(), c, api.BlockRequest{Target: "nobody@localhost"}); err != nil {
		t.Errorf("an account that does not exist: %v", err)
	}
	if err := unblock(t.Context(), c, "romeo@localhost"); err != nil {
		t.Error(err)
	}
	connect(t, s).login("romeo", "r")
}

// TestBlocksKept: blocks survive a restart, and clients behind a proxy are blocked by their
// own address.
func TestBlocksKept(t *testing.T) {
	dir := t.TempDir()
	s, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"192.0.2.0/24", "2001:db8::/32", "romeo@localhost"} {
		if _, err := block(t.Context(), adminOf(t, s), api.BlockRequest{Target: target}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, func(c *Config) { c.DataDir, c.ProxyProtocol = dir, []string{"127.0.0.0/8"} })
	c := adminOf(t, s)
	var page api.BlockPage
	if err := c.Get(t.Context(), api.PathBlocks, url.Values{"limit": {"2"}}, &page); err != nil || page.Matching != 3 || len(page.Blocks) != 2 || page.Blocks[0].Target != "192.0.2.0/24" || page.Cursor == "" {
		t.Fatalf("%+v %v", page, err)
	}
	if err := c.Get(t.Context(), api.PathBlocks, url.Values{"limit": {"2"}, "cursor": {page.Cursor}}, &page); err != nil || len(page.Blocks) != 1 || page.Blocks[0].Target != "romeo@localhost" {
		t.Errorf("%+v %v", page, err)
	}
	proxied := func(client string) *peer {
		p := connect(t, s)
		family := map[bool]string{true: "TCP4", false: "TCP6"}[netip.MustParseAddr(client).Is4()]
		_, _ = fmt.Fprintf(p.conn, "PROXY %s %s %[2]s 1 2\r\n", family, client)
		return p
	}
	proxied("192.0.2.7").closes()
	proxied("2001:db8::7").closes()
	proxied("192.0.3.7").ask(testHeader, "</stream:features>")
	health := connect(t, s)
	_, _ = io.WriteString(health.conn, "PROXY UNKNOWN\r\n")
	health.ask(testHeader, "</stream:features>")
}

// TestBlocksWrong: what is wrong is told; who may only read cannot block; what the store
// does not keep is not in force.
func TestBlocksWrong(t *testing.T) {
	_, c, reader := startWithReader(t, func(c *Config) { c.Poller = poller.Config{Loops: 1} })
	for want, q := range map[string]api.BlockRequest{
		"not a network, an address or an account": {Target: "localhost"},
		"is not the address of an account":        {Target: "romeo@localhost/phone"},
		"0.0.0.0/0 is too large":                  {Target: "0.0.0.0/0"},
		"::/0 is too large":                       {Target: "::/0"},
		"2000::/3 is too large":                   {Target: "2000::/3"},
		"seconds must be 0 to":                    {Target: "192.0.2.1", Seconds: -1},
		"reason must be at most 200":              {Target: "192.0.2.1", Reason: "a\nb"},
	} {
		if _, err := block(t.Context(), c, q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", q, err, want)
		}
	}
	for target, want := range map[string]string{"x": "not a network", "192.0.2.1": "192.0.2.1/32 is not blocked", "a@b": "a@b is not blocked"} {
		if err := unblock(t.Context(), c, target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", target, err, want)
		}
	}
	for _, query := range []url.Values{{"limit": {"0"}}, {"cursor": {"x"}}, {"sort": {"x"}}} {
		if err := c.Get(t.Context(), api.PathBlocks, query, nil); err == nil {
			t.Errorf("%v is not refused", query)
		}
	}
	if _, err := block(t.Context(), reader, api.BlockRequest{Target: "192.0.2.1"}); err == nil || !strings.Contains(err.Error(), "needs write") {
		t.Error(err)
	}
	if err := unblock(t.Context(), reader, "192.0.2.1"); err == nil || !strings.Contains(err.Error(), "needs write") {
		t.Error(err)
	}
	if err := reader.Get(t.Context(), api.PathBlocks, nil, nil); err != nil {
		t.Error(err)
	}
}
