package admin

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"roost/admin/api"
)

// browser returns a client with cookies that follows redirects, and what sends a form to
// a path of a server as a browser does.
func browser(t *testing.T, base string) (get func(path string) (int, string), post func(path string, form url.Values) (int, string)) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Jar: jar, Transport: transport}
	read := func(r *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(text)
	}
	get = func(path string) (int, string) {
		t.Helper()
		return read(c.Get(base + path))
	}
	post = func(path string, form url.Values) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", base)
		return read(c.Do(r))
	}
	return get, post
}

// csrfOf returns the token of the form for a path on a page.
func csrfOf(t *testing.T, page, path string) string {
	t.Helper()
	m := regexp.MustCompile(`action="` + path + `"[^>]*>\s*<input type="hidden" name="csrf" value="([^"]+)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("there is no form for %s:\n%s", path, page)
	}
	return m[1]
}

// TestDashboard: over TCP a token opens the pages, in the name of the token and for as long
// as it is valid; the cookie is good for nothing else.
func TestDashboard(t *testing.T) {
	var log strings.Builder
	file := filepath.Join(t.TempDir(), TokensName)
	secret := addToken(t, file, "viewer", ScopeRead)
	s, _ := start(t, func(cfg *Config, b *Backend) {
		cfg.Addr, cfg.Tokens = "127.0.0.1:0", file
		b.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	base := "http://" + s.Addr().String()
	get, post := browser(t, base)
	status, page := get("/")
	if status != 200 || !strings.Contains(page, "<h1>Log in</h1>") {
		t.Fatalf("%d\n%s", status, page)
	}
	form := url.Values{"csrf": {csrfOf(t, page, "/login")}, "token": {"roost_wrong"}}
	if status, page = post("/login", form); status != 401 || !strings.Contains(page, "not valid") {
		t.Errorf("%d\n%s", status, page)
	}
	form.Set("token", secret)
	if status, page = post("/login", form); status != 200 || !strings.Contains(page, "token viewer") || !strings.Contains(page, "localhost</h1>") {
		t.Fatalf("%d\n%s", status, page)
	}
	// The cookie is no token for the API.
	if status, _ := get(api.PathStatus); status != 401 {
		t.Errorf("the API accepts the cookie: %d", status)
	}
	if err := RemoveToken(file, "viewer"); err != nil {
		t.Fatal(err)
	}
	if _, page = get("/"); !strings.Contains(page, "<h1>Log in</h1>") {
		t.Errorf("the token is removed, and the login is still valid:\n%s", page)
	}
	if err := s.Close(); err != nil { // nothing writes to the log any more
		t.Fatal(err)
	}
	if text := log.String(); strings.Contains(text, "roost_") || !strings.Contains(text, `msg="login to the dashboard" actor="token viewer" peer=127.0.0.1:`) || !strings.Contains(text, `reason="unknown token"`) {
		t.Error(text)
	}
}

// TestDashboardLocal: by the Unix socket there is no login.
func TestDashboardLocal(t *testing.T) {
	s, _ := start(t, nil)
	resp := rawRequest(t, s, http.MethodGet, "localhost:5280", "/", nil)
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !strings.Contains(string(text), "(uid ") || strings.Contains(string(text), "read only") {
		t.Errorf("%d %v\n%s", resp.StatusCode, err, text)
	}
}

// TestRecord: the history has a sample soon after the start, with what is known.
func TestRecord(t *testing.T) {
	s, _ := start(t, nil)
	r := s.read(t.Context())
	if r.Memory < 1<<20 || r.CPU <= 0 || r.Loops <= 0 || r.Store < 0 || r.Expected != 1 {
		t.Errorf("%+v", r)
	}
	s.b.Store.(*testStore).set(io.ErrUnexpectedEOF, false)
	if r := s.read(t.Context()); r.Store >= 0 {
		t.Errorf("a store that has failed took %v", r.Store)
	}
}
