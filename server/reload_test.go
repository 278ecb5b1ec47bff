package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/xmpptest"
	"roost/parser"
	"roost/poller"
	"roost/session"
)

// reload reloads a server with its own configuration as a change leaves it.
func (s *Server) reload(t *testing.T, change func(*Config)) {
	t.Helper()
	if err := s.tryReload(change); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) tryReload(change func(*Config)) error {
	cfg := *s.config()
	change(&cfg)
	ctx, cancel := context.WithTimeout(context.Background(), xmpptest.WaitLimit)
	defer cancel()
	return s.Reload(ctx, cfg)
}

// TestReloadUnderTraffic: hundreds of clients exchange messages while the server reloads
// again and again, with other limits, and with a domain that comes and goes. None of them
// is disconnected, and no message is lost or out of order.
func TestReloadUnderTraffic(t *testing.T) {
	const clients, messages, reloads = 200, 60, 40
	var log lockedLog
	s := startServer(t, func(c *Config) {
		c.Session.MaxResources, c.Session.LoginTimeout = clients, 5*time.Minute
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	all := make([]*peer, clients)
	for i := range all {
		all[i] = connect(t, s).login("romeo", fmt.Sprint("r", i))
	}
	var done sync.WaitGroup
	var failed, delivered atomic.Int64
	for i, p := range all {
		to := (i + 1) % clients
		done.Go(func() { // sends to its neighbour, a part at a time
			for n := range messages {
				if _, err := fmt.Fprintf(p.conn, "<message to='romeo@localhost/r%d' id='%d'><body>x</body></message>", to, n); err != nil {
					t.Errorf("client %d: %v", i, err)
					failed.Add(1)
					return
				}
			}
		})
		done.Go(func() { // receives from the other neighbour
			_ = p.conn.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
			in := bufio.NewReader(io.MultiReader(strings.NewReader(p.have.String()), p.conn))
			for n := range messages {
				stanza, err := in.ReadString('>') // the start tag
				for err == nil && !strings.Contains(stanza, "<message") {
					stanza, err = in.ReadString('>')
				}
				if err != nil || !strings.Contains(stanza, fmt.Sprintf("id='%d'", n)) {
					t.Errorf("client %d: message %d: %q %v", i, n, stanza, err)
					failed.Add(1)
					return
				}
				delivered.Add(1)
			}
		})
	}
	for n := 0; n < reloads || delivered.Load()+failed.Load()*messages < clients*messages; n++ {
		s.reload(t, func(c *Config) {
			c.Domains = []string{"localhost"}
			if n%2 == 0 {
				c.Domains = append(c.Domains, "example.org")
			}
			c.Session.Limits.MaxStanza = 20000 + n
			c.Session.FanoutRate, c.Session.MaxFailures, c.Session.MaxResources = 1000000+n, 10+n%3, clients+n
			c.Router.RosterCache, c.Router.MaxOffline = 8<<20+n, 1000+n
			c.Poller.Outbox, c.Poller.IdleTimeout, c.Poller.KeepaliveBatch = 256<<10+n, time.Hour+time.Duration(n)*time.Second, time.Duration(n%2)*10*time.Millisecond
			c.Poller.Handshakes, c.Poller.UnauthMemory, c.Poller.MaxPerAddress = 100+n, 8<<20+n, 1000+n
			c.XEP.Register, c.XEP.RegisterPerHour = n%2 == 0, 10+n
			c.XEP.Contacts = map[string][]string{"admin": {fmt.Sprintf("mailto:a%d@example.org", n)}}
		})
	}
	done.Wait()
	if n := delivered.Load(); n != clients*messages {
		t.Errorf("%d messages have arrived, want %d", n, clients*messages)
	}
	if n := s.sessions.Counts().Bound; n != clients {
		t.Errorf("%d clients are left of %d", n, clients)
	}
	if c := s.config(); c.Session.Limits.MaxStanza < 20000+reloads-1 {
		t.Errorf("the last reload has no effect: %d", c.Session.Limits.MaxStanza)
	}
	for _, line := range strings.Split(log.String(), "\n") {
		if strings.Contains(line, "level=ERROR") {
			t.Error(line)
		}
	}
}

// TestReloadDomains: a domain that is added is served at once, also with STARTTLS, and
// recorded; the sessions of one that is removed end with <host-gone/> (RFC 6120 section
// 4.9.3.5), whether they have logged in or not, and it is unknown then. Others notice
// nothing.
func TestReloadDomains(t *testing.T) {
	s := startServer(t, nil)
	stays := connect(t, s).login("romeo", "r").available()
	other := strings.Replace(testHeader, "localhost", "example.org", 1)
	if got := connect(t, s).ask(other, "</stream:stream>"); !strings.Contains(got, "<host-unknown") {
		t.Errorf("before it is added: %s", got)
	}
	s.reload(t, func(c *Config) { c.Domains = []string{"localhost", "example.org"} })
	if err := xmpptest.AddAccounts(t.Context(), s.store, "example.org"); err != nil {
		t.Fatal(err)
	}
	if got, err := ServedDomains(s.config().DataDir); err != nil || len(got) != 2 {
		t.Errorf("recorded: %q %v", got, err)
	}
	var st api.Status
	if err := adminOf(t, s).Get(t.Context(), api.PathStatus, nil, &st); err != nil || len(st.Domains) != 2 {
		t.Errorf("status: %v %v", st.Domains, err)
	}
	bound := connect(t, s)
	bound.ask(other, "</stream:features>")
	bound.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plainLogin["juliet"]+"</auth>", "<success")
	bound.ask(other, "</stream:features>")
	bound.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "</iq>")
	early := connect(t, s)
	early.ask(other, "</stream:features>")
	secure := connect(t, s)
	secure.ask(other, "</stream:features>")
	secure.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	conn := tls.Client(secure.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "example.org"})
	if err := conn.Handshake(); err != nil {
		t.Errorf("STARTTLS: %v", err)
	} else if err := conn.ConnectionState().PeerCertificates[0].VerifyHostname("example.org"); err != nil {
		t.Errorf("STARTTLS: %v", err)
	}
	stays.ask("<message to='juliet@example.org/r' id='m1'><body>x</body></message>", "")
	bound.ask("", "<body>x</body>")

	s.reload(t, func(c *Config) { c.Domains = []string{"localhost"} })
	for _, p := range []*peer{bound, early} {
		p.ask("", "<stream:error><host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
	}
	if got := connect(t, s).ask(other, "</stream:stream>"); !strings.Contains(got, "<host-unknown") {
		t.Errorf("after it is removed: %s", got)
	}
	got := stays.ask("<message to='juliet@example.org/r' id='m2' type='chat'><body>y</body></message>", "</message>")
	if !strings.Contains(got, "remote-server-not-found") {
		t.Errorf("a message to the domain that was removed: %s", got)
	}
	xmpptest.Eventually(t, "the sessions to be gone", func() bool {
		n := s.sessions.Counts()
		return n.Bound == 1
	})
}

// TestReloadHot: each limit of a package is in effect when Reload has returned, for clients
// that are connected too.
func TestReloadHot(t *testing.T) {
	s := startServer(t, nil)
	p := connect(t, s).login("romeo", "r")
	large := "<iq type='get' id='l' to='localhost'><ping xmlns='urn:xmpp:ping'/><x>" + strings.Repeat("x", 12000) + "</x></iq>"
	p.ask(large, "</iq>")
	features := func() string { return connect(t, s).ask(testHeader, "</stream:features>") }
	if strings.Contains(features(), "iq-register") {
		t.Error("registration is offered before")
	}
	info := func() string {
		return p.ask("<iq type='get' id='d' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>", "</iq>")
	}
	if got := info(); strings.Contains(got, "mailto:") || !strings.Contains(got, "msgoffline") {
		t.Errorf("before: %s", got)
	}
	s.reload(t, func(c *Config) {
		c.Session.Limits.MaxStanza, c.Session.MaxResources = MinStanza, 1
		c.XEP.Register, c.XEP.Contacts = true, map[string][]string{"admin": {"mailto:a@example.org"}}
		c.Router.MaxOffline = -1
	})
	if !strings.Contains(features(), "iq-register") {
		t.Error("registration is not offered")
	}
	if got := info(); !strings.Contains(got, "mailto:a@example.org") {
		t.Errorf("no contacts: %s", got)
	} else if strings.Contains(got, "msgoffline") {
		t.Errorf("offline messages are offered, which are off: %s", got)
	}
	second := connect(t, s).authenticate("romeo")
	if got := second.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>"); !strings.Contains(got, "resource-constraint") {
		t.Errorf("a second resource: %s", got)
	}
	if got := p.ask(large, "</stream:stream>"); !strings.Contains(got, "policy-violation") {
		t.Errorf("a stanza above the new limit: %.300s", got)
	}
	s.reload(t, func(c *Config) { c.Session.AllowPlaintext = false })
	if got := features(); !strings.Contains(got, "<required/>") {
		t.Errorf("TLS is not required: %s", got)
	}
}

// TestReloadReachesLoops: Reload returns when each event loop uses the new configuration, and
// not before.
func TestReloadReachesLoops(t *testing.T) {
	s := startServer(t, nil)
	connect(t, s).login("romeo", "r")
	busy, release := make(chan struct{}), make(chan struct{})
	s.sessions.RunOnLoop(s.sessions.Find("romeo@localhost", "r"), func(*session.Turn) {
		close(busy)
		<-release
	})
	<-busy
	returned := make(chan error, 1)
	go func() {
		returned <- s.tryReload(func(c *Config) { c.Domains = []string{"localhost", "example.org"} })
	}()
	xmpptest.Eventually(t, "the new configuration", func() bool { return s.sessions.Serves("example.org") })
	for range 1000 {
		runtime.Gosched()
	}
	select {
	case err := <-returned:
		t.Errorf("it returns while a loop is busy: %v", err)
		close(release)
	default:
		close(release)
		if err := <-returned; err != nil {
			t.Error(err)
		}
	}
}

// TestReloadKeepsArgument: the domains of the caller are left as they are.
func TestReloadKeepsArgument(t *testing.T) {
	s := startServer(t, nil)
	domains := []string{"LOCALHOST"}
	s.reload(t, func(c *Config) { c.Domains = domains })
	if domains[0] != "LOCALHOST" || !s.sessions.Serves("localhost") {
		t.Errorf("%q", domains)
	}
}

// TestReloadProxies: from an address that becomes that of a proxy, a new connection needs a
// header of the PROXY protocol, and one that is open does not.
func TestReloadProxies(t *testing.T) {
	s := startServer(t, nil)
	before := connect(t, s)
	xmpptest.Eventually(t, "the connection to be accepted", func() bool { return s.clients() == 1 })
	s.reload(t, func(c *Config) { c.ProxyProtocol = []string{"127.0.0.1"} })
	connect(t, s).closes()
	connect(t, s).ask("PROXY TCP4 192.0.2.7 198.51.100.1 4711 5222\r\n"+testHeader, "</stream:features>")
	before.ask(testHeader, "</stream:features>")
}

// TestReloadPassedSocket: a server that listens only on a socket of a service manager can be
// reloaded, although its configuration has no address.
func TestReloadPassedSocket(t *testing.T) {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, func(c *Config) { c.C2S, c.Sockets.C2S = "", []*net.TCPListener{nl.(*net.TCPListener)} })
	s.reload(t, func(c *Config) { c.Sockets, c.Session.MaxResources = Sockets{}, 77 })
	if n := s.config().Session.MaxResources; n != 77 {
		t.Errorf("MaxResources is %d", n)
	}
	connect(t, s).login("romeo", "r")
}

// TestReloadFits: what is new must fit what needs a restart, too.
func TestReloadFits(t *testing.T) {
	r := newRenewal(t)
	s := startServer(t, func(c *Config) {
		c.TLSCert, c.TLSKey, c.Admin.Addr = []string{r.cert}, []string{r.key}, "0.0.0.0:0"
		if _, err := admin.AddToken(filepath.Join(c.DataDir, admin.TokensName), "t", admin.ScopeRead); err != nil {
			t.Fatal(err)
		}
	})
	err := s.tryReload(func(c *Config) { c.TLSCert, c.TLSKey, c.Admin.Addr = nil, nil, "" })
	if err == nil || !strings.Contains(err.Error(), "not a loopback address") || len(s.config().TLSCert) != 1 {
		t.Errorf("%v, want that the address needs a certificate", err)
	}
}

// TestReloadAll: a configuration with a mistake, or with a certificate that cannot be read,
// changes nothing at all; what needs a restart is left as it is.
func TestReloadAll(t *testing.T) {
	s := startServer(t, nil)
	before := s.config()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.pem")
	if err := os.WriteFile(bad, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want string, change func(*Config)) {
		t.Helper()
		err := s.tryReload(func(c *Config) {
			c.Domains, c.Session.MaxResources = []string{"localhost", "example.org"}, 77
			change(c)
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if s.config() != before || s.sessions.Serves("example.org") || s.router.Serves("example.org") {
			t.Errorf("%s: a part was applied", want)
		}
		if got, err := ServedDomains(before.DataDir); err != nil || len(got) != 1 {
			t.Errorf("%s: recorded: %q %v", want, got, err)
		}
	}
	f("is not a domain", func(c *Config) { c.Domains = []string{"not a domain"} })
	f("must hold the largest stanza", func(c *Config) { c.Poller.Outbox = 20000 })
	f("bad.pem", func(c *Config) { c.TLSCert, c.TLSKey = []string{bad}, []string{bad} })
	f("is not the address of a proxy", func(c *Config) { c.ProxyProtocol = []string{"nowhere"} })

	s.reload(t, func(c *Config) {
		c.Poller.Loops, c.Session.Workers, c.C2S, c.Session.MaxResources = 7, 99, "127.0.0.1:1", 77
	})
	now := s.config()
	if now.Poller.Loops != before.Poller.Loops || now.Session.Workers != before.Session.Workers || now.C2S != before.C2S {
		t.Errorf("what needs a restart was changed: %+v", now)
	}
	if now.Session.MaxResources != 77 {
		t.Errorf("the rest was not: %d", now.Session.MaxResources)
	}
}

// TestReloadLimitsOff: limits can be turned off and on while there are connections.
func TestReloadLimitsOff(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Poller.MaxPerAddress = -1 })
	half := "<stream:stream to='localhost' "
	ask := func(p *peer) {
		p.ask("version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", "</stream:features>")
	}
	var all []*peer
	for i := range 6 {
		p := connect(t, s)
		if _, err := io.WriteString(p.conn, half); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
		s.reload(t, func(c *Config) {
			c.Poller.UnauthMemory, c.Poller.MaxPerAddress, c.Poller.MaxAttempts = 4<<20, 100, 100
			c.Session.FanoutRate, c.Session.MaxFailures, c.XEP.RegisterPerHour = 1000, 10, 10
			if i%2 == 0 {
				c.Poller.UnauthMemory, c.Poller.MaxPerAddress, c.Poller.MaxAttempts = -1, -1, -1
				c.Session.FanoutRate, c.Session.MaxFailures, c.XEP.RegisterPerHour = -1, -1, -1
			}
		})
	}
	for _, p := range all {
		ask(p)
	}
	for _, p := range all {
		_ = p.conn.Close()
	}
	xmpptest.Eventually(t, "nothing to be counted", func() bool {
		st := s.poller.Stats()
		return st.Conns == 0 && st.Unauth == 0
	})
}

// TestReloadWhileStopping: there is none.
func TestReloadWhileStopping(t *testing.T) {
	s, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Poller: poller.Config{Loops: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.tryReload(func(*Config) {}); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("%v, want that it is stopping", err)
	}
}

// TestReloadDefaults: as at the start, a value that is not given is the default.
func TestReloadDefaults(t *testing.T) {
	s := startServer(t, nil)
	before := *s.config()
	s.reload(t, func(c *Config) { c.MinTLS, c.Session.MaxResources, c.Poller.Outbox = tls.VersionTLS13, 3, 1<<20 })
	s.reload(t, func(c *Config) {
		c.MinTLS, c.Session.MaxResources, c.Session.Limits, c.Poller.Outbox, c.Router.PageBytes = 0, 0, parser.Limits{}, 0, 0
	})
	now := s.config()
	if now.MinTLS != before.MinTLS || now.Session.MaxResources != before.Session.MaxResources || now.Session.Limits != before.Session.Limits ||
		now.Poller.Outbox != before.Poller.Outbox || now.Router.PageBytes != before.Router.PageBytes {
		t.Errorf("%+v\nwant\n%+v", now, before)
	}
}

// TestReloadReadableKey: a key that everybody can read is warned of, as at the start.
func TestReloadReadableKey(t *testing.T) {
	r := newRenewal(t)
	if err := os.Chmod(r.key, 0o644); err != nil {
		t.Fatal(err)
	}
	log := new(lockedLog)
	s := startServer(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	s.reload(t, func(c *Config) { c.TLSCert, c.TLSKey = []string{r.cert}, []string{r.key} })
	if got := log.String(); !strings.Contains(got, "every user of this machine can read the private key") || !strings.Contains(got, r.key) {
		t.Errorf("no warning: %s", got)
	}
}

// TestReloadStreamLimits: clients are told the limits that apply after the reload (XEP-0478),
// before and after they have logged in, and their idle time.
func TestReloadStreamLimits(t *testing.T) {
	s := startServer(t, nil)
	s.reload(t, func(c *Config) {
		c.Session.Limits.MaxStanza, c.Session.Limits.MaxRestricted, c.Poller.IdleTimeout = 23456, 12345, 987*time.Second
	})
	p := connect(t, s)
	features := p.ask(testHeader, "</stream:features>")
	if !strings.Contains(features, "<max-bytes>12345</max-bytes>") {
		t.Errorf("before the login: %s", features)
	}
	p.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plainLogin["romeo"]+"</auth>", "<success")
	if features = p.ask(testHeader, "</stream:features>"); !strings.Contains(features, "<max-bytes>23456</max-bytes><idle-seconds>987</idle-seconds>") {
		t.Errorf("after it: %s", features)
	}
}
