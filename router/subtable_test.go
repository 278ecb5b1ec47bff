package router_test

import (
	"fmt"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
)

// subStates are the nine states of RFC 6121 appendix A.1
// (https://www.rfc-editor.org/rfc/rfc6121#appendix-A.1) from both sides: what the store has
// for the user, and for the contact ("theirs").
var subStates = []struct {
	name         string
	mine, theirs side
}{
	{"None", side{}, side{}},
	{"None + Pending Out", side{ask: true}, side{in: true}},
	{"None + Pending In", side{in: true}, side{ask: true}},
	{"None + Pending Out+In", side{ask: true, in: true}, side{ask: true, in: true}},
	{"To", side{sub: store.To}, side{sub: store.From}},
	{"To + Pending In", side{sub: store.To, in: true}, side{sub: store.From, ask: true}},
	{"From", side{sub: store.From}, side{sub: store.To}},
	{"From + Pending Out", side{sub: store.From, ask: true}, side{sub: store.To, in: true}},
	{"Both", side{sub: store.Both}, side{sub: store.Both}},
}

// side is one account's side of a subscription: its state, Pending Out, Pending In.
type side struct {
	sub     store.Subscription
	ask, in bool
}

func (s side) String() string {
	text := s.sub.String()
	if s.ask {
		text += " ask"
	}
	if s.in {
		text += " in"
	}
	return text
}

// The tables of appendix A.2 and A.3 in the order of subStates: the resulting state of the
// user's and of the contact's side when the user's client sends the stanza, and whether the
// contact's clients get it ('!').
var subTable = map[string][9]string{
	"subscribe": {
		"none ask/none in!", "none ask/none in", "none ask in/none ask in!", "none ask in/none ask in",
		"to/from", "to in/from ask", "from ask/to in!", "from ask/to in", "both/both"},
	"unsubscribe": {
		"none/none", "none/none!", "none in/none ask", "none in/none ask!",
		"none/none!", "none in/none ask!", "from/to", "from/to!", "from/to!"},
	"subscribed": { // without a request it is a pre-approval (section 3.4), which is not in the table
		"none/none", "none ask/none in", "from/to!", "from ask/to in!",
		"to/from", "both/both!", "from/to", "from ask/to in", "both/both"},
	"unsubscribed": {
		"none/none", "none ask/none in", "none/none!", "none ask/none in!",
		"to/from", "to/from!", "none/none!", "none ask/none in!", "to/from!"},
}

// TestSubscriptionTables tests all states and events with two clients: what each of them
// receives, what is stored on both sides afterwards, and that presence is sent exactly
// while there is a subscription.
func TestSubscriptionTables(t *testing.T) {
	for event, rows := range subTable {
		for i, state := range subStates {
			t.Run(event+" in "+state.name, func(t *testing.T) {
				after, deliver := strings.CutSuffix(rows[i], "!")
				mine, theirs, _ := strings.Cut(after, "/")
				subStep(t, event, state.mine, state.theirs, mine, theirs, deliver)
			})
		}
	}
}

func subStep(t *testing.T, event string, mine, theirs side, wantMine, wantTheirs string, deliver bool) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	mine.put(t, s, "romeo@localhost", "juliet@localhost")
	theirs.put(t, s, "juliet@localhost", "romeo@localhost")
	romeo, juliet := comeOnline(t, s, "romeo"), comeOnline(t, s, "juliet")
	romeo.sync()
	juliet.sync()
	romeo.got, romeo.used, juliet.got, juliet.used = "", 0, "", 0
	romeo.write("<presence type='" + event + "' to='juliet@localhost/x' id='e'/>")
	romeo.sync()
	juliet.sync()
	if got := stored(t, s, "romeo@localhost", "juliet@localhost"); got != wantMine {
		t.Errorf("the user's side is %q, want %q", got, wantMine)
	}
	if got := stored(t, s, "juliet@localhost", "romeo@localhost"); got != wantTheirs {
		t.Errorf("the contact's side is %q, want %q", got, wantTheirs)
	}
	stanza := "<presence from='romeo@localhost' to='juliet@localhost' type='" + event + "' id='e'/>"
	if got := strings.Count(juliet.got, " type='"+event+"'"); got > 1 || (got == 1) != deliver || deliver && !strings.Contains(juliet.got, stanza) {
		t.Errorf("the contact got %q, want delivered: %v", juliet.got, deliver)
	}
	// Each side gets exactly one push if the change is visible in its roster.
	checkPush(t, "user", romeo.got, mine.String(), wantMine, event == "subscribed" && !mine.in && !mine.sub.HasFrom())
	checkPush(t, "contact", juliet.got, theirs.String(), wantTheirs, false)
	// A subscription that begins brings available presence. One that ends brings
	// unavailable presence, which comes before 'unsubscribed' if the owner of the presence
	// cancelled it.
	checkPresence(t, "user", romeo.got, "juliet", mine.sub.HasTo(), strings.HasPrefix(wantMine, "to") || strings.HasPrefix(wantMine, "both"))
	checkPresence(t, "contact", juliet.got, "romeo", theirs.sub.HasTo(), strings.HasPrefix(wantTheirs, "to") || strings.HasPrefix(wantTheirs, "both"))
	if at := strings.Index(juliet.got, " type='unsubscribed'"); at >= 0 && strings.Index(juliet.got, " type='unavailable'") > at {
		t.Errorf("unavailable after unsubscribed: %q", juliet.got)
	}
	if at := strings.Index(juliet.got, stanza); at >= 0 && event != "subscribe" {
		if push := strings.Index(juliet.got, "<query"); push >= 0 && push < at {
			t.Errorf("the push before the stanza: %q", juliet.got)
		}
	}
}

// checkPush checks the push of a state change: clients see only subscription and ask.
func checkPush(t *testing.T, who, got, before, after string, preApproved bool) {
	t.Helper()
	seen := func(s string) string { return strings.TrimSuffix(s, " in") }
	want := 0
	if seen(before) != seen(after) || preApproved {
		want = 1
	}
	if n := strings.Count(got, "<query xmlns='jabber:iq:roster'"); n != want {
		t.Errorf("the %s got %d pushes, want %d: %q", who, n, want, got)
		return
	}
	sub, ask := strings.Fields(after)[0], strings.Contains(after, " ask")
	if want == 1 && (!strings.Contains(got, "subscription='"+sub+"'") || strings.Contains(got, "ask='subscribe'") != ask) {
		t.Errorf("the %s got %q, want %s", who, got, after)
	}
}

func checkPresence(t *testing.T, who, got, of string, before, after bool) {
	t.Helper()
	f := func(kind string, want bool) {
		t.Helper()
		if n := strings.Count(got, "<presence"+kind+" from='"+of+"@localhost/r'"); n > 1 || (n == 1) != want {
			t.Errorf("the %s got %d of <presence%s>, want one: %v; %q", who, n, kind, want, got)
		}
	}
	f("", !before && after)
	f(" type='unavailable'", before && !after)
}

// put stores one side.
func (x side) put(t *testing.T, s *xmpptest.Server, owner, contact string) {
	t.Helper()
	o, c := jid.MustParse(owner), jid.MustParse(contact)
	ro, err := s.Store.Roster(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	u := store.RosterUpdate{Owner: o, Expect: ro.Version}
	if x.sub != store.None || x.ask {
		u.Put = &store.RosterItem{JID: c, Subscription: x.sub, Ask: x.ask}
	}
	if x.in {
		u.AddRequest = &store.Request{From: c, Stanza: fmt.Appendf(nil, "<presence from='%s' to='%s' type='subscribe'/>", contact, owner)}
	}
	if u.Put == nil && u.AddRequest == nil {
		return
	}
	if _, err := s.Store.ApplyRoster(t.Context(), []store.RosterUpdate{u}); err != nil {
		t.Fatal(err)
	}
}

// stored returns one side as it is in the store.
func stored(t *testing.T, s *xmpptest.Server, owner, contact string) string {
	t.Helper()
	ro, err := s.Store.Roster(t.Context(), jid.MustParse(owner))
	if err != nil {
		t.Fatal(err)
	}
	var x side
	for _, it := range ro.Items {
		if it.JID.String() == contact {
			x.sub, x.ask = it.Subscription, it.Ask
		}
	}
	for _, r := range ro.Requests {
		x.in = x.in || r == contact
	}
	return x.String()
}

// comeOnline logs in, requests the roster and sends initial presence.
func comeOnline(t *testing.T, s *xmpptest.Server, user string) *rawClient {
	c := loginRaw(t, s, user, plainHeader)
	c.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "id='roster'")
	c.say("<presence/>", "<presence")
	return c
}

// sync waits until everything that the client has sent was processed, and what that caused
// for the client itself was received.
func (c *rawClient) sync() {
	c.t.Helper()
	c.say("<iq type='get' id='sync' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='sync'")
	c.await(">")
}
