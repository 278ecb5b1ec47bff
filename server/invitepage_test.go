package server

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/xep"
)

// TestInvitePage: the page of an invitation has its link, for the domain in its path, is not to be kept by anybody, and exists only if there are invitations.
func TestInvitePage(t *testing.T) {
	s := startServer(t, func(cfg *Config) {
		cfg.Domains = []string{"localhost", "example.net"}
		cfg.WebSocket.Addr, cfg.XEP.Invitations = "127.0.0.1:0", xep.InviteOperators
	})
	_, port, _ := net.SplitHostPort(s.webAddr())
	get := func(method, path, host string) (*http.Response, string) {
		t.Helper()
		resp, _ := respond(t, s.webDial(t), method+" "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		body, err := io.ReadAll(resp.Body)
		if err != nil && method != "HEAD" {
			t.Error(err)
		}
		return resp, string(body)
	}
	var i api.InvitationCreated
	if err := adminOf(t, s).Do(t.Context(), http.MethodPost, api.PathInvitations, nil, api.InvitationCreate{Domain: "example.net"}, &i); err != nil {
		t.Fatal(err)
	}
	path, found := strings.CutPrefix(i.Page, "https://example.net:"+port)
	if !found || !strings.HasPrefix(path, "/invite/example.net/") {
		t.Fatalf("page %s", i.Page)
	}
	resp, body := get("GET", path, "example.net:"+port)
	for _, want := range []string{`<a class="button" href="` + i.URI + `">`, "<code>" + i.URI + "</code>", "chat on example.net</h1>", "<style>\n:root"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	for field, want := range map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Access-Control-Allow-Origin": ""} {
		if got := resp.Header.Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	if csp := resp.Header.Get("Content-Security-Policy"); resp.StatusCode != 200 || !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || strings.Contains(body, "<script") {
		t.Errorf("%s, policy %q", resp.Status, csp)
	}
	_, token, _ := strings.Cut(path, "/invite/example.net/")
	for _, p := range []string{path, "/invite/EXAMPLE.net/" + token} { // the host does not matter
		if _, body := get("GET", p, "evil.example"); strings.Contains(body, "evil") || strings.Contains(body, "localhost") || !strings.Contains(body, i.URI) {
			t.Errorf("%s for another host:\n%s", p, body)
		}
	}
	if resp, _ := get("HEAD", path, "example.net"); resp.StatusCode != 200 {
		t.Errorf("HEAD: %s", resp.Status)
	}
	for _, other := range []string{
		"/invite/", "/invite/x", "/invite/" + token, "/invite//" + token, "/invite/evil.example/" + token, "/invite/example.net/",
		"/invite/example.net/" + strings.Repeat("A", 26), path + "x", path + "/", "/example.net/" + token,
	} {
		if resp, _ := get("GET", other, "localhost"); resp.StatusCode != 404 {
			t.Errorf("%s: %s", other, resp.Status)
		}
	}
	cfg := *s.config()
	cfg.WebSocket.URL = "wss://chat.example.org/ws"
	if err := s.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	page := s.landingPage("example.net", token)
	if page != "https://chat.example.org"+path {
		t.Errorf("behind a proxy: %s", page)
	}
	if _, body := get("GET", path, "chat.example.org"); !strings.Contains(body, i.URI) || !strings.Contains(body, "chat on example.net</h1>") {
		t.Errorf("behind a proxy:\n%s", body)
	}
	cfg.XEP.Invitations = xep.InviteNobody
	if err := s.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if resp, _ := get("GET", path, "localhost"); resp.StatusCode != 404 {
		t.Errorf("without invitations: %s", resp.Status)
	}
}
