package router_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
)

// lockedNodes notes the accounts that are looked up, and those of them whose roster lock is held then.
type lockedNodes struct {
	*memnodes.Node
	router *router.Router

	mu               sync.Mutex
	lookedUp, locked []string
}

func (n *lockedNodes) Places(ctx context.Context, accounts []string) ([][]router.Place, error) {
	n.mu.Lock()
	for _, account := range accounts {
		if n.router.RostersLocked(account) {
			n.locked = append(n.locked, account)
		}
		n.lookedUp = append(n.lookedUp, account)
	}
	n.mu.Unlock()
	return n.Node.Places(ctx, accounts)
}

// take returns what was noted since the last call.
func (n *lockedNodes) take() (lookedUp, locked []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	lookedUp, locked = n.lookedUp, n.locked
	n.lookedUp, n.locked = nil, nil
	return lookedUp, locked
}

// TestLookupsWithoutRosterLock: the directory is not asked while roster locks are held, which others
// wait for. What changes is told to the resources of other nodes nevertheless.
func TestLookupsWithoutRosterLock(t *testing.T) {
	cluster, nodes := newCluster(t, 2, xmpptest.Config{})
	romeo, juliet := goOnline(t, nodes[0], "romeo", "r"), goOnline(t, nodes[0], "juliet", "r")
	phones := map[*rawClient]*rawClient{romeo: goOnline(t, nodes[1], "romeo", "phone"), juliet: goOnline(t, nodes[1], "juliet", "phone")}
	for _, phone := range phones {
		phone.ask("<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
	}
	n := &lockedNodes{Node: nodes[0].Node(), router: nodes[0].Router}
	nodes[0].Router.Join(n)
	cluster.Forgetful()
	f := func(desc string, change func(), phone *rawClient, want string) {
		t.Helper()
		cluster.Wait()
		n.take()
		change()
		cluster.Wait()
		lookedUp, locked := n.take()
		if len(lookedUp) == 0 || len(locked) > 0 {
			t.Errorf("%s: looked up %v, with the lock %v", desc, lookedUp, locked)
		}
		phone.await(want)
	}
	does := func(c *rawClient, request, want string) {
		t.Helper()
		f(request, func() { c.ask(request) }, phones[c], want)
	}
	does(romeo, "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query></iq>", "jid='nurse@localhost'")
	does(romeo, "<presence type='subscribe' to='juliet@localhost'/>", "ask='subscribe'")
	does(juliet, "<presence type='subscribed' to='romeo@localhost'/>", "subscription='from'")
	phones[romeo].await("<presence from='juliet@localhost/")
	does(juliet, "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block></iq>", "<block ")
	does(juliet, "<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'/></iq>", "<unblock ")
	does(juliet, "<presence type='unsubscribed' to='romeo@localhost'/>", "subscription='none'")
	phones[romeo].await("type='unavailable' from='juliet@localhost/")
	does(romeo, "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' subscription='remove'/></query></iq>", "subscription='remove'")
	f("an invitation is used", func() { registerInvited(t, nodes[0], "romeo@localhost", "newcomer@localhost") }, phones[romeo], "jid='newcomer@localhost'")
}

// registerInvited creates an account with an invitation of another one.
func registerInvited(t *testing.T, s *xmpptest.Server, inviter, account string) {
	t.Helper()
	i := store.Invitation{ID: "i", Domain: "localhost", Inviter: inviter, Contact: true, Uses: 1, Created: time.Now(), Until: time.Now().Add(time.Hour)}
	if err := s.Store.CreateInvitation(t.Context(), i, 10); err != nil {
		t.Fatal(err)
	}
	turn := s.Sessions.NewTurn()
	defer turn.End()
	if err := s.Router.RegisterInvited(turn, store.Account{JID: jid.MustParse(account)}, &i, time.Time{}); err != nil {
		t.Fatal(err)
	}
}
