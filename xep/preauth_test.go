package xep_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
	"roost/store/faultstore"
	"roost/xep"
)

// show shows a token before authentication, and returns the condition of the error or "result".
func (c *testClient) show(token string) string {
	c.t.Helper()
	got := c.ask("<iq type='set' id='pre'><preauth xmlns='urn:xmpp:pars:0' token='"+token+"'/></iq>", "id='pre'")
	if strings.Contains(got, "type='result'") {
		c.ask("", "/>")
		return "result"
	}
	return condition(c.ask("", "</iq>"))
}

// tokenFeature is the stream feature of XEP-0445.
const tokenFeature = "<register xmlns='urn:xmpp:ibr-token:0'/>"

// TestPreauthIsOff: without invitations, nothing is offered, and tokens are of no use.
func TestPreauthIsOff(t *testing.T) {
	ts := newTestServer(t, xep.Config{})
	c, features := ts.connect(t)
	if strings.Contains(features, "<register") {
		t.Errorf("offered: %s", features)
	}
	if got := c.show("plain"); got != "service-unavailable" {
		t.Errorf("a token: %s", got)
	}
	if got := c.register(registerQuery("bill", "secret")); got != "not-allowed" {
		t.Errorf("registered: %s", got)
	}
	romeo := ts.login(t, "romeo")
	if got := condition(romeo.command("invite", "", "")); got != "service-unavailable" {
		t.Errorf("a command: %s", got)
	}
	if info := romeo.ask("<iq type='get' id='i' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>", "</iq>"); strings.Contains(info, "commands") {
		t.Errorf("commands are published: %s", info)
	}
}

// TestPreauthOfOperators: users cannot invite, and registration is offered by the features
// that clients look for.
func TestPreauthOfOperators(t *testing.T) {
	ts := newTestServer(t, xep.Config{Invitations: xep.InviteOperators})
	c, features := ts.connect(t)
	for _, want := range []string{tokenFeature, "<register xmlns='urn:xmpp:invite'/>", "<register xmlns='http://jabber.org/features/iq-register'/>"} {
		if !strings.Contains(features, want) {
			t.Errorf("%s is not offered: %s", want, features)
		}
	}
	if got := c.show("plain"); got != "result" {
		t.Errorf("a token: %s", got)
	}
	romeo := ts.login(t, "romeo")
	if got := condition(romeo.command("invite", "", "")); got != "service-unavailable" {
		t.Errorf("a user invites: %s", got)
	}
}

// TestPreauthLimit: the number of tokens that an address may try in an hour is limited, as that
// of registrations is, whether they exist or not.
func TestPreauthLimit(t *testing.T) {
	ts := newTestServer(t, xep.Config{Invitations: xep.InviteOperators, RegisterPerHour: 2})
	ts.remote = netip.MustParseAddrPort("192.0.2.1:1")
	c, _ := ts.connect(t)
	for i, want := range []string{"item-not-found", "result", "resource-constraint"} {
		if got := c.show([]string{"unknown", "plain", "plain"}[i]); got != want {
			t.Errorf("token %d: %s, want %s", i, got, want)
		}
	}
	// The token that was shown counts, and the attempts to register are counted by themselves.
	if got := c.register(registerQuery("bill", "secret")); got != "result" {
		t.Errorf("registered: %s", got)
	}
}

// TestInvitationWithdrawn: an invitation that is withdrawn or used after its token was shown
// creates no account.
func TestInvitationWithdrawn(t *testing.T) {
	ts := newTestServer(t, xep.Config{Invitations: xep.InviteOperators})
	c, _ := ts.connect(t)
	other, _ := ts.connect(t)
	for _, client := range []*testClient{c, other} {
		if got := client.show("plain"); got != "result" {
			t.Fatalf("a token: %s", got)
		}
	}
	if got := other.register(registerQuery("bob", "secret")); got != "result" {
		t.Errorf("the first: %s", got)
	}
	for range 2 {
		if got := c.register(registerQuery("bill", "secret")); got != "not-allowed" {
			t.Errorf("the second: %s", got)
		}
	}
	if _, err := ts.Store.Account(t.Context(), jid.MustParse("bill@localhost")); err == nil {
		t.Error("there are two accounts")
	}
}

// TestInvitationOfDisabled: the invitations of an account cannot be used while it is disabled,
// nor, if any were left, without the account.
func TestInvitationOfDisabled(t *testing.T) {
	ts := newTestServer(t, xep.Config{Invitations: xep.InviteUsers})
	c, _ := ts.connect(t)
	f := func(desc, token, want string) {
		t.Helper()
		if got := c.show(token); got != want {
			t.Errorf("%s: %s, want %s", desc, got, want)
		}
	}
	now := time.Now()
	orphan := store.Invitation{ID: store.InvitationID("orphan"), Domain: "localhost", Inviter: "nobody@localhost", Uses: 1, Created: now, Until: now.Add(time.Hour)}
	if err := ts.Store.CreateInvitation(t.Context(), orphan, 10); err != nil {
		t.Fatal(err)
	}
	f("without an account", "orphan", "item-not-found")
	f("at first", "of-romeo", "result")
	for _, disabled := range []bool{true, false} {
		if err := ts.Store.SetDisabled(t.Context(), jid.MustParse("romeo@localhost"), disabled); err != nil {
			t.Fatal(err)
		}
		if disabled {
			f("disabled", "of-romeo", "item-not-found")
			f("of an operator", "plain", "result")
			f("disabled", "of-romeo", "item-not-found")
			if got := c.register(registerQuery("bill", "secret")); got != "not-allowed" {
				t.Errorf("registered: %s", got)
			}
		}
	}
	f("enabled again", "of-romeo", "result")
}

// TestInvitedContacts: an inviter whose roster is full gets no contact, and one whose roster
// changes meanwhile in another process does; the name and the groups that it has given stay.
func TestInvitedContacts(t *testing.T) {
	var faults faultstore.Faults
	ts := newTestServerWith(t, xmpptest.Config{Store: faults.Options(), Router: router.Config{MaxRoster: 2}, XEP: xep.Config{Invitations: xep.InviteOperators}})
	romeo := ts.login(t, "romeo")
	roster := func() string {
		return romeo.ask("<iq type='get' id='ro'><query xmlns='jabber:iq:roster'/></iq>", "</iq>")
	}
	roster()
	// A name that does not exist yet.
	romeo.iq("set", "<query xmlns='jabber:iq:roster'><item jid='bill@localhost' name='B'><group>g</group></item></query>")
	other, err := ts.Location.Open(t.Context(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	owner := jid.MustParse("romeo@localhost")
	faults.SetFault(func(op string) error {
		if op != "RegisterInvited" || faults.Calls(op) > 1 {
			return nil
		}
		r, err := other.Roster(t.Context(), owner)
		if err == nil {
			_, err = other.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: owner, Expect: r.Version, Put: &store.RosterItem{JID: jid.MustParse("juliet@localhost")}}})
		}
		return err
	})
	c, _ := ts.connect(t)
	if got := c.show("of-romeo") + " " + c.register(registerQuery("bill", "secret")); got != "result result" {
		t.Fatalf("registered: %s", got)
	}
	faults.SetFault(nil)
	want := "<item jid='bill@localhost' name='B' subscription='both'><group>g</group></item>"
	if push := romeo.ask("", "</query></iq>"); !strings.Contains(push, want) {
		t.Errorf("push %s", push)
	}
	if got := roster(); !strings.Contains(got, want) || !strings.Contains(got, "juliet") {
		t.Errorf("roster %s", got)
	}

	now := time.Now()
	second := store.Invitation{ID: store.InvitationID("second"), Domain: "localhost", Inviter: owner.String(), Contact: true, Uses: 1, Created: now, Until: now.Add(time.Hour)}
	if err := ts.Store.CreateInvitation(t.Context(), second, 10); err != nil {
		t.Fatal(err)
	}
	if got := c.show("second") + " " + c.register(registerQuery("bob", "secret")); got != "result result" {
		t.Errorf("registered beyond the limit: %s", got)
	}
	if got := roster(); strings.Contains(got, "bob") {
		t.Errorf("a full roster has grown: %s", got)
	}
	if n := ts.Router.Stats().Invited; n != 2 {
		t.Errorf("%d accounts were counted", n)
	}
}
