package session_test

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"roost/internal/loglimit"
	"roost/internal/xmpptest"
	"roost/session"
	"roost/store/faultstore"
)

// guessing is a server in virtual time, and login attempts from many networks.
type guessing struct {
	*xmpptest.Server
	t *testing.T
}

func newGuessing(t *testing.T, cfg session.Config) guessing {
	t.Helper()
	if cfg.FailureDelay == 0 {
		cfg.FailureDelay = 500 * time.Millisecond
	}
	return guessing{xmpptest.NewServer(t, xmpptest.Config{Session: cfg}), t}
}

// from connects a client and opens a stream.
func (g guessing) from(addr string) *saslClient {
	g.t.Helper()
	conn, err := g.DialFrom(netip.AddrPortFrom(netip.MustParseAddr(addr), 1))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	c := &saslClient{fuzzClient: fuzzClient{g.t, conn}}
	c.ask(openStream, "</stream:features>")
	return c
}

// plain tries a password and returns "" for success, or the error condition.
func (c *saslClient) plain(user, password string) string {
	c.t.Helper()
	_, got := c.sasl("auth mechanism='PLAIN'", plain(user, password))
	return got
}

func plain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

// login tries one password on a new connection.
func (g guessing) login(addr, user, password string) string {
	g.t.Helper()
	c := g.from(addr)
	defer c.conn.Close()
	return c.plain(user, password)
}

// guesses has clients of one address try passwords for some time, and returns how many
// passwords the server has checked. If nothing slows the clients down, it stops at a
// maximum before any time has passed.
func (g guessing) guesses(clients int, addr string, user func(n int) string, forTime time.Duration) int {
	const enough = 4000
	var mu sync.Mutex
	tried, attempts := 0, 0
	began := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for stop := false; !stop && time.Since(began) < forTime; {
				c := g.from(addr)
				for range 4 { // the fifth failure would end the stream
					mu.Lock()
					attempts++
					n := attempts
					stop = tried >= enough
					mu.Unlock()
					if stop || time.Since(began) >= forTime {
						break
					}
					got := c.scram("SCRAM-SHA-256", scram.SHA256, user(n), "wrong"+strconv.Itoa(n), "")
					mu.Lock()
					switch got {
					case "not-authorized":
						tried++
					case "temporary-auth-failure":
					default:
						g.t.Errorf("a wrong password: %q", got)
					}
					mu.Unlock()
				}
				_ = c.conn.Close()
			}
		})
	}
	all.Wait()
	return tried
}

// TestGuesses: eight connections of one address can try only a few passwords in ten
// minutes, whether against one account or many.
func TestGuesses(t *testing.T) {
	f := func(desc, addr string, user func(int) string, atMost, atLeast int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			g := newGuessing(t, session.Config{})
			got := g.guesses(8, addr, user, 10*time.Minute)
			t.Logf("%s, from %s: %d guesses in ten minutes", desc, addr, got)
			if got > atMost || got < atLeast {
				t.Errorf("%s, from %s: %d guesses in ten minutes, want %d to %d", desc, addr, got, atLeast, atMost)
			}
		})
	}
	one := func(int) string { return "romeo" }
	none := func(int) string { return "nobody" }
	many := func(n int) string { return "user" + strconv.Itoa(n) }
	f("one account", "192.0.2.1", one, 28, 10)
	f("one account", "127.0.0.1", one, 28, 10)
	f("an account that does not exist", "192.0.2.1", none, 28, 10)
	f("many accounts", "192.0.2.1", many, 208, 100)
	f("many accounts", "2001:db8::1", many, 208, 100)
}

// TestFailureDelay: the response to each failure takes longer than the one before, by the
// same time whether the account exists or not. Other accounts are not delayed.
func TestFailureDelay(t *testing.T) {
	for _, user := range []string{"romeo", "nobody", "not a name"} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuessing(t, session.Config{})
			c := g.from("192.0.2.1")
			for i, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
				began := time.Now()
				if got := c.plain(user, "wrong"); got != "not-authorized" || time.Since(began) != want {
					t.Errorf("%s, failure %d: %q after %v, want it after %v", user, i+1, got, time.Since(began), want)
				}
			}
			if got := c.ask("", "</stream:stream>"); !strings.Contains(got, "policy-violation") {
				t.Errorf("after the fifth failure: %s", got)
			}
			began := time.Now()
			if got := g.login("192.0.2.1", "juliet", "secret"); got != "" || time.Since(began) != 0 {
				t.Errorf("another account of the address: %q after %v", got, time.Since(began))
			}
			if got := g.login("198.51.100.7", user, "secret"); user == "romeo" && got != "" {
				t.Errorf("the same account of another address: %q", got)
			}
		})
	}
}

// TestNoLockout: whatever an attacker does from one network, users can log in to the
// account from others, and accounts that have logged in from the same network before can do
// so again.
func TestNoLockout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t, session.Config{})
		f := func(addr, user, password, want string) {
			t.Helper()
			if got := g.login(addr, user, password); got != want {
				t.Errorf("%s from %s with %q: %q, want %q", user, addr, password, got, want)
			}
		}
		const shared, home, far = "192.0.2.1", "2001:db8:1:2::3", "198.51.100.7"
		f(shared, "juliet", "secret", "")
		f(shared, "mercutio", "secret", "")

		used := func(user string) { // uses up its attempts
			t.Helper()
			for range 20 {
				if g.login(shared, user, "wrong") == "temporary-auth-failure" {
					return
				}
			}
			t.Fatalf("attempts for %s are not refused", user)
		}
		g.guesses(8, shared, func(int) string { return "romeo" }, 10*time.Minute)
		used("romeo")
		f(shared, "romeo", "secret", "temporary-auth-failure")
		f(home, "romeo", "secret", "")
		f(shared, "benvolio", "secret", "") // one account does not use up the network's limit

		g.guesses(8, shared, func(n int) string { return "user" + strconv.Itoa(n) }, 10*time.Minute)
		f(shared, "juliet", "secret", "")
		f(shared, "juliet", "wrong", "not-authorized")
		used("nurse")
		f(far, "nurse", "secret", "")

		// One account is attacked from many networks: each of them has fewer attempts, and
		// the owner is not locked out, whatever the network.
		var tried atomic.Int64
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				for range 5 {
					if g.login("203.0.113."+strconv.Itoa(i), "romeo", "wrong") == "not-authorized" {
						tried.Add(1)
					}
				}
			})
		}
		all.Wait()
		if n := tried.Load(); n < 100 || n > 60*3 {
			t.Errorf("%d guesses from 60 networks, want no more than 3 each", n)
		}
		f(home, "romeo", "secret", "")
		f(far, "romeo", "wrong", "not-authorized")
		f(far, "romeo", "secret", "")

		time.Sleep(time.Hour) // everything is forgiven
		f(shared, "romeo", "secret", "")
		f(shared, "nurse", "secret", "")
	})
}

// TestNetworkLimitGrowsWithAccounts: the more accounts have logged in from a network, the
// more failures it may have.
func TestNetworkLimitGrowsWithAccounts(t *testing.T) {
	count := func(t *testing.T, accounts []string) int {
		g := newGuessing(t, session.Config{})
		for _, user := range accounts {
			for range 3 { // further logins of the same account do not count
				if got := g.login("192.0.2.1", user, "secret"); got != "" {
					t.Fatal(got)
				}
			}
		}
		return g.guesses(8, "192.0.2.1", func(n int) string { return "user" + strconv.Itoa(n) }, 10*time.Minute)
	}
	var one, four int
	synctest.Test(t, func(t *testing.T) { one = count(t, []string{"romeo"}) })
	synctest.Test(t, func(t *testing.T) { four = count(t, []string{"romeo", "juliet", "mercutio", "nurse"}) })
	if one > 208 || four < 3*one || four > 4*one+40 {
		t.Errorf("%d guesses in ten minutes from a network of one account, %d from one of four", one, four)
	}
}

// TestDelayHoldsNothing: hundreds of delayed responses occupy no worker and no goroutine,
// and delay no other client. A connection that ends is cleaned up at once, and Shutdown
// does not wait for delayed responses.
func TestDelayHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t, session.Config{Workers: 1, KeyWorkers: 1})
		g.from("192.0.2.9").conn.Close()
		var clients []*saslClient
		for i := range 300 {
			c := g.from("10.0.0." + strconv.Itoa(i%250))
			c.write("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain("user"+strconv.Itoa(i), "wrong") + "</auth>")
			if i%2 == 1 {
				c.write("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>") // sent before the response
			}
			clients = append(clients, c)
		}
		synctest.Wait()
		began := time.Now()
		if got := g.login("192.0.2.1", "romeo", "secret"); got != "" {
			t.Errorf("a login meanwhile: %q", got)
		}
		for _, c := range clients[:200] {
			_ = c.conn.Close()
		}
		synctest.Wait()
		if n := g.Sessions.Counts().Unbound; n != 100 {
			t.Errorf("%d sessions remain, want those of the 100 connected clients", n)
		}
		if err := g.Sessions.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		// Shutdown checks every 10 ms.
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("all that took %v", took)
		}
	})
}

// TestInputDuringFailureDelay: input that a client sends while the response to its failed
// login is delayed is handled after it.
func TestInputDuringFailureDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t, session.Config{})
		c := g.from("192.0.2.1")
		c.write("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain("romeo", "wrong") + "</auth>" +
			"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>")
		synctest.Wait()
		c.write(plain("romeo", "secret"))
		synctest.Wait()
		if got := c.ask("</auth>", "<success"); !strings.Contains(got, "<failure") {
			t.Errorf("the responses: %s", got)
		}
	})
}

// TestFailedLoginLog: the log has the account, mechanism, reason and network of failed
// logins, at a limited rate. It has nothing else that the client sent, and the name only if
// the account exists: it may be a password.
func TestFailedLoginLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		g := newGuessing(t, session.Config{
			FailureDelay: -1,
			Logger:       slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		})
		g.login("192.0.2.1", "romeo", "s3cr3t-guess")
		g.login("2001:db8:1:2::3", "s3cr3t-name", "s3cr3t-guess")
		g.from("192.0.2.1").scram("SCRAM-SHA-1", scram.SHA1, "s3cr3t name", "s3cr3t-guess", "")
		for i := range 50 {
			g.login("10.0.0."+strconv.Itoa(i), "nobody", "s3cr3t-guess")
		}
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		want := []string{
			`level=INFO msg="login failed" jid=romeo@localhost mechanism=PLAIN reason="wrong password" network=192.0.2.1`,
			`level=INFO msg="login failed" jid="" mechanism=PLAIN reason="no such account" network=2001:db8:1:2::/64`,
			`level=INFO msg="login failed" jid="" mechanism=SCRAM-SHA-1 reason="no such account" network=192.0.2.1`,
		}
		for i := range want {
			if i >= len(lines) || lines[i] != want[i] {
				t.Fatalf("line %d of\n%s\nwant %s", i+1, log.String(), want[i])
			}
		}
		if len(lines) != 20 || strings.Contains(log.String(), "s3cr3t") {
			t.Errorf("%d lines:\n%s", len(lines), log.String())
		}
		log.Reset()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := log.String(); got != "level=INFO msg=\"more logins failed than are logged\" lines=33\n" {
			t.Errorf("after a minute: %s", got)
		}
		g.login("192.0.2.1", "romeo", "wrong")
		synctest.Wait()
		if n := strings.Count(log.String(), "romeo@localhost"); n != 1 {
			t.Errorf("in the next minute: %s", log.String())
		}
	})
}

// TestBrokenLoginLog: while the store fails, clients that try to log in again and again do not
// fill the log.
func TestBrokenLoginLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		var st faultstore.Faults
		g := guessing{xmpptest.NewServer(t, xmpptest.Config{Store: st.Options(), Session: session.Config{
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		}}), t}
		st.SetFault(func(string) error { return errors.New("the disk is missing") })
		for range 50 {
			if got := g.login("192.0.2.1", "romeo", "secret"); got != "temporary-auth-failure" {
				t.Fatal(got)
			}
		}
		synctest.Wait()
		line := "level=ERROR msg=\"authentication failed because of a server error\" peer=192.0.2.1:1 err=\"the disk is missing\"\n"
		if got := log.String(); got != strings.Repeat(line, loglimit.Lines) {
			t.Errorf("the log: %s", got)
		}
		log.Reset()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := log.String(); got != "level=INFO msg=\"more logins met server errors than are logged\" lines=30\n" {
			t.Errorf("after a minute: %s", got)
		}
	})
}

// TestFullDiskLoginLog: neither do clients whose logins succeed without the token that they ask for,
// because it cannot be stored.
func TestFullDiskLoginLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		var st faultstore.Faults
		s := xmpptest.NewServer(t, xmpptest.Config{Store: st.Options(), Session: session.Config{
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		}})
		st.SetFault(func(op string) error {
			if op == "UpdateBlobs" {
				return errors.New("the disk is full")
			}
			return nil
		})
		for range loglimit.Lines + 5 {
			if token, condition := fast(t, s, "PLAIN", "\x00romeo\x00secret", phone+request(none)); token != "" || condition != "" {
				t.Fatalf("token %q, %s", token, condition)
			}
		}
		synctest.Wait()
		line := "level=ERROR msg=\"cannot store a token; the login continues without one\" jid=romeo@localhost err=\"the disk is full\"\n"
		if got := log.String(); got != strings.Repeat(line, loglimit.Lines) {
			t.Errorf("the log: %s", got)
		}
	})
}

// logText collects a log.
type logText struct {
	mu   sync.Mutex
	text []byte
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

func (l *logText) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = nil
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
