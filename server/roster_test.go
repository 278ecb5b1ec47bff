package server

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"roost/jid"
	"roost/store"
)

// TestLargeRoster: a roster that is larger than the outbox is no slow reader,
// also where it is asked for together with other things, as clients do at login.
func TestLargeRoster(t *testing.T) {
	const contacts = 1000
	s := startServer(t, func(c *Config) { c.MaxStanza, c.Outbox = 64<<10, 64<<10 })
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
	// As changes, each a push, it would be twice as large: it comes whole.
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

// TestRosterPastOutbox: a roster of 2.5 MB reaches its owner, however small the
// outbox is; and what others send meanwhile does not end the session.
func TestRosterPastOutbox(t *testing.T) {
	const contacts = 500
	s := startServer(t, func(c *Config) { c.MaxStanza, c.Outbox = 16<<10, 16<<10 })
	romeo := jid.MustParse("romeo@localhost")
	ro, err := s.store.Roster(t.Context(), romeo)
	if err != nil {
		t.Fatal(err)
	}
	version := ro.Version
	for i := range contacts {
		item := store.RosterItem{JID: jid.MustParse(fmt.Sprintf("contact%d@localhost", i)), Name: strings.Repeat("n", 5000)}
		versions, err := s.store.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: romeo, Expect: version, Put: &item}})
		if err != nil {
			t.Fatal(err)
		}
		version = versions[0]
	}
	p := connect(t, s).login("romeo", "r")
	juliet := connect(t, s).login("juliet", "r")
	if _, err := io.WriteString(p.conn, "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>"); err != nil {
		t.Fatal(err)
	}
	it := s.sessions.Find("romeo@localhost", "r")
	for !it.Interested() { // what is written is more than the outbox, whatever the socket has taken
		runtime.Gosched()
	}
	juliet.ask("<message to='romeo@localhost/r' type='chat' id='m'><body>b</body></message>"+
		"<iq type='get' id='done' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='done'")
	got := p.ask("", "id='m'")
	if n := strings.Count(got, "<item "); n != contacts || len(got) < 2_500_000 {
		t.Errorf("%d contacts in %d bytes, want %d", n, len(got), contacts)
	}
}
