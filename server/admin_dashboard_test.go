package server

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"roost/admin"
)

// TestAdminDashboard: with a token of scope write a session is found and ended; with one of
// scope read, it is not.
func TestAdminDashboard(t *testing.T) {
	file := filepath.Join(t.TempDir(), admin.TokensName)
	s := startServer(t, func(c *Config) {
		c.Admin.Addr, c.Admin.Tokens = "127.0.0.1:0", file
		if _, err := admin.AddToken(file, "first", admin.ScopeRead); err != nil {
			t.Fatal(err)
		}
	})
	romeo := connect(t, s).login("romeo", "phone").available()
	base := "http://" + s.admin.Addr().String()
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	for _, scope := range []admin.Scope{admin.ScopeRead, admin.ScopeWrite} {
		secret, err := admin.AddToken(file, string(scope), scope)
		if err != nil {
			t.Fatal(err)
		}
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Jar: jar, Transport: new(http.Transport)}
		defer c.CloseIdleConnections()
		request := func(method, path string, form url.Values) (int, string) {
			t.Helper()
			return exchangeHTTP(t, c, method, base+path, "application/x-www-form-urlencoded", form.Encode())
		}
		_, page := request("GET", "/login", nil)
		status, page := request("POST", "/login", url.Values{"csrf": {csrf.FindStringSubmatch(page)[1]}, "token": {secret}})
		if status != 200 || !strings.Contains(page, "token "+string(scope)) {
			t.Fatalf("%d\n%s", status, page)
		}
		if _, page = request("GET", "/sessions?q=romeo@localhost", nil); !strings.Contains(page, "1 to 1 of 1") || !strings.Contains(page, "romeo@localhost/phone") {
			t.Error(page)
		}
		status, page = request("GET", "/session?jid=romeo@localhost%2Fphone", nil)
		if status != 200 || strings.Contains(page, "/session/end") != (scope == admin.ScopeWrite) {
			t.Errorf("%s: %d\n%s", scope, status, page)
		}
		if scope == admin.ScopeRead {
			romeo.ask("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
			continue
		}
		_, form, _ := strings.Cut(page, `action="/session/end"`)
		status, page = request("POST", "/session/end", url.Values{"csrf": {csrf.FindStringSubmatch(form)[1]}, "jid": {"romeo@localhost/phone"}, "text": {"Bye"}})
		if status != 200 || !strings.Contains(page, "The session is ended.") {
			t.Errorf("%d\n%s", status, page)
		}
	}
	romeo.ask("", "Bye</text></stream:error></stream:stream>")
}
