package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"roost/admin/api"
	"roost/internal/teststores"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/poller"
	"roost/session"
)

var smID = regexp.MustCompile(`id='([^']+)'`)

// enableResume enables stream management and returns the resumption ID.
func (p *peer) enableResume() string {
	p.t.Helper()
	p.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "<enabled ")
	return smID.FindStringSubmatch(p.ask("", "/>"))[1]
}

// connectTLS connects to the server's port for direct TLS.
func connectTLS(t *testing.T, s *Server) *peer {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addrs()[1].Addr.String(), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn}
}

// restartable starts a server. stop stops it as planned, while its clients leave.
func restartable(t *testing.T, change func(*Config)) (s *Server, stop func(clients ...*peer)) {
	t.Helper()
	cfg := Config{C2S: "127.0.0.1:0", Session: session.Config{AllowPlaintext: true, AckInterval: -1}, Poller: poller.Config{Loops: 2}}
	change(&cfg)
	s, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := xmpptest.AddAccounts(context.Background(), s.store, "localhost"); err != nil {
		t.Fatal(err)
	}
	shutdown := sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), xmpptest.WaitLimit)
		defer cancel()
		return s.Shutdown(ctx)
	})
	t.Cleanup(func() {
		if err := shutdown(); err != nil {
			t.Error(err)
		}
	})
	return s, func(clients ...*peer) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- shutdown() }()
		for _, p := range clients {
			if got := p.ask("", "</stream:stream>"); !strings.Contains(got, "<stream:error><system-shutdown ") {
				t.Errorf("received %s", got)
			}
			_, _ = p.conn.Write([]byte("</stream:stream>")) // as clients respond; it ends no session
			_ = p.conn.Close()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestRestart: clients resume their sessions after a planned restart, over TLS. A message
// that was sent while a client was away arrives once, with the time at which it was sent;
// contacts notice nothing.
func TestRestart(t *testing.T) {
	romeo, juliet := jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost")
	dir := t.TempDir()
	start := func() (*Server, func(...*peer)) {
		return restartable(t, func(c *Config) { c.C2STLS, c.DataDir = "127.0.0.1:0", dir })
	}
	s, stop := start()
	r, j := connectTLS(t, s).login("romeo", "r").available(), connectTLS(t, s).login("juliet", "j").available()
	befriend(r, j, "romeo", "juliet")
	rID, jID := r.enableResume(), j.enableResume()
	_ = r.conn.Close() // without a word
	before := time.Now().Truncate(time.Millisecond)
	j.ask("<message type='chat' to='romeo@localhost' id='m0'><body>b</body></message><r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='1'/>")
	stop(j)
	stopped := time.Now()

	// A start that fails does not lose the sessions.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Config{C2S: taken.Addr().String(), DataDir: dir}); err == nil {
		t.Fatal("the server listens on an address in use")
	}
	_ = taken.Close()

	s, _ = start()
	if c := s.sessions.Counts(); c.Bound != 2 || c.Available != 2 {
		t.Errorf("after the restart: %+v", c)
	}
	resume := func(user, id string, h int, until string) (*peer, string) {
		t.Helper()
		p := connectTLS(t, s).authenticate(user)
		return p, p.ask(fmt.Sprintf("<resume xmlns='urn:xmpp:sm:3' h='%d' previd='%s'/>", h, id), until)
	}
	j, got := resume("juliet", jID, 0, "/>")
	if !strings.Contains(got, "<resumed xmlns='urn:xmpp:sm:3' h='1' ") {
		t.Errorf("received %s", got)
	}
	var status api.Status
	if err := adminOf(t, s).Get(t.Context(), api.PathStatus, nil, &status); err != nil || status.Sessions.Restored != (api.Restored{Waiting: 1, Resumed: 1}) {
		t.Errorf("status: %+v, %v", status.Sessions, err)
	}
	r, got = resume("romeo", rID, 0, "</message>")
	if !strings.Contains(got, "<resumed ") || !slices.Equal(numbersIn(t, got), []int{0}) {
		t.Errorf("received %s", got)
	}
	stamp := regexp.MustCompile(`<message.*stamp='([^']+)'`).FindStringSubmatch(got)
	if at, err := time.Parse(time.RFC3339, stamp[1]); err != nil || at.Before(before.Truncate(time.Second)) || at.After(stopped) {
		t.Errorf("stamp %s, %v: it was sent at %v", stamp, err, before)
	}
	// Whatever else came would come before the response.
	ping := "<iq type='get' id='ping' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	if got := r.ask(ping, "id='ping'"); strings.Contains(got, "<message") || strings.Contains(got, "unavailable") {
		t.Errorf("romeo received %s, too", got)
	}
	if got := j.ask(ping, "id='ping'"); strings.Contains(got, "unavailable") {
		t.Errorf("juliet received %s", got)
	}
	for _, who := range []jid.JID{romeo, juliet} {
		if n, err := s.store.CountOffline(t.Context(), who); n != 0 || err != nil {
			t.Errorf("%d messages of %s are stored, %v", n, who, err)
		}
	}
	if got := j.ask("<presence type='unavailable'/>", "type='unavailable'"); !strings.Contains(got, "juliet@localhost/j") {
		t.Errorf("received %s", got)
	}
	r.ask("", "type='unavailable'")
}

// TestRestartOff: without a limit for saved sessions, all end at a stop, and their messages
// are stored.
func TestRestartOff(t *testing.T) {
	dir := t.TempDir()
	s, stop := restartable(t, func(c *Config) { c.DataDir, c.SavedSessions = dir, -1 })
	r := connect(t, s).login("romeo", "r")
	id := r.enableResume()
	r.available()
	j := connect(t, s).login("juliet", "j")
	j.enableResume()
	j.ask("<message type='chat' to='romeo@localhost' id='m0'><body>b</body></message><r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='1'/>")
	stop(r, j)
	s, _ = restartable(t, func(c *Config) { c.DataDir = dir })
	r = connect(t, s).authenticate("romeo")
	if got := r.ask("<resume xmlns='urn:xmpp:sm:3' h='0' previd='"+id+"'/>", "</failed>"); !strings.Contains(got, "<item-not-found ") {
		t.Errorf("received %s", got)
	}
	if n, err := s.store.CountOffline(t.Context(), jid.MustParse("romeo@localhost")); n != 1 || err != nil {
		t.Errorf("%d messages are stored, %v", n, err)
	}
}

// TestKillRestored kills a server with SIGKILL that has sessions of an earlier one. They
// cannot be resumed, and the messages that were in the store and were not acknowledged are
// still there.
func TestKillRestored(t *testing.T) {
	teststores.RunDurable(t, func(t *testing.T, k teststores.Kind) { testKillRestored(t, t.TempDir(), k.URL(t)) })
}

func testKillRestored(t *testing.T, dir, url string) {
	const n, acked = 5, 2
	s, stop := restartable(t, func(c *Config) { c.DataDir, c.Store = dir, url })
	j := connect(t, s).login("juliet", "j")
	j.ask("<enable xmlns='urn:xmpp:sm:3'/>", "/>")
	for i := range n {
		j.ask(fmt.Sprintf("<message type='chat' to='romeo@localhost' id='m%d'><body>b</body></message><r xmlns='urn:xmpp:sm:3'/>", i), fmt.Sprintf("h='%d'", i+1))
	}
	r := connect(t, s).login("romeo", "r")
	id := r.enableResume()
	r.ask("<presence/>", fmt.Sprintf("id='m%d'", n-1))
	_, _ = fmt.Fprintf(r.conn, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", 1+acked)
	xmpptest.Eventually(t, "the acknowledged messages to be deleted", func() bool {
		left, err := s.store.CountOffline(t.Context(), jid.MustParse("romeo@localhost"))
		return err == nil && left == n-acked
	})
	stop(r, j)

	cmd, _ := startChild(t, dir, url) // takes the session
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()

	_, addr := startChild(t, dir, url)
	r = dialTo(t, addr).authenticate("romeo")
	if got := r.ask(fmt.Sprintf("<resume xmlns='urn:xmpp:sm:3' h='%d' previd='%s'/>", 1+acked, id), "</failed>"); !strings.Contains(got, "<item-not-found ") {
		t.Errorf("received %s", got)
	}
	r.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "</iq>")
	r.ask("<presence/>", "<presence from=")
	got := r.ask("<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='end'")
	if ids := numbersIn(t, got); !slices.Equal(ids, []int{2, 3, 4}) {
		t.Errorf("received %v", ids)
	}
}
