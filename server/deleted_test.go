package server

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
)

// TestDeletedContact: the new owner of the name of a deleted account inherits none of its
// subscriptions: contacts of the old account do not see the new one's presence, nor the
// reverse.
func TestDeletedContact(t *testing.T) {
	s := startServer(t, nil)
	juliet, romeo := connect(t, s).login("juliet", "old").available(), connect(t, s).login("romeo", "r").available()
	subscribe(juliet, romeo)
	romeo.ask("<presence type='subscribe' to='juliet@localhost'/>", "ask='subscribe'")
	juliet.ask("", "type='subscribe'")
	juliet.ask("<presence type='subscribed' to='romeo@localhost'/>", "subscription='both'")
	romeo.ask("", "subscription='both'")
	romeo.ask("", "from='juliet@localhost/old'")
	if err := s.store.DeleteAccount(t.Context(), jid.MustParse("juliet@localhost"), store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	juliet.ask("", "<not-authorized ")
	if err := xmpptest.AddAccounts(t.Context(), s.store, "localhost"); err != nil {
		t.Fatal(err)
	}
	const ping = "<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	juliet = connect(t, s).login("juliet", "new").available()
	romeo.ask("<presence><show>away</show></presence>", "<show>away</show></presence>")
	if got := juliet.ask(ping, "id='end'"); strings.Contains(got, "romeo") {
		t.Errorf("the new account is notified: %s", got)
	}
	again := connect(t, s).login("romeo", "again")
	for _, p := range []*peer{romeo, again} {
		if got := p.ask("<presence/>"+ping, "id='end'"); strings.Contains(got, "juliet@localhost/new") {
			t.Errorf("the old contact is notified: %s", got)
		}
	}
	if got := again.ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "</iq>"); !strings.Contains(got, "<item jid='juliet@localhost' subscription='none'/>") {
		t.Errorf("the roster: %s", got)
	}
}

// TestDeletedApproved: a pre-approval was for the former owner, whether that one used it
// or not.
func TestDeletedApproved(t *testing.T) {
	for _, inBand := range []bool{false, true} {
		s := startServer(t, func(c *Config) { c.XEP.Register = true })
		romeo, nurse := connect(t, s).login("romeo", "r").available(), connect(t, s).login("nurse", "n").available()
		for _, p := range []*peer{romeo, nurse} {
			p.ask("<presence type='subscribed' to='juliet@localhost'/>", "approved='true'")
		}
		juliet := connect(t, s).login("juliet", "old").available()
		juliet.ask("<presence type='subscribe' to='romeo@localhost'/>", "subscription='to'")
		romeo.ask("", "subscription='from' approved='true'")
		if inBand {
			juliet.ask("<iq type='set' id='bye'><query xmlns='jabber:iq:register'><remove/></query></iq>", "<not-authorized ")
		} else {
			if err := s.store.DeleteAccount(t.Context(), jid.MustParse("juliet@localhost"), store.AnyEvent); err != nil {
				t.Fatal(err)
			}
			juliet.ask("", "<not-authorized ")
		}
		if err := xmpptest.AddAccounts(t.Context(), s.store, "localhost"); err != nil {
			t.Fatal(err)
		}
		juliet = connect(t, s).login("juliet", "new").available()
		for _, to := range []string{"romeo", "nurse"} {
			got := juliet.ask("<presence type='subscribe' to='"+to+"@localhost'/><iq type='get' id='"+to+"' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='"+to+"'")
			if strings.Contains(got, "type='subscribed'") || strings.Contains(got, "from='"+to) {
				t.Errorf("removed in-band %v: %s", inBand, got)
			}
		}
	}
}
