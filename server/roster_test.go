package server

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
)

// TestLargeRoster: requesting a roster larger than the outbox does not make a client a
// slow reader, even together with other requests, as at login.
func TestLargeRoster(t *testing.T) {
	const contacts = 1000
	s := startServer(t, func(c *Config) { c.Session.Limits.MaxStanza, c.Poller.Outbox = 64<<10, 64<<10 })
	romeo := jid.MustParse("romeo@localhost")
	ro, err := s.store.Roster(t.Context(), romeo)
	if err != nil {
		t.Fatal(err)
	}
	version, first := ro.Version, ro.Version
	for i := range contacts {
		item := store.RosterItem{JID: jid.MustParse(fmt.Sprintf("contact%d@localhost", i)), Name: strings.Repeat("n", 150)}
		versions, err := s.store.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: romeo, Expect: version, Put: &item}})
		if err != nil {
			t.Fatal(err)
		}
		version = versions[0]
	}
	p := connect(t, s).login("romeo", "r")
	const ping = "<iq type='get' id='%s' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	got := p.ask(fmt.Sprintf(ping, "before")+"<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>"+fmt.Sprintf(ping, "behind"), "id='behind'")
	if n := strings.Count(got, "<item "); n != contacts || len(got) < 3*64<<10 {
		t.Errorf("%d contacts in %d bytes, want %d", n, len(got), contacts)
	}
	// As individual pushes it would be twice as large, so the whole roster is sent.
	whole := len(got)
	got = p.ask(fmt.Sprintf("<iq type='get' id='since'><query xmlns='jabber:iq:roster' ver='%d'/></iq>"+ping, first, "end"), "id='end'")
	if n := strings.Count(got, "<item "); n != contacts || len(got) > whole+100 || strings.Contains(got, "<iq type='set' ") {
		t.Errorf("%d contacts in %d bytes, want %d in about %d", n, len(got), contacts, whole)
	}
	// The last ten are sent as changes.
	got = p.ask(fmt.Sprintf("<iq type='get' id='few'><query xmlns='jabber:iq:roster' ver='%d'/></iq>"+ping, version-10, "end2"), "id='end2'")
	if n := strings.Count(got, "<iq type='set' "); n != 10 {
		t.Errorf("%d changes, want 10", n)
	}
}

// hugeRoster gives romeo a number of contacts with names of 5,000 bytes.
func hugeRoster(t *testing.T, s *Server, contacts int) {
	t.Helper()
	addLongNames(t, s, jid.MustParse("romeo@localhost"), contacts)
}

// addLongNames gives an account a number of contacts with names of 5,000 bytes.
func addLongNames(t *testing.T, s *Server, owner jid.JID, contacts int) {
	t.Helper()
	ro, err := s.store.Roster(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	version := ro.Version
	for i := range contacts {
		item := store.RosterItem{JID: jid.MustParse(fmt.Sprintf("contact%d@localhost", i)), Name: strings.Repeat("n", 5000)}
		versions, err := s.store.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: owner, Expect: version, Put: &item}})
		if err != nil {
			t.Fatal(err)
		}
		version = versions[0]
	}
}

// TestRosterPastOutbox: a roster of 2.5 MB reaches its owner however small the outbox is,
// and stanzas from others meanwhile do not end the session.
func TestRosterPastOutbox(t *testing.T) {
	const contacts = 500
	s := startServer(t, func(c *Config) { c.Session.Limits.MaxStanza, c.Poller.Outbox = 16<<10, 16<<10 })
	hugeRoster(t, s, contacts)
	p := connect(t, s).login("romeo", "r")
	juliet := connect(t, s).login("juliet", "r")
	if _, err := io.WriteString(p.conn, "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>"); err != nil {
		t.Fatal(err)
	}
	it := s.sessions.Find("romeo@localhost", "r")
	for !router.Interested(it) { // the output exceeds the outbox, however much the socket has accepted
		runtime.Gosched()
	}
	juliet.ask("<message to='romeo@localhost/r' type='chat' id='m'><body>b</body></message>"+
		"<iq type='get' id='done' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='done'")
	got := p.ask("", "id='m'")
	if n := strings.Count(got, "<item "); n != contacts || len(got) < 2_500_000 {
		t.Errorf("%d contacts in %d bytes, want %d", n, len(got), contacts)
	}
}

// TestRosterAgainAndAgain: a client that repeatedly requests a large roster and reads
// slowly gets each of them. The queued output never exceeds one roster plus the backlog
// up to which input is read.
func TestRosterAgainAndAgain(t *testing.T) {
	const contacts, times, outbox = 500, 8, 16 << 10
	const backlog = 64 << 10 // session.maxBacklog: up to this, input is read
	s := startServer(t, func(c *Config) { c.Session.Limits.MaxStanza, c.Poller.Outbox = outbox, outbox })
	hugeRoster(t, s, contacts)
	p := connect(t, s).login("romeo", "r")
	if err := p.conn.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	conn := s.sessions.Find("romeo@localhost", "r").Conn()
	const get = "<iq type='get' id='again'><query xmlns='jabber:iq:roster'/></iq>"
	one := len(p.ask(get+"<iq type='get' id='one' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='one'"))
	if one < 2_500_000 {
		t.Fatalf("a roster has %d bytes", one)
	}
	if _, err := io.WriteString(p.conn, strings.Repeat(get, times)+"<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"); err != nil {
		t.Fatal(err)
	}
	// 20 MB are more than the system buffers for a client that does not read.
	xmpptest.Eventually(t, "the socket is full", func() bool { return conn.Queued() > 0 })
	most, got, tail, buf := 0, 0, "", make([]byte, 8<<10)
	for !strings.Contains(tail, "id='end'") {
		most = max(most, conn.Queued())
		n, err := p.conn.Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes: %v", got, err)
		}
		got += n
		if tail += string(buf[:n]); len(tail) > len(buf) {
			tail = tail[len(tail)-len(buf):]
		}
	}
	if got < times*one-1000 {
		t.Errorf("%d bytes of %d rosters with %d each", got, times, one)
	}
	if most > one+backlog {
		t.Errorf("up to %d bytes were queued, want at most one roster (%d) and %d more", most, one, backlog)
	}
}
