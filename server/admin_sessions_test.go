package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/xmpptest"
	"roost/poller"
	"roost/session"
)

// sessionPath is the path of one session.
func sessionPath(full string) string {
	return strings.Replace(api.PathSession, "{jid}", url.PathEscape(full), 1)
}

// jids requests a page and returns the full JIDs on it.
func jids(t testing.TB, c *api.Client, query string) (all []string, page api.SessionPage) {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), api.PathSessions, values, &page); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	for _, s := range page.Sessions {
		all = append(all, s.JID)
	}
	return all, page
}

// directTLS connects with TLS of one version.
func directTLS(t *testing.T, s *Server, version uint16) *peer {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addrs()[1].Addr.String(), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MinVersion: version, MaxVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn}
}

// TestAdminSessions: the list with each filter, and one session.
func TestAdminSessions(t *testing.T) {
	s := startServer(t, func(c *Config) { c.C2STLS = "127.0.0.1:0" })
	connect(t, s).login("romeo", "b").available()
	connect(t, s).login("romeo", "a/ü b")
	directTLS(t, s, tls.VersionTLS12).login("juliet", "12")
	directTLS(t, s, tls.VersionTLS13).login("juliet", "13")
	connect(t, s).authenticate("nurse") // not connected: no resource
	c := adminOf(t, s)

	all := []string{"juliet@localhost/12", "juliet@localhost/13", "romeo@localhost/a/ü b", "romeo@localhost/b"}
	for query, want := range map[string][]string{
		"":                                  all,
		"domain=localhost":                  all,
		"domain=example.net":                nil,
		"account=romeo@localhost":           all[2:],
		"account=ROMEO@localhost":           all[2:],
		"account=nurse@localhost":           nil,
		"network=127.0.0.0/8":               all,
		"network=127.0.0.1":                 all,
		"network=127.0.0.2":                 nil,
		"network=::/0":                      nil,
		"tls=none":                          all[2:],
		"tls=tls12":                         all[:1],
		"tls=lean":                          all[1:2],
		"tls=std":                           nil,
		"min_idle=3600":                     nil,
		"account=juliet@localhost&tls=lean": all[1:2],
	} {
		got, page := jids(t, c, query)
		if !slices.Equal(got, want) || page.Matching != int64(len(want)) || page.Cursor != "" {
			t.Errorf("%s: %q, %d matching, cursor %q; want %q", query, got, page.Matching, page.Cursor, want)
		}
	}

	var d api.SessionDetail
	if err := c.Get(t.Context(), sessionPath("romeo@localhost/b"), nil, &d); err != nil {
		t.Fatal(err)
	}
	if !d.Available || !d.Interested || d.PresenceBytes == 0 || d.TLS != api.TLSNone || !strings.HasPrefix(d.Address, "127.0.0.1:") || d.LastInput.IsZero() || len(d.Conditions) != 0 || d.DirectedPresence != 0 {
		t.Errorf("%+v", d)
	}
	if err := c.Get(t.Context(), sessionPath("romeo@localhost/a/ü b"), nil, &d); err != nil || d.JID != all[2] || d.Available || d.Interested || d.PresenceBytes != 0 {
		t.Errorf("%+v %v", d, err)
	}
}

// TestAdminStdTLS: connections that stay with crypto/tls are told from others.
func TestAdminStdTLS(t *testing.T) {
	s := startServer(t, func(c *Config) { c.C2STLS, c.Poller.StdTLS = "127.0.0.1:0", true })
	directTLS(t, s, tls.VersionTLS13).login("juliet", "13")
	if got, _ := jids(t, adminOf(t, s), "tls=std"); !slices.Equal(got, []string{"juliet@localhost/13"}) {
		t.Errorf("%q", got)
	}
}

// TestAdminPages: pages of any size are the whole list, in order, each session once, also
// while sessions come and go that are not on it.
func TestAdminPages(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Session.MaxResources = 100 })
	var want []string
	for i := range 25 {
		connect(t, s).login([]string{"romeo", "juliet"}[i%2], fmt.Sprint("r", i))
		want = append(want, fmt.Sprintf("%s@localhost/r%d", []string{"romeo", "juliet"}[i%2], i))
	}
	slices.Sort(want)
	c := adminOf(t, s)
	for _, sort := range []string{"jid", "idle", "queued"} {
		for _, limit := range []int{1, 7, 24, 25, 1000} {
			var got []string
			cursor := ""
			for pages := 0; ; pages++ {
				if pages > 25 {
					t.Fatalf("sort %s, limit %d: there is no end", sort, limit)
				}
				query := fmt.Sprintf("sort=%s&limit=%d", sort, limit)
				if cursor != "" {
					query += "&cursor=" + cursor
				}
				some, page := jids(t, c, query)
				if len(some) > limit || page.Matching != 25 {
					t.Errorf("%d sessions on a page of %d, %d matching", len(some), limit, page.Matching)
				}
				got = append(got, some...)
				if cursor = page.Cursor; cursor == "" {
					break
				}
			}
			if sort == "jid" && !slices.IsSorted(got) {
				t.Errorf("limit %d: not sorted: %q", limit, got)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("sort %s, limit %d: %q, want %q", sort, limit, got, want)
			}
		}
	}
}

// TestAdminQueued: the session with the most bytes that its client has not read is the
// first one.
func TestAdminQueued(t *testing.T) {
	s := startServer(t, nil)
	connect(t, s).login("juliet", "idle")
	connect(t, s).login("romeo", "slow")
	turn := make(chan struct{})
	slow := s.sessions.Find("romeo@localhost", "slow")
	s.sessions.RunOnLoop(slow, func(*session.Turn) {
		// It is queued, and not flushed before the list has been made.
		_ = slow.Conn().Queue([]byte("     "))
		close(turn)
	})
	<-turn
	got, page := jids(t, adminOf(t, s), "sort=queued")
	if !slices.Equal(got, []string{"romeo@localhost/slow", "juliet@localhost/idle"}) || page.Sessions[0].QueuedBytes != 5 || page.Sessions[1].QueuedBytes != 0 {
		t.Errorf("%+v", page)
	}
}

// TestAdminEndSession: the client gets the stream error with its text; others, and who may
// only read, are left alone.
func TestAdminEndSession(t *testing.T) {
	file := filepath.Join(t.TempDir(), admin.TokensName)
	tokens := make(map[admin.Scope]string)
	for _, scope := range []admin.Scope{admin.ScopeRead, admin.ScopeWrite} {
		var err error
		if tokens[scope], err = admin.AddToken(file, string(scope), scope); err != nil {
			t.Fatal(err)
		}
	}
	s := startServer(t, func(c *Config) { c.Admin.Addr, c.Admin.Tokens = "127.0.0.1:0", file })
	client := func(token string) *api.Client {
		c, err := api.Remote("http://"+s.admin.Addr().String(), token, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	romeo, other := connect(t, s).login("romeo", "phone"), connect(t, s).login("romeo", "other")
	end := func(c *api.Client, full, query string) (e api.SessionEnd, err error) {
		values, _ := url.ParseQuery(query)
		return e, c.Do(t.Context(), "DELETE", sessionPath(full), values, nil, &e)
	}
	const full = "romeo@localhost/phone"
	for token, want := range map[string]string{"": "no token", "roost_x": "unknown token", tokens[admin.ScopeRead]: "needs write"} {
		if _, err := end(client(token), full, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	c := client(tokens[admin.ScopeWrite])
	for _, wrong := range [][2]string{
		{"romeo@localhost/none", ""}, {"romeo@localhost", ""}, {"localhost", ""}, {"@", ""},
		{full, "txt=1"}, {full, "text=" + strings.Repeat("x", 201)}, {full, "text=%0a"}, {full, "text=%ff"},
	} {
		if _, err := end(c, wrong[0], wrong[1]); err == nil {
			t.Errorf("%q is not refused", wrong)
		}
	}
	romeo.ask("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'") // still there
	if e, err := end(c, full, "text="+url.QueryEscape("Go <home> & sleep.")); err != nil || e.JID != full || e.Condition != "policy-violation" || e.Text != "Go <home> & sleep." {
		t.Errorf("%+v %v", e, err)
	}
	romeo.ask("", "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"+
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>Go &lt;home&gt; &amp; sleep.</text></stream:error></stream:stream>")
	if got, _ := jids(t, c, ""); !slices.Equal(got, []string{"romeo@localhost/other"}) {
		t.Errorf("%q are left", got)
	}
	if _, err := end(c, full, ""); err == nil {
		t.Error("it was ended twice")
	}
	other.ask("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
	if _, err := end(adminOf(t, s), "romeo@localhost/other", ""); err != nil {
		t.Errorf("on the Unix socket: %v", err)
	}
	other.ask("", "The administrator of this server has ended the session.")
}

// TestAdminWrongQueries: each parameter is checked.
func TestAdminWrongQueries(t *testing.T) {
	c := adminOf(t, startServer(t, func(c *Config) { c.Poller = poller.Config{Loops: 1} }))
	for query, want := range map[string]string{
		"limit=0": "limit must be 1 to 1000", "limit=1001": "limit must be", "limit=x": "limit must be",
		"sort=name": "sort must be jid, idle or queued", "tls=yes": "tls must be none",
		"min_idle=-1": "min_idle must be above 0", "min_idle=Inf": "min_idle must be",
		"network=here": "not a network", "network=10.0.0.0/33": "not a network", "network=::ffff:10.0.0.0/104": "not a network", "network=fe80::1%25eth0": "not a network",
		"account=localhost": "not the address of an account", "account=romeo@localhost/x": "not the address of an account", "domain=a%20b": "not a domain",
		"cursor=x": "not a cursor", "cursor=bnVsbA": "not a cursor", "cursor=eyJzIjoiaWRsZSJ9": "not a cursor", // null, and of a list by idle time
		"user=romeo": `no parameter "user"`,
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), api.PathSessions, values, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
}

// TestAdminIdle: idle time is that since the client was last heard of.
func TestAdminIdle(t *testing.T) {
	s := startServer(t, nil)
	connect(t, s).login("romeo", "r")
	juliet := connect(t, s).login("juliet", "r")
	c := adminOf(t, s)
	// Both become idle; then juliet says something, until the clock of her loop has noticed.
	both := []string{"juliet@localhost/r", "romeo@localhost/r"}
	ctx, cancel := context.WithTimeout(t.Context(), xmpptest.WaitLimit)
	defer cancel()
	for got := []string(nil); !slices.Equal(got, both); {
		if got, _ = jids(t, c, "min_idle=1"); ctx.Err() != nil {
			t.Fatalf("%q are idle, want both", got)
		}
	}
	for got := []string(nil); !slices.Equal(got, []string{"romeo@localhost/r", "juliet@localhost/r"}); {
		juliet.ask("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
		if got, _ = jids(t, c, "sort=idle"); ctx.Err() != nil {
			t.Fatalf("%q, want romeo, who is idle longer, first", got)
		}
	}
}
