package xep_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"roost/store"
	"roost/xep"
)

// fieldOf returns the value of a field of a form in XML, "" without one.
func fieldOf(form, name string) string {
	m := regexp.MustCompile(`var='` + name + `'[^>]*><value>([^<]*)</value>`).FindStringSubmatch(form)
	if m == nil {
		return ""
	}
	return m[1]
}

func (c *testClient) command(node, attrs, payload string) string {
	c.t.Helper()
	return c.ask("<iq type='set' id='cmd' to='localhost'><command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#"+node+"' "+attrs+">"+payload+"</command></iq>", "</iq>")
}

// TestInvite: a user's invitation has the URI, the page and the time that XEP-0401 describes,
// and a friend registers with its token.
func TestInvite(t *testing.T) {
	ts := newTestServer(t, xep.Config{
		Invitations: xep.InviteUsers, InvitationLife: time.Hour,
		LandingPage: func(domain, token string) string { return "https://" + domain + "/invite/" + token },
	})
	romeo := ts.login(t, "romeo")
	before := time.Now()
	got := romeo.command("invite", "", "")
	uri, until := fieldOf(got, "uri"), fieldOf(got, "expire")
	m := regexp.MustCompile(`^xmpp:romeo@localhost\?roster;preauth=([a-z0-9]+);ibr=y$`).FindStringSubmatch(uri)
	if m == nil {
		t.Fatalf("URI %q", uri)
	}
	if page := fieldOf(got, "landing-url"); page != "https://localhost/invite/"+m[1] {
		t.Errorf("page %q", page)
	}
	end, err := time.Parse(time.RFC3339, until)
	if err != nil || !strings.HasSuffix(until, "Z") || end.Before(before.Add(time.Hour-time.Second)) || end.After(time.Now().Add(time.Hour)) {
		t.Errorf("it ends %s", until)
	}
	i, err := ts.Store.Invitation(t.Context(), store.InvitationID(m[1]))
	if err != nil || !i.Until.Equal(end) || i.Inviter != "romeo@localhost" || i.Uses != 1 || !i.Contact {
		t.Errorf("stored: %+v, %v", i, err)
	}
	c, _ := ts.connect(t)
	if got := c.show(m[1]) + " " + c.register(registerQuery("friend", "secret")); got != "result result" {
		t.Errorf("registered: %s", got)
	}
}

// TestInviteAccount: the URIs of accounts with and without a name, and what the form leaves out.
func TestInviteAccount(t *testing.T) {
	ts := newTestServer(t, xep.Config{Invitations: xep.InviteUsers})
	romeo := ts.login(t, "romeo")
	f := func(fields, want, username string, contact bool) {
		t.Helper()
		id := regexp.MustCompile(`sessionid='([^']+)'`).FindStringSubmatch(romeo.command("create-account", "", ""))[1]
		got := romeo.command("create-account", "sessionid='"+id+"'", "<x xmlns='jabber:x:data' type='submit'>"+fields+"</x>")
		uri := fieldOf(got, "uri")
		start, token, found := strings.Cut(uri, "preauth=")
		i, err := ts.Store.Invitation(t.Context(), store.InvitationID(token))
		if !found || start != want || err != nil || i.Localpart != username || i.Contact != contact || fieldOf(got, "landing-url") != "" {
			t.Errorf("%s: %+v, %v: %s", uri, i, err, got)
		}
	}
	f("", "xmpp:localhost?register;", "", true)
	f("<field var='username'><value/></field><field var='roster-subscription'><value>false</value></field>", "xmpp:localhost?register;", "", false)
	f("<field var='username'><value>Bill</value></field><field var='roster-subscription'><value>true</value></field>", "xmpp:bill@localhost?register;", "bill", true)
}

// TestCommandSessions: a client has at most four forms open, and for a limited time.
func TestCommandSessions(t *testing.T) {
	ts := newTestServer(t, xep.Config{Invitations: xep.InviteUsers})
	romeo := ts.login(t, "romeo")
	var ids []string
	for range 5 {
		ids = append(ids, regexp.MustCompile(`sessionid='([^']+)'`).FindStringSubmatch(romeo.command("create-account", "", ""))[1])
	}
	cancel := func(id string) string {
		return romeo.command("create-account", "sessionid='"+id+"' action='cancel'", "")
	}
	if got := cancel(ids[0]); !strings.Contains(got, "<bad-sessionid") {
		t.Errorf("the fifth last: %s", got)
	}
	for _, id := range ids[1:4] {
		if got := cancel(id); !strings.Contains(got, "status='canceled'") {
			t.Errorf("another: %s", got)
		}
	}
	xep.SetMaxCommandTime(t, 0)
	if got := romeo.command("create-account", "sessionid='"+ids[4]+"'", ""); condition(got) != "not-allowed" || !strings.Contains(got, "<session-expired") {
		t.Errorf("too late: %s", got)
	}
	if got := cancel(ids[4]); !strings.Contains(got, "<bad-sessionid") {
		t.Errorf("after that: %s", got)
	}
}
