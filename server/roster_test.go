package server

import (
	"fmt"
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
	// The same as changes, each a push, since the roster was empty.
	got = p.ask(fmt.Sprintf("<iq type='get' id='since'><query xmlns='jabber:iq:roster' ver='%d'/></iq>"+ping, first, "end"), "id='end'")
	if n := strings.Count(got, "<iq type='set' "); n != contacts || len(got) < 3*64<<10 {
		t.Errorf("%d changes in %d bytes, want %d", n, len(got), contacts)
	}
}
