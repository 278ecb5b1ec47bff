package server

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
	"roost/store/sqlite"
)

// elsewhere opens a server's database a second time, as `roost user` does.
func elsewhere(t *testing.T, s *Server) store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(s.config().DataDir, sqlite.FileName)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

const pingEnd = "<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"

// befriend makes two accounts subscribe to each other's presence.
func befriend(a, b *peer, aName, bName string) {
	a.ask("<presence type='subscribe' to='"+bName+"@localhost'/>", "ask='subscribe'")
	b.ask("", "type='subscribe'")
	b.ask("<presence type='subscribed' to='"+aName+"@localhost'/>", "subscription='from'")
	a.ask("", "subscription='to'")
	b.ask("<presence type='subscribe' to='"+aName+"@localhost'/>", "ask='subscribe'")
	a.ask("", "type='subscribe'")
	a.ask("<presence type='subscribed' to='"+bName+"@localhost'/>", "subscription='both'")
	b.ask("", "subscription='both'")
}

// inOrder checks that the parts occur in a text in this order, each exactly once.
func inOrder(t *testing.T, desc, text string, parts ...string) {
	t.Helper()
	at := 0
	for _, part := range parts {
		i := strings.Index(text[at:], part)
		if i < 0 || strings.Count(text, part) != 1 {
			t.Errorf("%s: %q does not occur once, in order, in %s", desc, part, text)
			return
		}
		at += i + len(part)
	}
}

// TestAccountEnds: however an account ends while it is online, by its own request or by
// `roost user del`, its contacts are notified in the same way, in the order of RFC 6121:
// its resources are unavailable, subscriptions and requests have ended, and their rosters
// have changed.
func TestAccountEnds(t *testing.T) {
	for _, inBand := range []bool{true, false} {
		t.Run(fmt.Sprintf("in-band=%v", inBand), func(t *testing.T) {
			s := startServer(t, func(c *Config) { c.XEP.Register = true })
			st := elsewhere(t, s)
			juliet, phone := connect(t, s).login("juliet", "desk").available(), connect(t, s).login("juliet", "phone").available()
			romeo, nurse := connect(t, s).login("romeo", "r").available(), connect(t, s).login("nurse", "n").available()
			befriend(juliet, romeo, "juliet", "romeo")
			juliet.ask("<presence type='subscribe' to='nurse@localhost'/>", "ask='subscribe'") // waits for the nurse's approval
			nurse.ask("<presence type='subscribe' to='juliet@localhost'/>", "ask='subscribe'") // waits for Juliet's approval
			nurse.ask(pingEnd, "id='end'")
			romeo.ask(pingEnd, "id='end'")
			if inBand {
				got := juliet.ask("<iq type='set' id='bye'><query xmlns='jabber:iq:register'><remove/></query></iq>", "</stream:stream>")
				inOrder(t, "juliet", got, "<iq type='result' id='bye'", "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'")
			} else {
				if err := st.DeleteAccount(t.Context(), jid.MustParse("juliet@localhost"), store.AnyEvent); err != nil {
					t.Fatal(err)
				}
				juliet.ask("", "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'")
			}
			phone.ask("", "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'")

			got := romeo.ask("", "</query></iq>") + romeo.ask(pingEnd, "id='end'")
			for _, resource := range []string{"desk", "phone"} {
				inOrder(t, "romeo", got, "<presence type='unavailable' from='juliet@localhost/"+resource+"'",
					"<presence type='unsubscribe' from='juliet@localhost'", "<presence type='unsubscribed' from='juliet@localhost'",
					"<item jid='juliet@localhost' subscription='none'/>")
			}
			ro, err := st.Roster(t.Context(), jid.MustParse("romeo@localhost"))
			if err != nil || !strings.Contains(got, fmt.Sprintf("ver='%d'", ro.Version)) {
				t.Errorf("the roster is of version %d (%v): %s", ro.Version, err, got)
			}
			got = nurse.ask("", "</query></iq>") + nurse.ask(pingEnd, "id='end'")
			inOrder(t, "nurse", got, "<presence type='unsubscribe' from='juliet@localhost'", "<presence type='unsubscribed' from='juliet@localhost'",
				"<item jid='juliet@localhost' subscription='none'/>")
			if strings.Contains(got, "unavailable") {
				t.Errorf("nurse did not get juliet's presence: %s", got)
			}
		})
	}
}

// TestNameUsedAgain: an account with the name of a recently deleted one has nothing to do
// with the former one, although the server has both rosters in memory and the former
// owner's clients are online. It is created in the same second, and its first login
// happens before the server processes events.
func TestNameUsedAgain(t *testing.T) {
	s := startServer(t, nil)
	st := elsewhere(t, s)
	old, romeo := connect(t, s).login("juliet", "old").available(), connect(t, s).login("romeo", "r").available()
	befriend(old, romeo, "juliet", "romeo")
	romeo.ask("<presence to='juliet@localhost'><status>for you alone</status></presence>"+pingEnd, "id='end'")
	bare := jid.MustParse("juliet@localhost")
	account, err := st.Account(t.Context(), bare)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.DeleteAccount(t.Context(), bare, store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	if err := st.CreateAccount(t.Context(), account); err != nil { // created in the same second
		t.Fatal(err)
	}
	young := connect(t, s).login("juliet", "young")
	got := young.ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>"+pingEnd, "id='end'")
	if strings.Contains(got, "romeo") {
		t.Errorf("the new account is notified of the old one's contact: %s", got)
	}
	romeo.ask("<presence><show>away</show></presence><presence type='unavailable'/>"+pingEnd, "id='end'")
	if got := young.ask(pingEnd, "id='end'"); strings.Contains(got, "romeo") {
		t.Errorf("the new account gets the presence of the old one's contact: %s", got)
	}
	got = old.ask("", "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'")
	if strings.Contains(got, "young") {
		t.Errorf("the old account is notified of the new one: %s", got)
	}
}

// TestAccountLocked: if another process locks an account, its contacts see its resources
// become unavailable, and keep their subscriptions.
func TestAccountLocked(t *testing.T) {
	s := startServer(t, nil)
	juliet, romeo := connect(t, s).login("juliet", "j").available(), connect(t, s).login("romeo", "r").available()
	befriend(juliet, romeo, "juliet", "romeo")
	if err := elsewhere(t, s).SetDisabled(t.Context(), jid.MustParse("juliet@localhost"), true); err != nil {
		t.Fatal(err)
	}
	juliet.ask("", "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'")
	romeo.ask("", "<presence type='unavailable' from='juliet@localhost/j'")
	if got := romeo.ask(pingEnd, "id='end'"); strings.Contains(got, "unsubscribe") || strings.Contains(got, "<item") {
		t.Errorf("subscriptions have ended: %s", got)
	}
}

// TestPasswordChanged: a changed password ends the other streams of the account and its
// pending authentications with <reset/>, but not the stream of the client that changed
// it.
func TestPasswordChanged(t *testing.T) {
	const reset = "<reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
	s := startServer(t, nil)
	st := elsewhere(t, s)
	romeo := connect(t, s).login("romeo", "r")
	a, b, half := connect(t, s).login("juliet", "a"), connect(t, s).login("juliet", "b").available(), connect(t, s).authenticate("juliet")
	exchange := connect(t, s)
	exchange.ask(testHeader, "</stream:features>")
	exchange.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1qdWxpZXQscj1ub25jZQ==</auth>", "</challenge>")
	a.ask("<iq type='set' id='pw' to='localhost'><query xmlns='jabber:iq:register'><username>juliet</username><password>other</password></query></iq>", "<iq type='result' id='pw'")
	for _, p := range []*peer{b, half, exchange} {
		p.ask("", reset)
	}
	a.ask(pingEnd, "id='end'")

	keys, err := store.NewCredentials("secret", store.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.SetCredentials(t.Context(), jid.MustParse("juliet@localhost"), store.AnyEvent, keys, false); err != nil {
		t.Fatal(err)
	}
	young := connect(t, s).login("juliet", "young") // with the new password
	a.ask("", reset)
	half = connect(t, s).authenticate("juliet")
	if _, err := st.SetCredentials(t.Context(), jid.MustParse("juliet@localhost"), store.AnyEvent, keys, true); err != nil {
		t.Fatal(err)
	}
	half.ask("", reset)
	young.ask(pingEnd, "id='end'")
	romeo.ask(pingEnd, "id='end'")
}

// TestRosterOfFormer: after the deletion of an account, the rosters of its contacts are
// pushed in their current state, including all other changes.
func TestRosterOfFormer(t *testing.T) {
	s := startServer(t, nil)
	st := elsewhere(t, s)
	juliet, romeo := connect(t, s).login("juliet", "j").available(), connect(t, s).login("romeo", "r").available()
	befriend(juliet, romeo, "juliet", "romeo")
	romeo.ask("<iq type='set' id='name'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' name='Love'><group>Verona</group></item></query></iq>", "id='name'")
	romeo.ask(pingEnd, "id='end'")
	if err := st.DeleteAccount(t.Context(), jid.MustParse("juliet@localhost"), store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	if err := xmpptest.AddAccounts(t.Context(), st, "localhost"); err != nil {
		t.Fatal(err)
	}
	got := romeo.ask("", "</item>")
	inOrder(t, "romeo", got, "type='unavailable' from='juliet@localhost/j'", "type='unsubscribed'",
		"<item jid='juliet@localhost' name='Love' subscription='none'><group>Verona</group></item>")
	ver := regexp.MustCompile(`ver='(\d+)'`).FindStringSubmatch(got)
	if ver == nil {
		t.Fatalf("no version in %s", got)
	}
	// A client with that version is up to date.
	got = romeo.ask("<iq type='get' id='since'><query xmlns='jabber:iq:roster' ver='"+ver[1]+"'/></iq>"+pingEnd, "id='end'")
	if strings.Contains(got, "<item") {
		t.Errorf("changes since version %s: %s", ver[1], got)
	}
}
