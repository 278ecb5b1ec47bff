package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/xmpptest"
	"roost/session"
)

// announce starts an announcement.
func announce(ctx context.Context, c *api.Client, q api.AnnounceRequest) (a api.Announce, err error) {
	return a, c.Do(ctx, http.MethodPost, api.PathAnnounce, nil, q, &a)
}

// ended waits until the announcement is no longer being sent.
func ended(t *testing.T, c *api.Client) (a api.Announce) {
	t.Helper()
	xmpptest.Eventually(t, "the announcement has ended", func() bool {
		if err := c.Get(t.Context(), api.PathAnnounce, nil, &a); err != nil {
			t.Fatal(err)
		}
		return a.State != api.JobRunning
	})
	return a
}

// TestAnnounce: every client with presence gets the message once, from its domain; others
// get nothing.
func TestAnnounce(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Domains = []string{"localhost", "example.net"}; c.Session.MaxResources = 50 })
	if err := xmpptest.AddAccounts(t.Context(), s.store, "example.net"); err != nil {
		t.Fatal(err)
	}
	var clients []*peer
	for i := range 30 {
		user := []string{"romeo", "juliet"}[i%2]
		p := connect(t, s).login(user, fmt.Sprint("r", i))
		p.ask("<presence><priority>-1</priority></presence>", fmt.Sprintf("<presence from='%s@localhost/r%d'", user, i))
		clients = append(clients, p)
	}
	silent := connect(t, s).login("nurse", "without-presence")
	c := adminOf(t, s)
	if err := c.Get(t.Context(), api.PathAnnounce, nil, nil); err == nil || !strings.Contains(err.Error(), "no announcement since") {
		t.Errorf("before the first: %v", err)
	}
	a, err := announce(t.Context(), c, api.AnnounceRequest{Text: "Tea & <cake>\nat 5.", Subject: "It's time"})
	if err != nil || a.Clients != 30 || a.Rate != 2000 || a.Actor == "" {
		t.Errorf("%+v %v", a, err)
	}
	if a = ended(t, c); a.State != api.JobDone || a.Sent != 30 || a.Skipped != 0 || a.EndedAt == nil || a.Text != "Tea & <cake>\nat 5." {
		t.Errorf("%+v", a)
	}
	ping := "<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	for i, p := range clients {
		to := fmt.Sprintf("%s@localhost/r%d", []string{"romeo", "juliet"}[i%2], i)
		got := p.ask(ping, "id='last'")
		want := "<message type='headline' from='localhost' to='" + to + "'><subject>It&apos;s time</subject><body>Tea &amp; &lt;cake&gt;&#10;at 5.</body></message>"
		if strings.Count(got, "<message") != 1 || !strings.Contains(got, want) {
			t.Errorf("%s, want once %s", got, want)
		}
	}
	if got := silent.ask(ping, "id='last'"); strings.Contains(got, "<message") {
		t.Errorf("a client without presence got %s", got)
	}
	if a, err = announce(t.Context(), c, api.AnnounceRequest{Text: "x", Domain: "EXAMPLE.net"}); err != nil || a.Domain != "example.net" {
		t.Errorf("%+v %v", a, err)
	}
	if a = ended(t, c); a.Sent != 0 || a.Clients != 0 {
		t.Errorf("for a domain without clients: %+v", a)
	}
	if err := c.Do(t.Context(), http.MethodDelete, api.PathAnnounce, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "no announcement is being sent") {
		t.Errorf("an abort without an announcement: %v", err)
	}
}

// TestAnnounceAbort: there is one announcement at a time; an abort, and the server's end,
// end it.
func TestAnnounceAbort(t *testing.T) {
	s := startServer(t, nil)
	connect(t, s).login("romeo", "r").available()
	c := adminOf(t, s)
	slow := api.AnnounceRequest{Text: "x", Rate: 0.001} // the first client has to wait for a quarter of an hour
	if _, err := announce(t.Context(), c, slow); err != nil {
		t.Fatal(err)
	}
	if _, err := announce(t.Context(), c, slow); err == nil || !strings.Contains(err.Error(), "another announcement is being sent") {
		t.Errorf("a second one at the same time: %v", err)
	}
	var a api.Announce
	if err := c.Do(t.Context(), http.MethodDelete, api.PathAnnounce, nil, nil, &a); err != nil || a.State != api.JobAborted || a.Sent != 0 || a.Clients != 1 {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := announce(t.Context(), c, slow); err != nil {
		t.Errorf("after the abort: %v", err)
	}
	// And the server stops while it runs: see startServer.
}

// TestAnnounceFull: a client that does not read is passed over, and not disconnected.
func TestAnnounceFull(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Session.Limits.MaxStanza, c.Poller.Outbox = 10000, 10000 })
	connect(t, s).login("romeo", "full").available()
	juliet := connect(t, s).login("juliet", "r").available()
	full := s.sessions.Find("romeo@localhost", "full")
	filled := make(chan struct{})
	s.sessions.RunOnLoop(full, func(*session.Turn) {
		// Neither the socket nor the outbox takes more.
		space := []byte(strings.Repeat(" ", 10000))
		for {
			if full.Conn().Queue(space) != nil && full.Conn().Flush() && full.Conn().Queue(space) != nil {
				break
			}
		}
		for full.Conn().Queue([]byte(" ")) == nil {
		}
		close(filled)
	})
	<-filled
	c := adminOf(t, s)
	if _, err := announce(t.Context(), c, api.AnnounceRequest{Text: "x"}); err != nil {
		t.Fatal(err)
	}
	if a := ended(t, c); a.Sent != 1 || a.Skipped != 1 {
		t.Errorf("%+v", a)
	}
	juliet.ask("", "<body>x</body>")
	if s.sessions.Find("romeo@localhost", "full") == nil || len(full.Conditions()) != 0 {
		t.Errorf("the client that does not read is being disconnected: %q", full.Conditions())
	}
}

// TestAnnounceWrong: what is wrong with a request is told, and who may only read cannot
// send.
func TestAnnounceWrong(t *testing.T) {
	_, c, reader := startWithReader(t, nil)
	for want, q := range map[string]api.AnnounceRequest{
		"there is no text":                      {},
		"text must be at most 4000 characters":  {Text: strings.Repeat("x", 4001)},
		"without control characters":            {Text: "a\x00"},
		"subject must be at most 200 printable": {Text: "x", Subject: "a\nb"},
		"is not a domain of this server":        {Text: "x", Domain: "example.com"},
		"rate must be 0.001 to 1000000":         {Text: "x", Rate: -1},
		"1000000 clients a second":              {Text: "x", Rate: 2e6},
	} {
		if _, err := announce(t.Context(), c, q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", q, err, want)
		}
	}
	if _, err := announce(t.Context(), reader, api.AnnounceRequest{Text: "x"}); err == nil || !strings.Contains(err.Error(), "needs write") {
		t.Errorf("a token to read: %v", err)
	}
	if err := reader.Do(t.Context(), http.MethodDelete, api.PathAnnounce, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "needs write") {
		t.Errorf("a token to read: %v", err)
	}
	if err := reader.Get(t.Context(), api.PathAnnounce, nil, nil); err == nil || !strings.Contains(err.Error(), "no announcement since") {
		t.Errorf("a token to read: %v", err)
	}
}
