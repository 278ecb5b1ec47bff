package dashboard

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"roost/admin/api"
)

// TestAnnounce: an announcement begins, shows its progress, and can be stopped.
func TestAnnounce(t *testing.T) {
	f := newFixture(t).login("secret-w")
	f.record(404, api.ErrorResponse{Error: api.Error{Code: api.CodeNotFound, Message: "none"}})
	page := f.page("/announce")
	if !strings.Contains(page, "There was none") || !strings.Contains(page, fmt.Sprintf(`placeholder="%d"`, api.DefaultAnnounceRate)) {
		t.Error(page)
	}
	form := f.form(page, "/announce")
	form.Set("text", "Two\r\nlines <b>")
	form.Set("domain", "example.org")
	form.Set("rate", "0.5")
	got := f.record(202, api.Announce{})
	f.wantTo(f.do("POST", "/announce", form, nil), "/announce?done=announced")
	if want := (asked{"POST", "/v1/announce", "", `{"domain":"example.org","rate":0.5,"text":"Two\nlines \u003cb\u003e"}`}); (*got)[0] != want {
		t.Errorf("%+v", (*got)[0])
	}
	f.record(200, api.Announce{State: api.JobRunning, Text: "Two\nlines <b>", Clients: 4000, Sent: 1000, Skipped: 234, Actor: "token x"})
	page = f.page("/announce?done=announced")
	for _, want := range []string{`max="4000" value="1234"`, "1,234 of 4,000 clients", "being sent</span>", "Two\nlines &lt;b&gt;", `data-every="2"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	stop := f.form(page, "/announce/abort")
	f.record(200, api.Announce{State: api.JobDone}) // to nobody
	if page := f.page("/announce"); !strings.Contains(page, "0 of 0 clients") || !strings.Contains(page, `max="1" value="1"`) {
		t.Errorf("the page of an announcement to nobody:\n%s", page)
	}
	got = f.record(200, api.Announce{})
	f.wantTo(f.do("POST", "/announce/abort", stop, nil), "/announce")
	if want := (asked{"DELETE", "/v1/announce", "", ""}); (*got)[0] != want {
		t.Errorf("%+v", (*got)[0])
	}
	// What is wrong is said beside what was written.
	f.respond = func(r *http.Request) (int, any) {
		if r.Method == "GET" {
			return 200, api.Announce{State: api.JobDone, Clients: 1, Sent: 3}
		}
		return 409, api.ErrorResponse{Error: api.Error{Code: api.CodeConflict, Message: "another announcement is being sent"}}
	}
	text := f.want(f.do("POST", "/announce", form, nil), 400)
	if !strings.Contains(text, "Another announcement is being sent.") || !strings.Contains(text, "lines &lt;b&gt;</textarea>") || strings.Contains(text, "/announce/abort") {
		t.Error(text)
	}
	form.Set("rate", "fast")
	if text := f.want(f.do("POST", "/announce", form, nil), 400); !strings.Contains(text, "is not a number") {
		t.Error(text)
	}
	f.login("secret-r")
	if page := f.page("/announce"); strings.Contains(page, `method="post" action="/announce`) {
		t.Error("who may only read gets a form")
	}
}
