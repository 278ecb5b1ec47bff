package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/events"
	"roost/internal/loglevel"
	"roost/internal/logring"
	"roost/internal/xmpptest"
	"roost/store"
)

// following receives events of a server.
type following struct {
	t     *testing.T
	lines chan json.RawMessage
	all   strings.Builder
	doc   *openAPIDocument
}

// follow follows events until the test ends.
func follow(t *testing.T, s *Server, c *api.Client, q url.Values) *following {
	t.Helper()
	var doc json.RawMessage
	if err := c.Get(t.Context(), api.PathOpenAPI, nil, &doc); err != nil {
		t.Fatal(err)
	}
	f := &following{t: t, lines: make(chan json.RawMessage, 1000), doc: readOpenAPI(t, doc)}
	go func() {
		defer close(f.lines)
		for line, err := range api.Stream[json.RawMessage](t.Context(), c, "GET", api.PathEvents, q, nil) {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				return
			}
			f.lines <- line
		}
	}()
	xmpptest.Eventually(t, "nobody follows events", func() bool { return s.sessions.Events().Wants(events.All) })
	return f
}

// next waits for an event and returns its text.
func (f *following) next() string {
	f.t.Helper()
	line, ok := <-f.lines
	if !ok {
		f.t.Fatal("the stream has ended")
	}
	f.doc.check(f.t, f.doc.operations["events"].at+"/responses/200/content/application~1x-ndjson/schema", line)
	f.all.Write(line)
	var e api.Event
	if err := json.Unmarshal(line, &e); err != nil || e.Time.IsZero() {
		f.t.Errorf("%s: %v", line, err)
	}
	client := e.Kind == api.EventLogin || e.Kind == api.EventLoginFailed || e.Kind == api.EventEnd
	if client && !strings.HasPrefix(e.Peer, "127.0.0.1:") || e.Kind == api.EventAdmin && e.Actor == "" {
		f.t.Errorf("%s", line)
	}
	return strings.Join(strings.Fields(fmt.Sprint(e.Kind, " ", e.JID, " ", e.Mechanism, " ", e.Reason, " ", e.Action, " ", e.Object, " ", e.Result, " ", e.Level, " ", e.Text, " ", e.Fields)), " ")
}

// want waits for events, in this order.
func (f *following) want(texts ...string) {
	f.t.Helper()
	for _, want := range texts {
		if got := f.next(); got != want {
			f.t.Errorf("%s, want %s", got, want)
		}
	}
}

// unordered waits for events in any order.
func (f *following) unordered(texts ...string) {
	f.t.Helper()
	var got []string
	for range texts {
		got = append(got, f.next())
	}
	slices.Sort(got)
	slices.Sort(texts)
	if !slices.Equal(got, texts) {
		f.t.Errorf("%q, want %q", got, texts)
	}
}

// caughtUp waits until the server has acted on all account events.
func caughtUp(t *testing.T, s *Server) {
	t.Helper()
	xmpptest.Eventually(t, "the account events are not processed", func() bool {
		last, err := s.store.LastAccountEvent(t.Context())
		return err == nil && s.router.CaughtUp(last)
	})
}

func plainOf(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

// TestAdminEvents: what clients and administrators do is told as it happens, by whatever
// way, and nothing secret.
func TestAdminEvents(t *testing.T) {
	ring := logring.New(1)
	s := startServer(t, func(c *Config) {
		c.Logger = slog.New(ring.Handler(slog.NewTextHandler(t.Output(), nil)))
		c.Admin.FollowLog, c.Admin.LogLevel = ring.Follow, new(loglevel.Level)
		c.Session.FailureDelay = -1
	})
	c := adminOf(t, s)
	do := func(method, path string, in any) {
		t.Helper()
		if err := c.Do(t.Context(), method, path, nil, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	caughtUp(t, s)
	f := follow(t, s, c, nil)
	const typed = "hunter2"

	romeo := connect(t, s).login("romeo", "phone")
	f.want("login romeo@localhost/phone")
	romeo.ask("</stream:stream>", "</stream:stream>")
	f.want("end romeo@localhost/phone closed")
	stranger := connect(t, s)
	stranger.ask(testHeader, "</stream:features>")
	for user, want := range map[string]string{"romeo": "login-failed romeo@localhost PLAIN wrong-password", typed: "login-failed PLAIN unknown-account"} {
		stranger.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plainOf(user, typed)+"</auth>", "</failure>")
		f.want(want)
	}

	const bill = "bill@localhost"
	do("POST", api.PathAccounts, api.AccountCreate{JID: bill, Password: "secret", Iterations: store.MinIterations})
	f.want("account "+bill+" created", "admin account.create "+bill+" ok")
	connect(t, s).login("bill", "a")
	f.want("login " + bill + "/a")
	do("POST", accountPath(api.PathAccountPassword, bill), api.AccountPassword{Password: typed, Iterations: store.MinIterations, KeepSessions: true})
	f.want("account "+bill+" password-changed", "admin account.password "+bill+" ok")
	do("DELETE", sessionPath(bill+"/a"), nil)
	f.unordered("end "+bill+"/a policy-violation", "admin session.end "+bill+"/a ok")
	do("POST", accountPath(api.PathAccountDisable, bill), nil)
	f.want("account "+bill+" disabled", "admin account.disable "+bill+" ok")
	do("POST", accountPath(api.PathAccountEnable, bill), nil)
	f.want("account "+bill+" enabled", "admin account.enable "+bill+" ok")
	do("DELETE", accountPath(api.PathAccount, bill), nil)
	f.want("account "+bill+" deleted", "admin account.delete "+bill+" ok")
	if err := c.Do(t.Context(), "DELETE", accountPath(api.PathAccount, bill), nil, nil, nil); !hasCode(err, api.CodeNotFound) {
		t.Error(err)
	}
	f.want("admin account.delete " + bill + " not-found")
	if err := xmpptest.AddAccounts(t.Context(), s.store, "example.net"); err != nil { // as another process does
		t.Fatal(err)
	}
	for _, name := range xmpptest.Accounts {
		f.want("account " + name + "@example.net created")
	}

	do("POST", api.PathBlocks, api.BlockRequest{Target: "192.0.2.1", Reason: typed})
	do("PUT", api.PathLogLevel, api.LogLevelChange{Level: "debug"})
	do("POST", api.PathAnnounce, api.AnnounceRequest{Text: typed})
	f.want("admin block.add 192.0.2.1/32 ok", "admin log.level.change ok")
	f.unordered("admin announce.start ok", "log info announcement has ended state=done sent=0 skipped=0")
	s.log.Info("not told", "jid", "x")
	s.log.Warn("a certificate expires soon", "names", "localhost", "days_left", 3)
	f.want("log warn a certificate expires soon names=localhost days_left=3")
	for _, secret := range []string{typed, "secret"} {
		if text := f.all.String(); strings.Contains(text, secret) {
			t.Errorf("%s in %s", secret, text)
		}
	}
}

// TestAdminEventFilters: only what was asked for is sent; wrong filters are refused, and so
// is a request without a token.
func TestAdminEventFilters(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Admin.Addr, c.Admin.Tokens = "127.0.0.1:0", tokenFile(t) })
	caughtUp(t, s)
	c := adminOf(t, s)
	f := follow(t, s, c, url.Values{"kind": {"end,account"}, "account": {"Romeo@localhost"}})
	connect(t, s).login("juliet", "a").ask("</stream:stream>", "</stream:stream>")
	connect(t, s).login("romeo", "a").ask("</stream:stream>", "</stream:stream>")
	if err := c.Do(t.Context(), "POST", accountPath(api.PathAccountDisable, "romeo@localhost"), nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	f.want("end romeo@localhost/a closed", "account romeo@localhost disabled")
	for query, want := range map[string]string{
		"kind=logins": `"logins" is not a kind`, "kind=login,": `"" is not a kind`, "kind=lost": `"lost" is not a kind`, "kind=": "kind is empty",
		"account=localhost": "not the address of an account", "account=romeo@localhost/a": "not the address of an account", "jid=romeo@localhost": `no parameter "jid"`,
	} {
		if err := c.Get(t.Context(), api.PathEvents+"?"+query, nil, nil); !hasCode(err, api.CodeBadRequest) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
	stranger, err := api.Remote("http://"+s.admin.Addr().String(), "roost_x", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for _, err := range api.Stream[api.Event](t.Context(), stranger, "GET", api.PathEvents, nil, nil) {
		if !hasCode(err, api.CodeUnauthorized) {
			t.Error(err)
		}
	}
}

// tokenFile returns a file with a token.
func tokenFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), admin.TokensName)
	if _, err := admin.AddToken(name, "reader", admin.ScopeRead); err != nil {
		t.Fatal(err)
	}
	return name
}
