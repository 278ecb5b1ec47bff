package session_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
	"roost/store"
)

// TestPingUnderAttack: while a client repeatedly broadcasts presence to 1,000 contacts,
// another client gets the response to its ping before the last of these stanzas is
// delivered.
func TestPingUnderAttack(t *testing.T) { synctest.Test(t, pingUnderAttack) }

func pingUnderAttack(t *testing.T) {
	const contacts, rounds = 1000, 3
	s := xmpptest.NewServer(t, xmpptest.Config{})
	befriend(t, s, "romeo", contacts)
	attacker, other := newSASLClient(t, s), newSASLClient(t, s)
	attacker.login("romeo")
	other.login("juliet")
	var there []*session.Session
	c := &simServer{posted: make(chan func(int), contacts), sessions: s.Sessions}
	s.Sessions.RunOnLoop(s.Sessions.Find("romeo@localhost", "r"), func(turn *session.Turn) {
		for i := range contacts {
			there = append(there, c.enter(i))
			there[i].SetPresence(s.Sessions.SharePresence([]byte("<presence/>")), 0)
		}
	})
	attacker.ask("<presence/>"+ping("ready"), "id='ready'")

	begun, pinged, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
	delivered, late := 0, false
	s.Sessions.RunOnLoop(s.Sessions.Find("romeo@localhost", "r"), func(*session.Turn) {
		c.hook = func(_ *simConn, p []byte) {
			if !bytes.Contains(p, []byte("from='romeo@localhost/r'")) {
				return
			}
			switch delivered++; delivered {
			case 1:
				close(begun)
				<-pinged
			case contacts * rounds:
				synctest.Wait() // until everything except this loop is blocked
				select {
				case <-answered:
				default:
					late = true
				}
			}
		}
	})
	attacker.ask(ping("hooked"), "id='hooked'")
	attacker.write(strings.Repeat("<presence/><message to='romeo@localhost/nobody' type='headline'/>", rounds))
	<-begun
	other.write(ping("during")) // the loop is handling the first broadcast
	close(pinged)
	other.ask("", "id='during'")
	close(answered)
	attacker.ask(ping("end"), "id='end'")
	if delivered != contacts*rounds || late {
		t.Errorf("%d deliveries, want %d; the ping was answered after the last: %v", delivered, contacts*rounds, late)
	}
	s.Sessions.RunOnLoop(s.Sessions.Find("romeo@localhost", "r"), func(*session.Turn) {
		c.hook = nil
		for _, s := range there {
			s.Closed(0, nil)
		}
	})
	attacker.ask(ping("gone"), "id='gone'")
}

// befriend gives a user contacts, accounts of a simServer, with subscriptions in both
// directions.
func befriend(t *testing.T, s *xmpptest.Server, user string, contacts int) {
	t.Helper()
	owner := jid.MustParse(user + "@localhost")
	ro, err := s.Store.Roster(context.Background(), owner)
	if err != nil {
		t.Fatal(err)
	}
	v := ro.Version
	var accounts []store.Account
	var updates []store.RosterUpdate
	for i := range contacts {
		accounts = append(accounts, store.Account{JID: member(i)})
		updates = append(updates, store.RosterUpdate{Owner: owner, Expect: v + int64(i), Put: &store.RosterItem{JID: member(i), Subscription: store.Both}})
	}
	if _, _, err := s.Store.ImportAccounts(context.Background(), accounts, store.SkipExisting); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.ApplyRoster(context.Background(), updates); err != nil {
		t.Fatal(err)
	}
}

// TestDerivationsOfOneNetwork: of clients of one network that try passwords by PLAIN, only
// one at a time occupies a worker for keys, however many workers there are. A client of
// another network does not wait for them.
func TestDerivationsOfOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &gatedAccounts{gated: "romeo", entered: make(chan struct{}, 100), release: make(chan struct{})}
		g := guessing{xmpptest.NewServer(t, xmpptest.Config{
			Session: session.Config{KeyWorkers: 4},
			Wrap: func(st store.Store) store.Store {
				gate.Store = st
				return gate
			},
		}), t}
		var clients []*saslClient
		for i := range 8 {
			c := g.from("192.0.2.1")
			c.write("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain("romeo", fmt.Sprint("wrong", i)) + "</auth>")
			clients = append(clients, c)
		}
		synctest.Wait()
		if n := len(gate.entered); n != 1 {
			close(gate.release)
			t.Fatalf("%d workers check passwords of one network, want 1", n)
		}
		if got := g.login("198.51.100.7", "juliet", "secret"); got != "" {
			t.Errorf("a login from another network meanwhile: %q", got)
		}
		close(gate.release)
		for _, c := range clients {
			c.ask("", "</failure>")
		}
		if n := len(gate.entered); n != len(clients) {
			t.Errorf("%d passwords were tried, want %d", n, len(clients))
		}
	})
}

// gatedAccounts is a store that returns one of the accounts only after release is closed.
type gatedAccounts struct {
	store.Store
	gated   string
	entered chan struct{}
	release chan struct{}
}

func (s *gatedAccounts) Account(ctx context.Context, bare jid.JID) (store.Account, error) {
	if bare.Local() == s.gated {
		s.entered <- struct{}{}
		<-s.release
	}
	return s.Store.Account(ctx, bare)
}

// TestAbsentContacts: looking up contacts that are not connected counts, too: a broadcast
// to thousands of them takes several turns.
func TestAbsentContacts(t *testing.T) {
	const contacts, budget = 5000, 1024 // budget: contacts that one turn may look up
	c := newSimServerWith(t, 2*contacts, contacts, -1)
	s := c.enter(0)
	c.turns(s, "<presence/>", func() {})
	turns := 0
	c.turns(s, "<presence/>", func() { turns++ })
	if turns < contacts/budget {
		t.Errorf("a broadcast to %d contacts that are not there took %d turns, want %d or more", contacts, turns, contacts/budget)
	}
}
