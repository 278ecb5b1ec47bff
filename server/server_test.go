package server

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/internal/teststores"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/poller"
	"roost/session"
	"roost/store"
)

// startServer starts a server on loopback with the accounts of xmpptest, and stops it
// when the test ends.
func startServer(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	s := newServer(t, change)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), xmpptest.WaitLimit)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// newServer is startServer for a server that the test stops.
func newServer(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Session: session.Config{AllowPlaintext: true, AckInterval: -1}, Poller: poller.Config{Loops: 2}}
	if change != nil {
		change(&cfg)
	}
	s, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := xmpptest.AddAccounts(context.Background(), s.store, "localhost"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) dial() (net.Conn, error) { return net.Dial("tcp", s.Addrs()[0].Addr.String()) }

// peer is a test client.
type peer struct {
	t    testing.TB
	conn net.Conn
	have strings.Builder

	lossy bool // see quietly
}

const testHeader = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client'" +
	" xmlns:stream='http://etherx.jabber.org/streams'>"

// ask sends text and returns the response up to and including until.
func (p *peer) ask(send, until string) string {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, send); err != nil {
		p.fail(err)
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
	buf := make([]byte, 64<<10)
	for !strings.Contains(p.have.String(), until) {
		n, err := p.conn.Read(buf)
		if err != nil {
			p.fail(fmt.Errorf("waiting for %q: %w; there is %.300q", until, err, p.have.String()))
		}
		p.have.Write(buf[:n])
	}
	all := p.have.String()
	end := strings.Index(all, until) + len(until)
	p.have.Reset()
	p.have.WriteString(all[end:])
	return all[:end]
}

func (p *peer) fail(err error) {
	p.t.Helper()
	if p.lossy {
		panic(errLost)
	}
	p.t.Fatal(err)
}

func connect(t testing.TB, s *Server) *peer {
	t.Helper()
	return dialTo(t, s.Addrs()[0].Addr.String())
}

func dialTo(t testing.TB, addr string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn}
}

// quietly runs f until the connection fails, as expected.
func (p *peer) quietly(f func()) {
	defer func() {
		if r := recover(); r != nil && r != errLost {
			panic(r)
		}
	}()
	p.lossy = true
	f()
}

// errLost is the panic value of ask, within quietly, when the connection fails.
var errLost = errors.New("the connection is lost")

// plainLogin is the base64 encoding of "\0user\0secret".
var plainLogin = map[string]string{"romeo": "AHJvbWVvAHNlY3JldA==", "juliet": "AGp1bGlldABzZWNyZXQ=", "nurse": "AG51cnNlAHNlY3JldA==", "bill": "AGJpbGwAc2VjcmV0"}

// authenticate negotiates the stream up to the point where a resource may be bound.
func (p *peer) authenticate(user string) *peer {
	p.t.Helper()
	p.ask(testHeader, "</stream:features>")
	p.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00secret"))+"</auth>", "<success")
	p.ask(testHeader, "</stream:features>")
	return p
}

// login negotiates the stream up to a bound resource.
func (p *peer) login(user, resource string) *peer {
	p.t.Helper()
	p.authenticate(user)
	p.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "</iq>")
	return p
}

// available sends initial presence and waits for its echo.
func (p *peer) available() *peer {
	p.t.Helper()
	p.ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "id='roster'")
	p.ask("<presence/>", "<presence from=")
	return p
}

// TestDialoguesOverSockets plays the dialogues of session and router again, over real
// sockets, against complete servers, on each durable kind of store.
func TestDialoguesOverSockets(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]string{
		"16-sasl.txt":             "it compares the features, which have STARTTLS here",
		"05-starttls-not-offered": "STARTTLS is offered here",
		"38-many-requests":        "no operator sets this limit: only the router's own tests do",
	}
	var files []string
	for _, dir := range []string{"session", "router"} {
		more, err := filepath.Glob("../" + dir + "/testdata/*.txt")
		if err != nil || len(more) == 0 {
			t.Fatalf("no dialogues of %s: %v", dir, err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			d, err := xmpptest.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			for part, why := range elsewhere {
				if strings.Contains(file, part) {
					t.Skip(why)
				}
			}
			teststores.RunDurable(t, func(t *testing.T, k teststores.Kind) {
				s := startServer(t, func(cfg *Config) {
					cfg.Store = k.URL(t)
					configureFor(file, cfg)
				})
				if err := (xmpptest.Player{Dial: s.dial, Cut: xmpptest.Cut(7)}).Play(d); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// configureFor sets what a dialogue needs besides the defaults; its file name says what
// that is.
func configureFor(file string, cfg *Config) {
	cfg.Domains = []string{"localhost", "example.net"}
	switch {
	case strings.Contains(file, "refuse"):
		cfg.Session.Conflict = session.RefuseNew
	case strings.Contains(file, "rename"):
		cfg.Session.Conflict = session.RenameNew
	case strings.Contains(file, "max-resources"):
		cfg.Session.MaxResources = 2
	case strings.Contains(file, "highest"):
		cfg.Router.HighestOnly = true
	case strings.Contains(file, "no-offline"):
		cfg.Router.MaxOffline = -1
	case strings.Contains(file, "quota"):
		cfg.Router.MaxOffline = 1
	}
}

// TestShutdown: clients are notified, and the store is intact.
func TestShutdown(t *testing.T) {
	s, err := New(context.Background(), Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Session: session.Config{AllowPlaintext: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := xmpptest.AddAccounts(context.Background(), s.store, "localhost"); err != nil {
		t.Fatal(err)
	}
	bound, early := connect(t, s).login("romeo", "r").available(), connect(t, s)
	early.ask(testHeader, "</stream:features>")
	addr := s.Addrs()[0].Addr.String()
	ctx, cancel := context.WithTimeout(context.Background(), xmpptest.WaitLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	for _, p := range []*peer{bound, early} {
		p.ask("", "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		_ = p.conn.Close()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("a new connection was accepted after the shutdown")
	}
}

// TestSlowReader: a client that stops reading is cut off, or gets time to read the queued
// output. Others are not affected.
func TestSlowReader(t *testing.T) {
	for _, detach := range []bool{false, true} {
		s := startServer(t, func(c *Config) {
			c.Session.Limits.MaxStanza, c.Poller.Outbox, c.Session.LingerSlow, c.Session.Linger = 64<<10, 128<<10, detach, 2*time.Second
		})
		slow := connect(t, s).login("juliet", "slow").available()
		sender := connect(t, s).login("romeo", "sender").available()
		message := "<message to='juliet@localhost/slow'><body>" + strings.Repeat("x", 30000) + "</body></message>"
		for i := 0; s.sessions.Find("juliet@localhost", "slow") != nil; i++ {
			if i == 2000 {
				t.Fatal("60 MB were sent to a client that reads nothing")
			}
			// Others are not delayed: each message is followed by a response.
			sender.ask(message+fmt.Sprintf("<iq type='get' id='p%d' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", i), fmt.Sprintf("id='p%d'", i))
		}
		_ = slow.conn.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
		n, err := io.Copy(io.Discard, slow.conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("detach %v: the connection is still open", detach)
		}
		t.Logf("detach %v: the client found %d bytes and then %v", detach, n, err)
	}
}

// TestThousandDropped: a thousand clients that disconnect at once leave nothing in the
// server, and their contact is notified of each.
func TestThousandDropped(t *testing.T) {
	const n = 1000
	s := startServer(t, func(c *Config) { c.Session.MaxResources = n + 10; c.Session.LoginTimeout = 5 * time.Minute })
	watcher := connect(t, s).login("juliet", "watcher").available()
	subscribe(watcher, connect(t, s).login("romeo", "first").available())
	before := s.sessions.Counts()
	files, goroutines := openFiles(t), runtime.NumGoroutine()

	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range conns {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			p := connect(t, s)
			p.login("romeo", fmt.Sprint("r", i))
			p.ask("<presence/>", fmt.Sprintf("from='romeo@localhost/r%d'", i))
			conns[i] = p.conn
			go func() { _, _ = io.Copy(io.Discard, p.conn) }()
		})
	}
	told := make(chan int, 1)
	_ = watcher.conn.SetReadDeadline(time.Time{}) // the logins may take long
	go func() {
		gone := 0
		for r := bufio.NewReader(watcher.conn); gone < n; {
			text, err := r.ReadString('>')
			if err != nil {
				break
			}
			if strings.Contains(text, "type='unavailable'") {
				gone++
			}
		}
		told <- gone
	}()
	wg.Wait()
	if got := s.sessions.Counts().Bound; got != before.Bound+n {
		t.Fatalf("%d sessions are bound, want %d", got, before.Bound+n)
	}
	_ = watcher.conn.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
	for _, c := range conns {
		_ = c.Close()
	}
	if got := <-told; got != n {
		t.Errorf("the contact was notified of %d, want %d", got, n)
	}
	var left string
	defer func() {
		if t.Failed() {
			t.Logf("left: %s; before: %+v, %d files, %d goroutines", left, before, files, goroutines)
		}
	}()
	xmpptest.Eventually(t, "nothing is left", func() bool {
		c, files2, goroutines2 := s.sessions.Counts(), openFiles(t), runtime.NumGoroutine()
		left = fmt.Sprintf("%+v, %d files, %d goroutines", c, files2, goroutines2)
		return c == before && files2 <= files && goroutines2 <= goroutines
	})
}

// subscribe makes watcher (juliet) a subscriber of the presence of other (romeo).
func subscribe(watcher, other *peer) {
	watcher.ask("<presence type='subscribe' to='romeo@localhost'/>", "ask='subscribe'")
	other.ask("", "type='subscribe'")
	other.ask("<presence type='subscribed' to='juliet@localhost'/>", "subscription='from'")
	watcher.ask("", "subscription='to'")
}

// TestAccountGone: when another process deletes an account, the sessions of that account
// end, and no others.
func TestAccountGone(t *testing.T) {
	s := startServer(t, nil)
	romeo, juliet := connect(t, s).login("romeo", "r"), connect(t, s).login("juliet", "j")
	if err := s.store.DeleteAccount(context.Background(), s.sessions.First("romeo@localhost").JID().Bare(), store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	romeo.ask("", "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>")
	juliet.ask("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
}

// TestAccountGoneBeforeBinding: a session whose account was deleted between login and
// binding does not become a resource.
func TestAccountGoneBeforeBinding(t *testing.T) {
	s := startServer(t, nil)
	romeo := connect(t, s).authenticate("romeo")
	if err := s.store.DeleteAccount(context.Background(), jid.MustParse("romeo@localhost"), store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	romeo.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "<not-authorized")
	xmpptest.Eventually(t, "no session is left", func() bool { return s.sessions.Counts() == session.Counts{} })
}

// TestAccountMadeAnew: if an account is deleted and created again before the server
// processes that, the sessions of the old account end, bound or not, and those of the new
// one stay.
func TestAccountMadeAnew(t *testing.T) {
	s := startServer(t, nil)
	ctx, bare := context.Background(), jid.MustParse("romeo@localhost")
	old, half := connect(t, s).login("romeo", "old"), connect(t, s).authenticate("romeo")
	account, err := s.store.Account(ctx, bare)
	if err != nil {
		t.Fatal(err)
	}
	account.Created = account.Created.Add(time.Hour)
	if err := errors.Join(s.store.DeleteAccount(ctx, bare, store.AnyEvent), s.store.CreateAccount(ctx, account)); err != nil {
		t.Fatal(err)
	}
	young := connect(t, s).login("romeo", "young")
	old.ask("", "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>")
	half.ask("", "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>")
	young.ask("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
}

// TestAccountLockedForAMoment: a session stays if the account is unlocked before the
// server has processed the lock.
func TestAccountLockedForAMoment(t *testing.T) {
	s := startServer(t, nil)
	romeo := connect(t, s).login("romeo", "r")
	for _, disabled := range []bool{true, false} {
		if err := s.store.SetDisabled(t.Context(), jid.MustParse("romeo@localhost"), disabled); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.onWorker(t.Context(), s.router.CatchUpAll); err != nil {
		t.Fatal(err)
	}
	romeo.ask("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
}

// TestBadConfig: each error is one line.
func TestBadConfig(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := Config{C2S: "127.0.0.1:0", DataDir: t.TempDir()}
		change(&cfg)
		s, err := New(context.Background(), cfg)
		if err == nil {
			_ = s.Shutdown(context.Background())
			t.Errorf("no error; want %q", want)
			return
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	f(func(c *Config) { c.Domains = []string{"not a domain"} }, "is not a domain")
	f(func(c *Config) { c.Domains = []string{"example.org", "EXAMPLE.org"} }, "example.org is given twice")
	f(func(c *Config) { c.C2S = "" }, "no address to listen on")
	f(func(c *Config) { c.C2S = "127.0.0.1:99999" }, "cannot listen on")
	f(func(c *Config) { c.TLSCert = []string{"x"} }, "each certificate needs its key")
	f(func(c *Config) { c.TLSCert, c.TLSKey = []string{"/none"}, []string{"/none"} }, "certificate /none")
	f(func(c *Config) { c.Session.Limits.MaxStanza = 100 }, "at least 10000")
	f(func(c *Config) { c.Session.Limits.MaxStanza = 1 << 20 }, "the outbox (262144 bytes) must hold the largest stanza (1048576 bytes)")
	f(func(c *Config) { c.DataDir = "/dev/null/x" }, "data directory")
	f(func(c *Config) { c.XEP.Contacts = map[string][]string{"admin": {"not a uri"}} }, "not a uri")
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
