package dashboard

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"roost/admin/api"
)

// hostile is a full JID with a resource as a client may choose it.
const hostile = "romeo@example.org/\"><script>alert(1)</script>\u202e/../?q=%2f&x=1#y"

// TestSearch: what a person writes becomes a filter.
func TestSearch(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "example.org": "domain=example.org", "romeo@example.org": "account=romeo%40example.org", "romeo@example.org/": "account=romeo%40example.org",
		"192.0.2.1": "network=192.0.2.1", "192.0.2.0/24": "network=192.0.2.0%2F24", "2001:db8::/32": "network=2001%3Adb8%3A%3A%2F32", "::1": "network=%3A%3A1",
		"nonsense/x": "domain=nonsense%2Fx",
	} {
		if q, full := search(text); q.Encode() != want || full != "" {
			t.Errorf("%q: %s %q, want %s", text, q.Encode(), full, want)
		}
	}
	for _, full := range []string{"romeo@example.org/phone", "romeo@example.org/a@b/c", hostile} {
		if q, got := search(full); len(q) > 0 || got != full {
			t.Errorf("%q: %v %q", full, q, got)
		}
	}
}

// TestSessions: the list has what was asked for, in pages, and says what is wrong.
func TestSessions(t *testing.T) {
	f := newFixture(t).login("secret-r")
	var asked url.Values
	f.respond = func(r *http.Request) (int, any) {
		asked = r.URL.Query()
		switch asked.Get("domain") {
		case "none":
			return 200, api.SessionPage{Sessions: []api.Session{}}
		case "a b":
			return 400, api.ErrorResponse{Error: api.Error{Code: api.CodeBadRequest, Message: `"a b" is not a domain`}}
		case "broken":
			return 500, api.ErrorResponse{Error: api.Error{Code: api.CodeInternal, Message: "the server could not do this"}}
		}
		return 200, api.SessionPage{Matching: 12345, Cursor: "c+/=", Sessions: []api.Session{
			{JID: hostile, Address: "192.0.2.1:1", Transport: api.TransportWebSocket, TLS: api.TLSLean, Available: true, Priority: -3, IdleSeconds: 61, QueuedBytes: 2048},
			{JID: "juliet@example.org/x", TLS: api.TLSNone},
		}}
	}
	page := f.page("/sessions?q=192.0.2.0%2F24&idle=3600&tls=lean&sort=idle&cursor=abc&first=51&done=ended")
	if got := asked.Encode(); got != "cursor=abc&limit=50&min_idle=3600&network=192.0.2.0%2F24&sort=idle&tls=lean" {
		t.Errorf("asked for %s", got)
	}
	for _, want := range []string{
		"51 to 52 of 12,345", "priority -3", "1 min ago", "2.0 KiB", ">WebSocket<", "TLS 1.3", `<option value="idle" selected>`, `<option value="3600" selected>`, `value="192.0.2.0/24"`,
		"/sessions?cursor=c%2B%2F%3D&amp;first=53&amp;idle=3600&amp;q=192.0.2.0%2F24&amp;sort=idle&amp;tls=lean", "The session is ended.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	checkEscaped(t, page)
	if page := f.page("/sessions?first=-7&done=<script>"); strings.Contains(page, `role="status"`) || !strings.Contains(page, "1 to 2 of 12,345") {
		t.Error(page)
	}
	if page := f.page("/sessions?q=none"); !strings.Contains(page, "No session matches") {
		t.Error(page)
	}
	if page := f.page("/sessions?q=a+b"); !strings.Contains(html.UnescapeString(page), `"a b" is not a domain`) || !strings.Contains(page, `value="a b"`) {
		t.Error(page)
	}
	f.want(f.do("GET", "/sessions?q=broken", nil, nil), 500)
	f.wantTo(f.do("GET", "/sessions?q=romeo@example.org/a+b%26c", nil, nil), "/session?jid=romeo%40example.org%2Fa+b%26c")
}

// hiddenJID is the field of a form, which is not shown and has the JID as it is.
var hiddenJID = regexp.MustCompile(`<input type="hidden" name="jid" value="[^"<>]*">`)

// checkEscaped checks that the hostile JID is not markup, and leads to its own page.
func checkEscaped(t *testing.T, page string) {
	t.Helper()
	page = hiddenJID.ReplaceAllString(page, "")
	if strings.Contains(page, "<script>") || strings.Contains(page, `"><`) && strings.Contains(page, `org/"><`) || strings.ContainsRune(page, '\u202e') {
		t.Errorf("the resource is markup:\n%s", page)
	}
	for _, part := range strings.Split(page, `href="/session?jid=`)[1:] {
		link, _, _ := strings.Cut(part, `"`)
		u, err := url.Parse("/session?jid=" + html.UnescapeString(link))
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Query().Get("jid"); got != hostile && got != "juliet@example.org/x" || u.Fragment != "" {
			t.Errorf("a link leads to the session %q", got)
		}
	}
}

// TestSession: the page of one session has its end, for who may do that.
func TestSession(t *testing.T) {
	f := newFixture(t).login("secret-w")
	var method, path string
	var query url.Values
	status, body := 200, any(api.SessionDetail{
		Session: api.Session{JID: hostile, Address: "192.0.2.1:1", Transport: api.TransportTCP, TLS: api.TLS12, QueuedBytes: 1}, Conditions: []string{"throttled", "new"}, DirectedPresence: 1,
	})
	f.respond = func(r *http.Request) (int, any) {
		method, path, query = r.Method, r.URL.EscapedPath(), r.URL.Query()
		return status, body
	}
	target := "/session?" + url.Values{"jid": {hostile}}.Encode()
	page := f.page(target)
	if method != "GET" || path != "/v1/sessions/"+url.PathEscape(hostile) || len(query) > 0 {
		t.Errorf("%s %s %v", method, path, query)
	}
	for _, want := range []string{">TCP<", "TLS 1.2", "waits because it sends too much; new", "to 1 address<", `href="/sessions?q=romeo%40example.org"`, "none: it gets no messages"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	checkEscaped(t, page)
	form := f.form(page, "/session/end")
	f.want(f.do("POST", "/session/end", form, nil), 400)
	form.Set("jid", hostile)
	form.Set("text", " Bye & <b> ")
	method = ""
	bad := url.Values{"jid": {hostile}, "csrf": {"x"}}
	if f.want(f.do("POST", "/session/end", bad, nil), 403); method != "" {
		t.Error("a forged form reaches the API")
	}
	status, body = 200, api.SessionEnd{JID: hostile}
	f.wantTo(f.do("POST", "/session/end", form, nil), "/sessions?done=ended&q=romeo%40example.org")
	if method != "DELETE" || path != "/v1/sessions/"+url.PathEscape(hostile) || query.Encode() != "text=Bye+%26+%3Cb%3E" {
		t.Errorf("%s %s %v", method, path, query)
	}
	status, body = 404, api.ErrorResponse{Error: api.Error{Code: api.CodeNotFound, Message: "there is no session"}}
	for _, text := range []string{f.want(f.do("GET", target, nil, nil), 404), f.want(f.do("POST", "/session/end", form, nil), 404)} {
		if !strings.Contains(text, "There is no session romeo@example.org/") || strings.Contains(text, "<script>") {
			t.Error(text)
		}
	}
	f.want(f.do("GET", "/session", nil, nil), 400)

	// Who may only read gets no form; what the API says about a request all the same is shown.
	f.cookie = nil
	f.login("secret-r")
	status, body = 200, api.SessionDetail{Session: api.Session{JID: hostile}}
	page = f.page(target)
	if strings.Contains(page, "/session/end") || !strings.Contains(page, "may read only") {
		t.Error("who may only read can end a session")
	}
	form.Set("csrf", csrf(f.key(), "/session/end"))
	status, body = 403, api.ErrorResponse{Error: api.Error{Code: api.CodeForbidden, Message: "the token viewer has the scope read", Hint: "use a token with the scope write"}}
	if text := f.want(f.do("POST", "/session/end", form, nil), 403); !strings.Contains(text, "The token viewer has the scope read") {
		t.Error(text)
	}
}
