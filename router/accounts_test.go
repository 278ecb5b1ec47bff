package router_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/store"
)

// TestFormerOwner: a session of an account that was deleted and made anew, which
// the server has not noticed yet, has nothing of the new account's roster: neither
// is it shown, nor are the new account's contacts told of the session.
func TestFormerOwner(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Router: router.Config{RosterCache: 1}}) // read from the store each time
	ctx, owner, contact := t.Context(), jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost")
	old, juliet := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<presence/>", "<presence")
	account, err := s.Store.Account(ctx, owner)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Store.DeleteAccount(ctx, owner); err != nil {
		t.Fatal(err)
	}
	if err := s.Store.CreateAccount(ctx, account); err != nil {
		t.Fatal(err)
	}
	ro, err := s.Store.Roster(ctx, owner)
	if err != nil {
		t.Fatal(err)
	}
	item := store.RosterItem{JID: contact, Subscription: store.Both}
	if _, err := s.Store.ApplyRoster(ctx, []store.RosterUpdate{{Owner: owner, Expect: ro.Version, Put: &item}}); err != nil {
		t.Fatal(err)
	}
	const end = "<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	old.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>"+end, "id='end'")
	old.say("</stream:stream>", "</stream:stream>")
	if !strings.Contains(old.got, "id='roster'") || strings.Contains(old.got, "juliet") {
		t.Errorf("the former owner gets %s", old.got)
	}
	juliet.say(end, "id='end'")
	if strings.Contains(juliet.got, "romeo") {
		t.Errorf("the contact is told of the former owner: %s", juliet.got)
	}
}

// TestFormerLeaves: the contacts of an account that was deleted learn that its
// resources are gone also when the roster of the next account of that name is in
// memory already.
func TestFormerLeaves(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	ctx, owner := t.Context(), jid.MustParse("romeo@localhost")
	const end = "<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	old, juliet, nurse := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader), loginRaw(t, s, "nurse", plainHeader)
	old.say("<presence/>", "<presence")
	juliet.say("<presence/>", "<presence")
	juliet.say("<presence type='subscribe' to='romeo@localhost'/>"+end, "id='end'")
	old.await("type='subscribe'")
	old.write("<presence type='subscribed' to='juliet@localhost'/>")
	juliet.await("from='romeo@localhost/r'")
	account, err := s.Store.Account(ctx, owner)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Store.DeleteAccount(ctx, owner); err != nil {
		t.Fatal(err)
	}
	if err := s.Store.CreateAccount(ctx, account); err != nil {
		t.Fatal(err)
	}
	nurse.say("<presence type='subscribe' to='romeo@localhost'/>"+end, "id='end'") // finds out that the roster is another
	ro, err := s.Router.Roster(owner)
	if err != nil || ro.Generation <= account.Generation {
		t.Fatalf("the roster in memory is of generation %d, the old one's was %d (%v)", ro.Generation, account.Generation, err)
	}
	caughtUp := make(chan error)
	s.Sessions.Go(session.Write, func(t *session.Turn) { caughtUp <- s.Router.CatchUpAll(t) })
	if err := <-caughtUp; err != nil {
		t.Fatal(err)
	}
	juliet.await("<presence type='unavailable' from='romeo@localhost/r'")
}
