package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"roost/admin/api"
	"roost/internal/logring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testUsers has tokens by their secrets.
type testUsers struct {
	tokens map[string]User
	local  *User // of all requests, if there is one
	err    error // of local requests
}

type tokenKey struct{}

func (u *testUsers) Local(*http.Request) (User, bool, error) {
	if u.local == nil {
		return User{}, false, nil
	}
	return *u.local, true, u.err
}

func (u *testUsers) Login(w http.ResponseWriter, r *http.Request, secret string) (TokenID, error) {
	if secret == "again" {
		return TokenID{}, &api.Error{Status: 429, Code: api.CodeTooMany}
	}
	if _, ok := u.tokens[secret]; !ok {
		return TokenID{}, &api.Error{Status: 401, Code: api.CodeUnauthorized}
	}
	return sha256.Sum256([]byte(secret)), nil
}

func (u *testUsers) Token(id TokenID) (User, bool) {
	for secret, user := range u.tokens {
		if sha256.Sum256([]byte(secret)) == id {
			return user, true
		}
	}
	return User{}, false
}

func (u *testUsers) As(r *http.Request, id TokenID) context.Context {
	return context.WithValue(r.Context(), tokenKey{}, id)
}

// roundTrip is an API.
type roundTrip func(*http.Request) (int, any)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	status, body := f(r)
	w.WriteHeader(status)
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	return w.Result(), err
}

// testStatus is the status of a server.
var testStatus = api.Status{
	Version: "1.0", State: api.Serving, Domains: []string{"example.org"}, UptimeSeconds: 90000,
	Sessions: api.Sessions{Connected: 1234567, Accounts: 1000000, Restored: api.Restored{Waiting: 2500, Resumed: 500}},
	Memory:   api.Memory{ResidentBytes: 3 << 30, PredictedBytes: 2 << 30},
	Certificates: []api.Certificate{
		{Names: []string{"example.org"}, ExpiresInDays: 80}, {Names: []string{"old.example"}, ExpiresInDays: -1}, {Names: []string{"soon.example"}, ExpiresInDays: 5.5},
	},
}

// fixture is a dashboard with a browser.
type fixture struct {
	t       *testing.T
	d       *Dashboard
	users   *testUsers
	history *History
	log     *slog.Logger
	respond roundTrip // what the API does; nil: testStatus
	cookie  *http.Cookie
	tls     bool
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, history: NewHistory(), users: &testUsers{tokens: map[string]User{"secret-w": {"token boss", true}, "secret-r": {"token viewer", false}}}}
	lines := logring.New(10)
	f.log = slog.New(lines.Handler(slog.NewTextHandler(io.Discard, nil)))
	f.d = New(Config{
		API: api.Over(roundTrip(func(r *http.Request) (int, any) {
			if f.respond != nil {
				return f.respond(r)
			}
			return 200, &testStatus
		})),
		Users: f.users, History: f.history, Log: lines.Lines, CPUs: 2, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Capacity: func() (int64, string) { return 2000000, "open files" },
		Slowest: func() []SlowCall {
			return []SlowCall{{"AppendOffline", true, time.Unix(1e9, 0), 1500 * time.Millisecond}, {Name: "Roster", Took: 2 * time.Millisecond}}
		},
	})
	return f
}

// do sends a request, by default as a browser does for a page of its origin.
func (f *fixture) do(method, target string, form url.Values, header map[string]string) *http.Response {
	f.t.Helper()
	scheme := "http"
	if f.tls {
		scheme = "https"
	}
	r := httptest.NewRequestWithContext(f.t.Context(), method, scheme+"://admin.test"+target, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", scheme+"://admin.test")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range header {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	if f.cookie != nil {
		r.AddCookie(f.cookie)
	}
	w := httptest.NewRecorder()
	f.d.ServeHTTP(w, r)
	resp := w.Result()
	for _, c := range resp.Cookies() {
		f.cookie = c
		if c.MaxAge < 0 {
			f.cookie = nil
		}
	}
	return resp
}

// page requests a page and returns its text; the status must be 200.
func (f *fixture) page(target string) string {
	f.t.Helper()
	return f.want(f.do("GET", target, nil, nil), 200)
}

func (f *fixture) want(r *http.Response, status int) string {
	f.t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status {
		f.t.Fatalf("status %d, want %d: %v\n%s", r.StatusCode, status, err, text)
	}
	return string(text)
}

// wantTo checks a redirect.
func (f *fixture) wantTo(r *http.Response, target string) {
	f.t.Helper()
	f.want(r, 303)
	if l := r.Header.Get("Location"); l != target {
		f.t.Errorf("leads to %q, want %q", l, target)
	}
}

var csrfInput = regexp.MustCompile(`action="([^"]+)"[^>]*>\s*<input type="hidden" name="csrf" value="([^"]+)"`)

// form returns the form of a page for a path, with its CSRF token.
func (f *fixture) form(page, path string) url.Values {
	f.t.Helper()
	for _, m := range csrfInput.FindAllStringSubmatch(page, -1) {
		if html.UnescapeString(m[1]) == path {
			return url.Values{"csrf": {m[2]}}
		}
	}
	f.t.Fatalf("there is no form for %s:\n%s", path, page)
	return nil
}

// login logs in with a token.
func (f *fixture) login(secret string) *fixture {
	f.t.Helper()
	f.cookie = nil
	form := f.form(f.page("/login"), "/login")
	form.Set("token", secret)
	f.wantTo(f.do("POST", "/login", form, nil), "/")
	return f
}

// TestLogin: a token makes a login, a cookie shows it, and logging out ends it.
func TestLogin(t *testing.T) {
	for _, tls := range []bool{false, true} {
		f := newFixture(t)
		f.tls = tls
		f.wantTo(f.do("GET", "/", nil, nil), "/login")
		f.wantTo(f.do("GET", "/?span=24h", nil, nil), "/login?next=%2F%3Fspan%3D24h")
		f.want(f.do("GET", "/history.json", nil, nil), 401)
		page := f.page("/login?next=%2F%3Fspan%3D24h")
		if strings.Contains(page, "<nav") {
			t.Error("the login has links to pages that need one")
		}
		form := f.form(page, "/login")
		form.Set("next", "/?span=24h")
		form.Set("token", "wrong")
		if text := f.want(f.do("POST", "/login", form, nil), 401); !strings.Contains(text, "This token is not valid") || strings.Contains(text, "wrong") {
			t.Error(text)
		}
		form.Set("token", "again")
		f.want(f.do("POST", "/login", form, nil), 429)
		if f.cookie != nil {
			t.Error("a wrong token gets a cookie")
		}
		form.Set("token", " secret-r\n")
		f.wantTo(f.do("POST", "/login", form, nil), "/?span=24h")
		name := "roost"
		if tls {
			name = "__Host-roost"
		}
		if c := f.cookie; c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != tls || c.Name != name || c.Path != "/" || c.Domain != "" || len(c.Value) < 40 {
			t.Fatalf("%+v", c)
		}
		if strings.Contains(f.cookie.Value, "secret") {
			t.Error("the cookie has the token")
		}
		old := f.cookie
		page = f.page("/")
		if !strings.Contains(page, "token viewer") || !strings.Contains(page, "read only") {
			t.Error("the page does not say who is logged in")
		}
		f.wantTo(f.do("GET", "/login", nil, nil), "/")
		f.wantTo(f.do("POST", "/logout", f.form(page, "/logout"), nil), "/login")
		if f.cookie != nil {
			t.Error("the cookie was not removed")
		}
		f.cookie = old
		f.wantTo(f.do("GET", "/", nil, nil), "/login")
	}
}

// TestLoginEnds: a login ends with its token, with its time, and when there are too many
// newer ones.
func TestLoginEnds(t *testing.T) {
	f := newFixture(t)
	now := time.Unix(1e9, 0)
	f.d.logins = newLogins(func() time.Time { return now })

	f.login("secret-w").page("/")
	now = now.Add(maxUnused - 1)
	f.page("/")
	now = now.Add(maxUnused)
	f.wantTo(f.do("GET", "/", nil, nil), "/login")

	f.login("secret-w").page("/")
	for range int(maxAge/maxUnused) * 2 {
		now = now.Add(maxUnused / 2)
		f.do("GET", "/", nil, nil)
	}
	f.wantTo(f.do("GET", "/", nil, nil), "/login")

	f.login("secret-w").page("/")
	delete(f.users.tokens, "secret-w")
	f.wantTo(f.do("GET", "/", nil, nil), "/login")
	if len(f.d.logins.all) != 0 {
		t.Errorf("%d logins are left", len(f.d.logins.all))
	}

	f.login("secret-r").page("/")
	first := f.cookie
	for range maxLogins {
		now = now.Add(time.Second)
		f.cookie = nil
		f.login("secret-r")
	}
	if n := len(f.d.logins.all); n != maxLogins {
		t.Errorf("there are %d logins", n)
	}
	f.page("/")
	f.cookie = first
	f.wantTo(f.do("GET", "/", nil, nil), "/login")
}

// TestNext: a login leads to a page of ours, whatever its link says.
func TestNext(t *testing.T) {
	for text, want := range map[string]string{
		"": "/", "/": "/", "/sessions?q=a": "/sessions?q=a", "/login": "/", "/login?next=/": "/",
		"//evil.test": "/", "https://evil.test/": "/", "/\\evil.test": "/", "javascript:alert(1)": "/", "evil": "/", "/%5cevil.test": "/%5cevil.test", "\x00": "/",
	} {
		if got := next(text); got != want {
			t.Errorf("%q leads to %q, want %q", text, got, want)
		}
	}
}

// TestForgedForms: a form is refused that does not come from our page for this path, user
// and origin.
func TestForgedForms(t *testing.T) {
	f := newFixture(t).login("secret-w")
	page := f.page("/")
	good := f.form(page, "/logout")
	for desc, c := range map[string]struct {
		form   url.Values
		header map[string]string
	}{
		"no token":        {form: url.Values{}},
		"wrong token":     {form: url.Values{"csrf": {"x"}}},
		"of another form": {form: url.Values{"csrf": {csrf(f.key(), "/session/end")}}},
		"of a local user": {form: url.Values{"csrf": {csrf(f.d.localKey, "/logout")}}},
		"other site":      {form: good, header: map[string]string{"Sec-Fetch-Site": "cross-site"}},
		"same site":       {form: good, header: map[string]string{"Sec-Fetch-Site": "same-site"}},
		"not by a page":   {form: good, header: map[string]string{"Sec-Fetch-Site": "none"}},
		"other origin":    {form: good, header: map[string]string{"Sec-Fetch-Site": "", "Origin": "http://evil.test"}},
		"null origin":     {form: good, header: map[string]string{"Sec-Fetch-Site": "", "Origin": "null"}},
		"no origin":       {form: good, header: map[string]string{"Sec-Fetch-Site": "", "Origin": ""}},
		"token in query":  {form: nil},
		"too large":       {form: url.Values{"csrf": good["csrf"], "x": {strings.Repeat("x", maxForm)}}},
	} {
		target := "/logout"
		if desc == "token in query" {
			target += "?" + good.Encode()
		}
		if r := f.do("POST", target, c.form, c.header); r.StatusCode != 403 && desc != "too large" || desc == "too large" && r.StatusCode != 400 {
			t.Errorf("%s: status %d", desc, r.StatusCode)
		}
	}
	f.page("/")
	f.wantTo(f.do("POST", "/logout", good, map[string]string{"Sec-Fetch-Site": ""}), "/login")
	f.login("secret-w")
	if r := f.do("POST", "/logout", good, nil); r.StatusCode != 403 {
		t.Errorf("a form of another login: status %d", r.StatusCode)
	}
	f.want(f.do("GET", "/logout", nil, nil), 405)
}

// TestLocal: by the Unix socket there is no login, and forms are checked all the same.
func TestLocal(t *testing.T) {
	f := newFixture(t)
	f.users.local = &User{"root (uid 0)", true}
	page := f.page("/")
	if !strings.Contains(page, "root (uid 0)") || strings.Contains(page, "Log out") || strings.Contains(page, "read only") {
		t.Error(page)
	}
	f.wantTo(f.do("GET", "/login", nil, nil), "/")
	if r := f.do("POST", "/logout", url.Values{}, nil); r.StatusCode != 403 {
		t.Errorf("status %d", r.StatusCode)
	}
	f.users.err = &api.Error{Status: 403, Code: api.CodeForbidden, Message: "only root may"}
	if text := f.want(f.do("GET", "/", nil, nil), 403); !strings.Contains(text, "Only root may") {
		t.Error(text)
	}
}

// TestHeaders: nothing is served without the headers that protect it, and no page has
// anything inline, which they would forbid.
func TestHeaders(t *testing.T) {
	f := newFixture(t)
	var all []*http.Response
	all = append(all, f.do("GET", "/", nil, nil), f.do("GET", "/login", nil, nil), f.do("POST", "/login", nil, nil),
		f.do("GET", "/assets/x", nil, nil), f.do("GET", assetPaths["app.js"], nil, nil), f.do("GET", "/history.json", nil, nil))
	f.login("secret-w")
	all = append(all, f.do("GET", "/", nil, nil), f.do("GET", "/history.json", nil, nil), f.do("GET", "/none", nil, nil))
	inline := regexp.MustCompile(`(?i)<script\s*>|\son[a-z]+=|\sstyle=|<style|javascript:`)
	for _, r := range all {
		text, _ := io.ReadAll(r.Body)
		h := r.Header
		for _, part := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(h.Get("Content-Security-Policy"), part) {
				t.Errorf("%d: the policy %q lacks %s", r.StatusCode, h.Get("Content-Security-Policy"), part)
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%d: %v", r.StatusCode, h)
		}
		if strings.HasPrefix(h.Get("Content-Type"), "text/html") && inline.Match(text) {
			t.Errorf("a page has something inline: %s", inline.Find(text))
		}
		if cache := h.Get("Cache-Control"); cache != "no-store" && !strings.HasPrefix(h.Get("Content-Type"), "text/javascript") {
			t.Errorf("%d: Cache-Control: %s", r.StatusCode, cache)
		}
	}
}

// TestAssets: each file is served with its type, under a name that changes with it, and
// nothing is loaded from elsewhere.
func TestAssets(t *testing.T) {
	f := newFixture(t)
	if len(assets) < 5 {
		t.Fatalf("there are %d assets", len(assets))
	}
	foreign := regexp.MustCompile(`(?i)(?:src|href)=["']?(?:https?:)?//|@import|url\(["']?(?:https?:)?//`)
	for path, content := range assets {
		r := f.do("GET", path, nil, nil)
		text := f.want(r, 200)
		if text != string(content) || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") || !strings.Contains(r.Header.Get("Content-Type"), "/") {
			t.Errorf("%s: %d bytes, %v", path, len(text), r.Header)
		}
		if foreign.MatchString(text) {
			t.Errorf("%s loads something: %s", path, foreign.FindString(text))
		}
	}
	for _, path := range []string{"/assets/LICENSE", "/assets/", "/assets/uplot/LICENSE", "/assets/..%2ftemplates%2flayout.html", assetPaths["app.js"] + "x"} {
		if r := f.do("GET", path, nil, nil); r.StatusCode != 404 {
			t.Errorf("%s: status %d", path, r.StatusCode)
		}
	}
	for _, page := range []string{f.page("/login?next=/x"), f.login("secret-r").page("/")} {
		if foreign.MatchString(page) {
			t.Errorf("a page loads something: %s", foreign.FindString(page))
		}
	}
}

// TestOverview: the page has what the status and the history have, and nothing that clients
// choose becomes markup.
func TestOverview(t *testing.T) {
	f := newFixture(t).login("secret-r")
	if page := f.page("/"); !strings.Contains(page, "the first figures come after ten seconds") {
		t.Error("a page without a history does not say so")
	}
	now := time.Unix(1e9, 0)
	for i := range 50 {
		now = now.Add(fineInterval)
		f.history.Add(now, Reading{Online: int64(i), Logins: int64(10 * i), Messages: int64(100 * i), Loops: time.Millisecond, CPU: time.Duration(i) * time.Second, Login: -1})
	}
	f.log.Warn("a <script>alert(1)</script> \u202e line", "jid", `"><img src=x onerror=alert(1)>`)
	page := f.page("/")
	for _, want := range []string{
		"1,234,567", "+49 in the last 8 min", "1,000,000 accounts", "2,500 of the 3,000 that the start has restored wait for their clients", "this machine can hold 2,000,000 (open files)", "example.org</h1>", "1 d 1 h",
		"expected 2.0 GiB if all are idle", "until an event loop reacts", "of 200 %",
		"in 80 days", "has expired", `class="num bad"`, `class="num warn"`, "in 5 days",
		"a &lt;script&gt;alert(1)&lt;/script&gt; \ufffd line", `aria-label="Line chart. clients: now 49, between 0 and 49 in the last hour. "`,
		"append offline <span class=\"tag\">write</span>", "01:46:40 UTC", "1.5 s", ">roster<", "2.0 ms",
		`data-span="1h"`, `<th scope="col" class="num">database</th>`,
	} {
		if !strings.Contains(html.UnescapeString(page), html.UnescapeString(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "<script>") || strings.Contains(page, "<img src=x") || strings.ContainsRune(page, '\u202e') {
		t.Error("what a client has chosen is markup")
	}
	if page := f.page("/?span=24h"); !strings.Contains(page, `data-span="24h"`) || !strings.Contains(page, "The last 24 hours") {
		t.Error("no page for a day")
	}
	f.respond = func(r *http.Request) (int, any) {
		return 503, api.ErrorResponse{Error: api.Error{Code: api.CodeUnavailable, Message: "no <b>", Hint: "wait"}}
	}
	if text := f.want(f.do("GET", "/", nil, nil), 503); !strings.Contains(text, "No &lt;b&gt;") || !strings.Contains(text, "wait") {
		t.Error(text)
	}
}

// TestOverviewRenewals: the overview says when certificates are obtained by ACME, and why that
// has failed.
func TestOverviewRenewals(t *testing.T) {
	f := newFixture(t).login("secret-r")
	if strings.Contains(f.page("/"), "By ACME") {
		t.Error("a server without ACME shows it")
	}
	status := testStatus
	later := time.Now().Add(90*time.Minute + 30*time.Second)
	status.Renewals = []api.Renewal{{Domain: "a.example", NotAfter: &later, NextTry: later}, {Domain: "b.example", NextTry: time.Now(), Failures: 2, Reason: "<b>refused"}}
	f.respond = func(*http.Request) (int, any) { return 200, &status }
	page := f.page("/")
	for _, want := range []string{"By ACME", `<th scope="row">a.example</th>`, ">in 1 h 30 min</time>", ">now</time>",
		`b.example <span class="tag">none yet</span> <span class="tag bad">2 failed</span></th>`, `class="bad">&lt;b&gt;refused</td>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestOverviewOfNode: the page of a node has what it knows of the cluster; that of a server which
// is alone has nothing about it.
func TestOverviewOfNode(t *testing.T) {
	f := newFixture(t).login("secret-r")
	status := testStatus
	f.respond = func(*http.Request) (int, any) { return 200, &status }
	wants := func(desc string, want ...string) {
		t.Helper()
		page := f.page("/")
		for _, w := range want {
			if !strings.Contains(html.UnescapeString(page), w) {
				t.Errorf("%s: the page lacks %q", desc, w)
			}
		}
	}
	if page := f.page("/"); strings.Contains(page, "Cluster") {
		t.Error("a server that is alone shows a cluster")
	}
	wants("no backup", "<dt>Last backup</dt><dd>none by roost backup</dd>")
	status.LastBackup = &api.Backup{AgeSeconds: 7200, Bytes: 3 << 20}
	status.Cluster = &api.Cluster{Node: "one"}
	wants("not joined", "one <span class=\"tag bad\">has not joined yet</span>", "<dt>Last backup</dt><dd>2 h 0 min ago, 3.0 MiB</dd>")
	status.Cluster = &api.Cluster{Node: "one", Number: 5, Reachable: true, Entries: 12345, SentTotal: 1000, RefusedTotal: 7, WaitingBytes: 2 << 20}
	wants("the only node", "<dt>Other nodes</dt><dd>none</dd>", "12,345 clients of this node", "1,000 stanzas and other items sent", "7 refused", "2.0 MiB for other nodes")
	status.Cluster.Others, status.Cluster.Reachable, status.Cluster.LeaseAgeSeconds = []string{"two", "t<b>"}, false, 75
	wants("cut off", "two, t<b></dd>", "one <span class=\"tag bad\">cannot reach Redis, or is refused</span>", "<dt>Last reached</dt><dd>1 min ago")
	if strings.Contains(f.page("/"), "t<b>") {
		t.Error("the name of a node is markup")
	}
}

// TestRequestsAs: the API is asked in the name of the user.
func TestRequestsAs(t *testing.T) {
	f := newFixture(t).login("secret-r")
	asked := 0
	f.respond = func(r *http.Request) (int, any) {
		asked++
		if r.Context().Value(tokenKey{}) != sha256.Sum256([]byte("secret-r")) {
			t.Errorf("%s %s in the name of %v", r.Method, r.URL, r.Context().Value(tokenKey{}))
		}
		return 200, &testStatus
	}
	if f.page("/"); asked != 1 {
		t.Errorf("the API was asked %d times", asked)
	}
}

// TestHistoryJSON: columns of the same length, and only what is newer if that is requested.
func TestHistoryJSON(t *testing.T) {
	f := newFixture(t).login("secret-r")
	get := func(target string) (columns map[string][]*float64) {
		t.Helper()
		r := f.do("GET", target, nil, nil)
		if text := f.want(r, 200); json.Unmarshal([]byte(text), &columns) != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Fatal(text)
		}
		if len(columns) != int(seriesCount)+1 {
			t.Errorf("%d columns", len(columns))
		}
		return columns
	}
	if c := get("/history.json"); len(c["t"]) != 0 || c["t"] == nil {
		t.Errorf("%v", c)
	}
	now := time.Unix(1e9, 0)
	for i := range 30 {
		now = now.Add(fineInterval)
		f.history.Add(now, Reading{Online: int64(i), Messages: -1})
	}
	for target, n := range map[string]int{"/history.json": 30, "/history.json?span=24h": 2, fmt.Sprint("/history.json?since=", now.Unix()-20): 2} {
		c := get(target)
		for name, column := range c {
			if len(column) != n {
				t.Errorf("%s: %d values of %s, want %d", target, len(column), name, n)
			}
		}
		if c["messages"][0] != nil || *c["t"][n-1] < 1e9 {
			t.Errorf("%s: %v", target, c)
		}
	}
	f.want(f.do("GET", "/history.json?since=x", nil, nil), 400)
}

// key is the key of the forms of the login.
func (f *fixture) key() [32]byte { return f.d.logins.all[sha256.Sum256([]byte(f.cookie.Value))].key }

// TestServes: the dashboard has its own paths and takes none of the API's.
func TestServes(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/login": true, "/logout": true, "/sessions": true, "/session/end": true, "/history.json": true, "/assets/x/app.css": true,
		"/v1/sessions": false, "/metrics": false, "/healthz": false, "/none": false, "/sessions/": false, "/assets": false, "": false, "//": false,
	} {
		if got := Serves(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}
