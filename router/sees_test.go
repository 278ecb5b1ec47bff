package router_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/store"
	"roost/store/faultstore"
)

// TestSameWorkForStrangers: the work for a stranger's probe or request depends neither on
// whether the account exists, nor on whether it is online or was lately, nor on whether it has
// blocked the stranger: the same turns, and the same calls of the store (RFC 6120 section
// 13.10.2, https://www.rfc-editor.org/rfc/rfc6120#section-13.10.2). None reads the account's
// roster. Bug: a roster that was in memory made the server reply on the loop, at once.
func TestSameWorkForStrangers(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	juliet, nurse := comeOnline(t, s, "juliet"), comeOnline(t, s, "nurse")
	paris := comeOnline(t, s, "paris")
	for _, c := range []*rawClient{juliet, nurse} {
		c.ask(fmt.Sprintf(blockFormat, items("romeo@localhost")))
	}
	for _, c := range []*rawClient{nurse, paris} {
		leave(c)
	}
	for _, user := range []string{"nurse", "paris"} {
		xmpptest.Eventually(t, "the session to leave", func() bool { return s.Sessions.Find(user+"@localhost", "r") == nil })
	}
	comeOnline(t, s, "benvolio").sync() // what it has asked the store for is over
	comeOnline(t, s, "romeo").sync()
	romeo := s.Sessions.Find("romeo@localhost", "r")

	w := &workload{s: s, st: st, sender: romeo}
	for _, text := range askingAbout(s) {
		want := w.of(t, text, "zuliet", false)
		if strings.Contains(want, "Roster") {
			t.Errorf("%s to a name without an account: %s", text, want)
		}
		for desc, user := range map[string]string{
			"offline": "mercutio", "offline, lately online": "paris", "offline, has blocked the stranger": "nurse",
			"online": "benvolio", "online, has blocked the stranger": "juliet",
		} {
			for _, lately := range []bool{desc != "offline", true} { // twice
				got := w.of(t, text, user, lately)
				if strings.Contains(desc, "blocked") && strings.HasPrefix(want, "read BlobKeys ") && got == "read BlobKeys" {
					continue // a request that is refused, which the reply tells, goes no further
				}
				if got != want {
					t.Errorf("%s, %s\ntakes %q\nand for a name without an account %q", desc, text, got, want)
				}
			}
		}
	}
}

// TestSameWorkForBlockedContact: the same holds for a contact whom the account has blocked, as
// far as it gets no reply.
func TestSameWorkForBlockedContact(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	befriend(t, s, jid.MustParse("romeo@localhost"), jid.MustParse("nurse@localhost"))
	nurse := comeOnline(t, s, "nurse")
	nurse.ask(fmt.Sprintf(blockFormat, items("romeo@localhost")))
	comeOnline(t, s, "romeo").sync()
	w := &workload{s: s, st: st, sender: s.Sessions.Find("romeo@localhost", "r")}
	for _, state := range []string{"online", "offline"} {
		if state == "offline" {
			nurse.lose(s, "nurse@localhost/r")
		}
		for _, resource := range []string{"", "/r"} {
			probe := "<presence type='probe' to='X" + resource + "'/>"
			want := w.of(t, probe, "zuliet", false)
			if got := w.of(t, probe, "nurse", true); got != want {
				t.Errorf("%s, %s: %q, and for a name without an account %q", state, probe, got, want)
			}
		}
	}
}

// workload tells how much work a client's stanzas are.
type workload struct {
	s      *xmpptest.Server
	st     *faultstore.Faults
	sender *session.Session

	mu    sync.Mutex
	calls []string // of the store
}

// of returns the turns and the calls of the store that a stanza to a user takes after the first
// turn, which is the loop's. The sender's roster is in memory, and, with lately, that of the user.
func (w *workload) of(t *testing.T, text, user string, lately bool) string {
	t.Helper()
	inMemory := []string{w.sender.BareJID()}
	if lately {
		inMemory = append(inMemory, user+"@localhost")
	}
	for _, account := range inMemory {
		if _, err := w.s.Router.Roster(jid.MustParse(account)); err != nil {
			t.Fatal(err)
		}
	}
	w.calls = nil
	w.st.SetFault(func(op string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calls = append(w.calls, op)
		return nil
	})
	turns := turnsFor(t, w.s, w.sender, strings.ReplaceAll(text, "to='X", "to='"+user+"@localhost"))
	w.st.SetFault(nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(slices.Concat(turns, w.calls), " ")
}

// askingAbout returns the stanzas of toAccount that ask about an account: probes, and requests.
func askingAbout(s *xmpptest.Server) []string {
	ask := slices.DeleteFunc(toAccount(s), func(st string) bool {
		return !strings.HasPrefix(st, "<iq") && !strings.Contains(st, "'probe'")
	})
	return append(ask, "<iq type='get' id='l' to='X/gone'><query xmlns='jabber:iq:last'/></iq>")
}

// turnsFor has the router route a client's stanza, first on the loop, and returns the turns
// that this took.
func turnsFor(t *testing.T, s *xmpptest.Server, from *session.Session, text string) (turns []string) {
	t.Helper()
	st := parse(t, text)
	type result struct {
		stage int
		need  session.Work
	}
	done := make(chan result)
	var r result
	on := func(t *session.Turn) {
		stage, need := s.Router.Route(t, from, st, r.stage)
		t.Flush()
		done <- result{stage, need}
	}
	go s.Sessions.RunOnLoop(from, on)
	for r = <-done; r.need != session.Done; r = <-done {
		turns = append(turns, r.need.String())
		s.Sessions.Go(r.need, on)
	}
	return turns
}

// rosterLog is a store that notes whose rosters are read.
type rosterLog struct {
	store.Store
	mu    sync.Mutex
	owner []string
}

func (l *rosterLog) Roster(ctx context.Context, owner jid.JID) (store.Roster, error) {
	l.mu.Lock()
	l.owner = append(l.owner, owner.String())
	l.mu.Unlock()
	return l.Store.Roster(ctx, owner)
}

// take returns the owners, and forgets them.
func (l *rosterLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	owners := l.owner
	l.owner = nil
	return owners
}

// TestContactsSee: a contact's probe and requests are answered, on one node and on two; a
// stranger's never read the account's roster, on any node. No roster fits in memory.
func TestContactsSee(t *testing.T) {
	for n := range 2 { // the node of the contact
		logs := new([]*rosterLog)
		cluster, nodes := newCluster(t, n+1, xmpptest.Config{
			Router: router.Config{RosterCache: 1},
			Wrap: func(st store.Store) store.Store {
				l := &rosterLog{Store: st}
				*logs = append(*logs, l)
				return l
			},
		})
		befriend(t, nodes[0], jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost"))
		juliet := comeOnline(t, nodes[n], "juliet")
		romeo, paris := comeOnline(t, nodes[0], "romeo"), comeOnline(t, nodes[0], "paris")
		juliet.sync() // what it has asked the store for is over
		cluster.Wait()
		ask := func(c *rawClient, st string) string {
			t.Helper()
			before := len(c.got)
			c.sync()
			c.write(st)
			for range 2 { // to the other node, and back
				c.sync()
				cluster.Wait()
			}
			c.sync()
			return c.got[before:]
		}
		for _, x := range []struct{ stanza, contact, stranger string }{
			{"<presence type='probe' to='juliet@localhost'/>", "<presence from='juliet@localhost/r'", "type='unsubscribed'"},
			{"<presence type='probe' to='juliet@localhost/r'/>", "<presence from='juliet@localhost/r'", "type='unsubscribed'"},
			{"<iq type='get' id='1' to='juliet@localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>", "<identity", "<service-unavailable"},
			{"<iq type='get' id='2' to='juliet@localhost'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>", "<item jid='juliet@localhost/r'", "disco#items'/>"},
			{"<iq type='get' id='3' to='juliet@localhost'><query xmlns='jabber:iq:last'/></iq>", "seconds='0'", "<forbidden"},
			{"<iq type='get' id='4' to='juliet@localhost/gone'><query xmlns='jabber:iq:last'/></iq>", "<service-unavailable", "<forbidden"},
		} {
			if got := ask(romeo, x.stanza); !strings.Contains(got, x.contact) {
				t.Errorf("%d nodes: %s of a contact: %s, want %s", n+1, x.stanza, got, x.contact)
			}
			for _, l := range *logs {
				l.take()
			}
			if got := ask(paris, x.stanza); !strings.Contains(got, x.stranger) {
				t.Errorf("%d nodes: %s of a stranger: %s, want %s", n+1, x.stanza, got, x.stranger)
			}
			for i, l := range *logs {
				if owners := l.take(); slices.Contains(owners, "juliet@localhost") {
					t.Errorf("%d nodes: %s of a stranger: node %d reads the rosters of %s", n+1, x.stanza, i, owners)
				}
			}
		}
	}
}

// TestOneSidedSubscription: both rosters have to say that an account may see a contact's
// presence. They contradict each other if only one of the accounts was imported.
func TestOneSidedSubscription(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	put := func(owner, other string, sub store.Subscription) {
		t.Helper()
		ro, err := s.Store.Roster(t.Context(), jid.MustParse(owner))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Store.ApplyRoster(t.Context(), []store.RosterUpdate{{
			Owner: jid.MustParse(owner), Expect: ro.Version, Put: &store.RosterItem{JID: jid.MustParse(other), Subscription: sub},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	put("romeo@localhost", "juliet@localhost", store.To) // juliet's roster does not have romeo
	put("nurse@localhost", "romeo@localhost", store.From)
	comeOnline(t, s, "juliet")
	comeOnline(t, s, "nurse")
	romeo := comeOnline(t, s, "romeo")
	for _, contact := range []string{"juliet", "nurse"} {
		for _, to := range []string{contact + "@localhost", contact + "@localhost/r"} {
			if got := romeo.ask("<presence type='probe' id='p' to='" + to + "'/>"); !strings.Contains(got, "<presence type='unsubscribed' id='p' from='"+contact+"@localhost'") {
				t.Errorf("a probe to %s gets %s", to, got)
			}
		}
		if got := romeo.ask("<iq type='get' id='l' to='" + contact + "@localhost'><query xmlns='jabber:iq:last'/></iq>"); !strings.Contains(got, "<forbidden ") {
			t.Errorf("a request about the last activity of %s gets %s", contact, got)
		}
	}
}
