package router_test

import (
	"fmt"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
	"roost/store/faultstore"
)

// crowd returns a server with this many goroutines that wait for writes, and n clients of as
// many accounts, which have romeo's password. None of them shares its lock with another one.
func crowd(t *testing.T, writers, n int) (s *xmpptest.Server, st *faultstore.Faults, clients []*rawClient) {
	t.Helper()
	var cfg xmpptest.Config
	cfg.Session.Writers = writers
	s, st = slowServer(t, cfg)
	romeo, err := s.Store.Account(t.Context(), jid.MustParse("romeo@localhost"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[uint64]bool{}
	for _, user := range append(xmpptest.Accounts, "nobody") {
		used[s.Router.Stripe(user+"@localhost")] = true
	}
	var accounts []store.Account
	for i := 0; len(accounts) < n; i++ {
		j := jid.MustParse(fmt.Sprintf("user%d@localhost", i))
		if stripe := s.Router.Stripe(j.String()); !used[stripe] {
			used[stripe] = true
			accounts = append(accounts, store.Account{JID: j, Credentials: romeo.Credentials})
		}
	}
	if _, _, err := s.Store.ImportAccounts(t.Context(), accounts, store.SkipExisting); err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		clients = append(clients, loginRaw(t, s, a.JID.Local(), plainHeader))
	}
	s.Router.FlushPending(t.Context()) // that the accounts are used is stored a moment later, once
	return s, st, clients
}

// TestPreApprovalsShareCommits: "the user's server MUST NOT route or deliver" a pre-approval
// (RFC 6121 section 3.4.2, https://www.rfc-editor.org/rfc/rfc6121#section-3.4.2): it concerns
// only the user's own roster. Those of many accounts wait for the same commit. So do
// cancellations, and removals of contacts without a subscription. Bug: each waited for all
// others that were about the same contact, and held a goroutine meanwhile.
func TestPreApprovalsShareCommits(t *testing.T) {
	const n = 10
	s, st, clients := crowd(t, n, n)
	for _, contact := range []string{"juliet@localhost", "nobody@localhost"} {
		for _, text := range []string{
			"<presence type='subscribed' to='" + contact + "'/>",
			"<presence type='unsubscribed' to='" + contact + "'/>",
			"<iq type='set' id='remove'><query xmlns='jabber:iq:roster'><item jid='" + contact + "' subscription='remove'/></query></iq>",
		} {
			release := st.StopWrites()
			defer release()
			for _, c := range clients {
				c.write(text)
			}
			xmpptest.Eventually(t, "all to wait for the store: "+text, func() bool { return st.Active() == n })
			release()
			for _, c := range clients {
				c.sync()
			}
		}
	}
	if n := s.Sessions.Counts().Waiting; n != 0 {
		t.Errorf("%d jobs are left", n)
	}
}

// TestContactHoldsNoWriters: however many accounts change subscriptions with one contact, which
// happens one after the other, these changes do not occupy all goroutines that wait for
// writes: others' messages are stored meanwhile. The stanzas of each client stay in order, and
// none is lost. Bug: each change that waited for the contact's lock held a goroutine.
func TestContactHoldsNoWriters(t *testing.T) {
	const n = 10
	s, st, clients := crowd(t, 3, n)
	juliet := comeOnline(t, s, "juliet")
	romeo := loginRaw(t, s, "romeo", plainHeader)
	s.Router.FlushPending(t.Context())
	for i, change := range []string{
		"<presence type='subscribe' to='juliet@localhost'/>",
		"<presence type='unsubscribe' to='juliet@localhost'/>",
		"<presence type='subscribe' to='juliet@localhost'/>",
		"<iq type='set' id='remove'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' subscription='remove'/></query></iq>",
	} {
		juliet.sync()
		juliet.got, juliet.used = "", 0
		release := st.StopWrites()
		defer release()
		for _, c := range clients {
			c.write(change + "<message to='juliet@localhost/r' type='headline' id='after'/>")
		}
		xmpptest.Eventually(t, "all but two to wait without a goroutine", func() bool { return st.Active() == 1 && s.Sessions.Counts().Waiting == n-2 })
		romeo.write(fmt.Sprintf("<message type='chat' to='mercutio@localhost' id='kept%d'><body>b</body></message>", i))
		xmpptest.Eventually(t, "the message to reach the store", func() bool { return st.Active() == 2 })
		juliet.sync()
		if strings.Contains(juliet.got, "id='after'") {
			t.Errorf("a message overtook %s", change)
		}
		release()
		romeo.sync()
		for range clients {
			juliet.await("id='after'")
		}
		for _, c := range clients {
			c.sync()
		}
		juliet.sync()
		kind := "subscribe"
		if i%2 == 1 {
			kind = "unsubscribe"
		}
		if got := strings.Count(juliet.got, " type='"+kind+"'"); got != n {
			t.Errorf("%d of %d changes have reached the contact: %s", got, n, change)
		}
	}
	if now := s.Sessions.Stats(); now.WaitingBytes != 0 || now.Waiting != 0 {
		t.Errorf("%d bytes and %d jobs are left", now.WaitingBytes, now.Waiting)
	}
}

// TestApprovalMeetsRequest: a request that is being stored makes an approval, which would
// otherwise be a pre-approval, grant it.
func TestApprovalMeetsRequest(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo, juliet := comeOnline(t, s, "romeo"), comeOnline(t, s, "juliet")
	begun, release := hold(st, "ApplyRoster")
	romeo.write("<presence type='subscribe' to='juliet@localhost'/>")
	<-begun
	juliet.write("<presence type='subscribed' to='romeo@localhost'/>")
	xmpptest.Eventually(t, "the approval to have a worker", func() bool {
		for _, w := range s.Sessions.Stats().Workers {
			if w.Work == "write" && w.Busy == 2 {
				return true
			}
		}
		return false
	})
	release()
	romeo.await("type='subscribed'")
	romeo.sync()
	juliet.sync()
	if mine, theirs := stored(t, s, "romeo@localhost", "juliet@localhost"), stored(t, s, "juliet@localhost", "romeo@localhost"); mine != "to" || theirs != "from" {
		t.Errorf("romeo has %q, and juliet %q", mine, theirs)
	}
}
