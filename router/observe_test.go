package router_test

import (
	"slices"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

// TestRecipientOnce: the state of each resource is read once while a message is delivered:
// although all of them get a negative priority when the first one was reached, Recipient is
// called once for each, and those that took the message are those that got it.
func TestRecipientOnce(t *testing.T) {
	var c calls
	var cfg xmpptest.Config
	var s *xmpptest.Server
	cfg.Router.Extensions = []router.Extension{{
		Name: "observer", Title: "test",
		Bound: func(_ *session.Turn, s *session.Session, _ router.Known) { router.Observe(s) },
		Recipient: func(_ *session.Turn, _ router.Sender, to *session.Session, _ *stanza.Stanza, took bool) {
			c.add("%s-%v", to.Resource(), took)
			for x := range s.Router.Recipients(to.BareJID(), router.Available) {
				x.SetPresence(s.Sessions.SharePresence([]byte("<presence/>")), -1)
			}
		},
	}}
	s = xmpptest.NewServer(t, cfg)
	all := make(map[string]*rawClient)
	for _, resource := range []string{"a", "b", "c"} {
		all[resource] = loginAs(t, s, "juliet", resource, plainHeader)
		all[resource].say("<presence/>", "from='juliet@localhost/"+resource+"'")
	}
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.write("<message to='juliet@localhost' id='m1'><body>b</body></message>")
	romeo.sync()
	got := strings.Fields(c.take())
	slices.Sort(got)
	var want []string
	took := 0
	for _, resource := range []string{"a", "b", "c"} {
		x := all[resource]
		x.sync()
		if strings.Contains(x.got, "id='m1'") {
			want = append(want, resource+"-true")
			took++
		} else {
			want = append(want, resource+"-false")
		}
	}
	if !slices.Equal(got, want) || took != 3 { // they are chosen before the first is called
		t.Errorf("Recipient was called for %q; want %q", got, want)
	}
	romeo.write("<message to='juliet@localhost/b' id='m2'><body>b</body></message>")
	romeo.sync()
	got = strings.Fields(c.take())
	slices.Sort(got)
	if want := []string{"a-false", "b-true", "c-false"}; !slices.Equal(got, want) {
		t.Errorf("for a full JID, Recipient was called for %q; want %q", got, want)
	}
}

// TestObservedOnly: Sent and Refused are called for messages of observed resources only, in
// every way in which a message is sent or refused, and for nothing else.
func TestObservedOnly(t *testing.T) {
	var c calls
	var cfg xmpptest.Config
	cfg.Router.MaxOffline = -1
	cfg.Router.Extensions = []router.Extension{{
		Name: "observer", Title: "test",
		Bound: func(_ *session.Turn, s *session.Session, _ router.Known) {
			if s.Resource() == "seen" {
				router.Observe(s)
			}
		},
		Sent: func(_ *session.Turn, from router.Sender, st *stanza.Stanza) {
			c.add("sent-%s-%s", from.JID().Resource(), st.ID)
		},
		Refused: func(_ *session.Turn, from router.Sender, st *stanza.Stanza, e *stanza.ErrorReply) {
			c.add("refused-%s-%s-%s", from.JID().Resource(), st.ID, e.Condition)
		},
	}}
	s := xmpptest.NewServer(t, cfg)
	juliet := loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<presence/>", "from='juliet@localhost/r'")
	f := func(resource, want string) {
		t.Helper()
		x := loginAs(t, s, "romeo", resource, plainHeader)
		for _, text := range []string{
			"<message to='juliet@localhost' id='bare'/>", "<message to='juliet@localhost/r' id='full'/>",
			"<message to='juliet@localhost/gone' id='gone'/>", "<message to='nurse@localhost' id='offline'><body>b</body></message>",
			"<message to='nurse@nowhere.example' id='remote'/>", "<message to='localhost' id='server'/>",
			"<iq to='juliet@localhost/gone' id='iq' type='get'><x xmlns='urn:x'/></iq>", "<presence to='juliet@localhost' type='x'/>",
		} {
			x.write(text)
			x.sync()
		}
		if got := c.take(); got != want {
			t.Errorf("%s: the calls are %q, want %q", resource, got, want)
		}
	}
	f("other", "")
	f("seen", "sent-seen-bare sent-seen-full sent-seen-gone refused-seen-gone-service-unavailable "+
		"sent-seen-offline refused-seen-offline-service-unavailable sent-seen-remote refused-seen-remote-remote-server-not-found "+
		"sent-seen-server refused-seen-server-service-unavailable")
}
