package dashboard

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"roost/admin/api"
)

// TestLabels: an error names the input of the page, not the field of the API.
func TestLabels(t *testing.T) {
	for page, l := range map[string]labels{"announce": announceLabels, "drain": drainLabels, "sessions": sessionsLabels, "accounts": accountsLabels, "session": sessionLabels} {
		text, err := fs.ReadFile(files, "templates/"+page+".html")
		if err != nil {
			t.Fatal(err)
		}
		for field, label := range l {
			if !strings.Contains(string(text), ">"+label+"</label>") {
				t.Errorf("the page %s has no label %q", page, label)
			}
			e := &api.Error{Status: 400, Message: field + " must be other", Field: field}
			if got, want := l.refusal(e), label+" must be other."; got != want {
				t.Errorf("%s: %q, want %q", page, got, want)
			}
		}
	}
	if got := drainLabels.refusal(&api.Error{Status: 400, Message: `"x y" is not a host`, Field: "to"}); got != `Send clients to: "x y" is not a host.` {
		t.Errorf("%q", got)
	}
	if got := drainLabels.refusal(&api.Error{Status: 409, Message: "no"}); got != "No." {
		t.Errorf("%q", got)
	}
	if got := drainLabels.refusal(errors.New("x")) + drainLabels.refusal(&api.Error{Status: 500, Message: "no"}); got != "" {
		t.Errorf("%q", got)
	}
}

// TestLabelsComplete: every field that a form sends has a label: each of its errors names the
// input.
func TestLabelsComplete(t *testing.T) {
	f := newFixture(t).login("secret-w")
	var sent []string
	f.respond = func(r *http.Request) (int, any) {
		if r.Method == "GET" {
			return 404, api.ErrorResponse{Error: api.Error{Code: api.CodeNotFound, Message: "none"}}
		}
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		sent = slices.AppendSeq(sent, maps.Keys(body))
		return 400, api.ErrorResponse{Error: api.Error{Code: api.CodeBadRequest, Message: "x"}}
	}
	form := f.form(f.page("/announce"), "/announce")
	for _, name := range []string{"text", "subject", "domain"} {
		form.Set(name, "x")
	}
	form.Set("rate", "1")
	f.do("POST", "/announce", form, nil)
	form = f.form(f.page("/drain"), "/drain")
	for _, name := range []string{"minutes", "in", "sure", "exit"} {
		form.Set(name, "1")
	}
	form.Set("to", "x")
	form.Set("text", "x")
	f.do("POST", "/drain", form, nil)
	for _, field := range sent {
		if field != "exit" && announceLabels[field] == "" && drainLabels[field] == "" {
			t.Errorf("the field %s has no label", field)
		}
	}
	if len(sent) < 9 || !slices.Contains(sent, "begin") {
		t.Errorf("sent %q", sent)
	}
}
