package router_test

import (
	"fmt"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
)

// TestManyContactsOnline: who comes online gets the presence of all contacts, be
// it far more than the outbox holds, at the pace at which it reads; and then the
// messages that waited.
func TestManyContactsOnline(t *testing.T) {
	const contacts = 150
	s := xmpptest.NewServer(t, xmpptest.Config{Outbox: 32 << 10, Router: router.Config{PageBytes: 8 << 10}})
	romeo := jid.MustParse("romeo@localhost")
	keys, err := s.Store.Account(t.Context(), romeo)
	if err != nil {
		t.Fatal(err)
	}
	status := strings.Repeat("s", 2000)
	var names []string
	var accounts []store.Account
	for i := range contacts {
		names = append(names, fmt.Sprintf("contact%d", i))
		accounts = append(accounts, store.Account{JID: jid.MustParse(names[i] + "@localhost"), Credentials: keys.Credentials})
	}
	if _, _, err := s.Store.ImportAccounts(t.Context(), accounts, false); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		befriend(t, s, romeo, accounts[i].JID)
		c := loginRaw(t, s, name, plainHeader)
		c.say("<presence><status>"+status+"</status></presence>", "</presence>")
	}
	nurse := loginRaw(t, s, "nurse", plainHeader)
	nurse.write("<message type='chat' to='romeo@localhost' id='waits'><body>b</body></message>")
	nurse.sync()

	c := loginRaw(t, s, "romeo", plainHeader)
	c.got, c.used = "", 0
	c.write("<presence/>")
	// Nothing is read until the socket is full.
	it := s.Sessions.Find("romeo@localhost", "r")
	wait(t, "the socket to be full", func() bool { return it.Conn().Queued() > 0 })
	c.await("id='waits'")
	for strings.Count(c.got, "</status>") < contacts {
		c.await("</status>")
	}
	for _, name := range names {
		if n := strings.Count(c.got, "from='"+name+"@localhost/r'"); n != 1 {
			t.Errorf("the presence of %s came %d times", name, n)
		}
	}
}

// TestManyRequests: nobody is kept from logging in by strangers who want to be
// their contacts.
func TestManyRequests(t *testing.T) {
	const requests = 100
	s := xmpptest.NewServer(t, xmpptest.Config{Outbox: 32 << 10, Router: router.Config{PageBytes: 8 << 10}})
	romeo := jid.MustParse("romeo@localhost")
	ro, err := s.Store.Roster(t.Context(), romeo)
	if err != nil {
		t.Fatal(err)
	}
	for i := range requests {
		from := jid.MustParse(fmt.Sprintf("stranger%d@localhost", i))
		text := fmt.Sprintf("<presence type='subscribe' from='%s' to='%s'><status>%s</status></presence>", from, romeo, strings.Repeat("s", 3000))
		_, err = s.Store.ApplyRoster(t.Context(), []store.RosterUpdate{{
			Owner: romeo, Expect: ro.Version, AddRequest: &store.Request{From: from, Stanza: []byte(text)},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	c := loginRaw(t, s, "romeo", plainHeader)
	c.write("<presence/>")
	it := s.Sessions.Find("romeo@localhost", "r")
	wait(t, "the socket to be full", func() bool { return it.Conn().Queued() > 0 })
	for range requests {
		c.await("</status></presence>")
	}
	c.sync()
	if n := strings.Count(c.got, "type='subscribe'"); n != requests {
		t.Errorf("%d requests came, want %d", n, requests)
	}
}

// befriend subscribes the user to the contact's presence.
func befriend(t *testing.T, s *xmpptest.Server, user, contact jid.JID) {
	t.Helper()
	for _, side := range []struct {
		owner, other jid.JID
		sub          store.Subscription
	}{{user, contact, store.To}, {contact, user, store.From}} {
		ro, err := s.Store.Roster(t.Context(), side.owner)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Store.ApplyRoster(t.Context(), []store.RosterUpdate{{
			Owner: side.owner, Expect: ro.Version, Put: &store.RosterItem{JID: side.other, Subscription: side.sub},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
}
