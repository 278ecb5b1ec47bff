package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/loglevel"
)

// wrongValues are values of strings and numbers that the server does not accept, by operation
// and field. "any" stands for fields of which every value of the type is accepted.
var wrongValues = map[string]string{
	"account.create jid": `"@"`, "account.create password": `""`, "account.create iterations": `1`,
	"account.password password": `""`, "account.password iterations": `1`, "account.password event": "any",
	"announce.start text": `"\u0001"`, "announce.start subject": `"\n"`, "announce.start domain": `"example.com"`, "announce.start rate": `1e9`,
	"block.add target": `"x"`, "block.add seconds": `1e10`, "block.add reason": `"\n"`,
	"drain.start over_seconds": `1e10`, "drain.start to": `"a b"`, "drain.start text": `"\n"`, "drain.start begin": `"2999-01-01T00:00:00Z"`, "drain.start end": `"2000-01-01T00:00:00Z"`,
	"invitation.create domain": `"a b"`, "invitation.create username": `"@"`, "invitation.create uses": `1001`, "invitation.create seconds": `1e10`,
	"log.level.change level": `"loud"`, "log.level.change seconds": `1e10`,
	"account.lookup jids": `["@"]`, "account.import accounts": `[{"jid":"@"}]`,
}

// rightFields are bodies that are valid but for the field that is tested.
var rightFields = map[string]string{
	"account.create": `{"jid":"bill@localhost","password":"x"}`, "account.password": `{"password":"x"}`, "announce.start": `{"text":"x"}`,
	"block.add": `{"target":"192.0.2.1"}`, "invitation.create": `{"uses":1}`, "log.level.change": `{"level":"info"}`,
}

// wrongParams are wrong values of parameters that are strings, the same wherever there is one.
var wrongParams = map[string]string{
	"account": "@", "domain": "a b", "prefix": "a b", "network": "x", "tls": "x", "sort": "x", "cursor": "x", "kind": "x", "text": "\n", "lacking": "x",
}

// anyVariable are variables of paths of which every value is accepted.
var anyVariable = map[string]bool{
	"client": true, // a client without a token has none to revoke
}

// apiError returns the error of the server; an empty one if there is none.
func apiError(err error) *api.Error {
	e := new(api.Error)
	_ = errors.As(err, &e)
	return e
}

// TestErrorsNameFields: an error says which parameter, field or variable of the path is wrong:
// for all of them. If the message names it, it begins with it.
func TestErrorsNameFields(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Admin.LogLevel = new(loglevel.Level) })
	connect(t, s).login("romeo", "phone")
	client := adminOf(t, s)
	var text json.RawMessage
	if err := client.Get(t.Context(), api.PathOpenAPI, nil, &text); err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]struct {
			ID         string `json:"operationId"`
			Parameters []struct{ Name, In string }
			Body       struct {
				Content map[string]struct{ Schema map[string]string }
			} `json:"requestBody"`
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]map[string]any
			}
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func(field, method, path string, query url.Values, body any) {
		t.Helper()
		tried++
		e := apiError(client.Do(t.Context(), method, path, query, body, nil))
		if e.Status != http.StatusBadRequest || e.Field != field || strings.Contains(e.Message, field+" must") && !strings.HasPrefix(e.Message, field+" ") {
			t.Errorf("%s %s %v %v: %+v, want the field %s", method, path, query, body, e, field)
		}
	}
	variables := strings.NewReplacer("{jid}/trace", "romeo@localhost%2Fphone/trace", "/sessions/{jid}", "/sessions/romeo@localhost%2Fphone", "{jid}", "romeo@localhost", "{target}", "192.0.2.1", "{client}", "00000000-0000-4000-8000-000000000000")
	for path, methods := range d.Paths {
		for method, o := range methods {
			method = strings.ToUpper(method)
			for _, p := range o.Parameters {
				if p.In == "path" {
					if anyVariable[p.Name] {
						continue
					}
					var body any
					if right := rightFields[o.ID]; right != "" {
						body = json.RawMessage(right)
					}
					try(p.Name, method, variables.Replace(strings.Replace(path, "{"+p.Name+"}", "@", 1)), nil, body)
					continue
				}
				value, ok := wrongParams[p.Name]
				if !ok {
					value = "x"
				}
				for _, value := range []string{value, ""} {
					try(p.Name, method, variables.Replace(path), url.Values{p.Name: {value}}, nil)
				}
			}
			ref := o.Body.Content["application/json"].Schema["$ref"]
			for name, property := range d.Components.Schemas[ref[strings.LastIndex(ref, "/")+1:]].Properties {
				with := func(value string) map[string]json.RawMessage {
					body := make(map[string]json.RawMessage)
					if right := rightFields[o.ID]; right != "" {
						if err := json.Unmarshal([]byte(right), &body); err != nil {
							t.Fatal(err)
						}
					}
					body[name] = json.RawMessage(value)
					return body
				}
				try(name, method, variables.Replace(path), nil, with("{}"))
				wrong, ok := wrongValues[o.ID+" "+name]
				switch {
				case !ok && property["type"] != "boolean":
					t.Errorf("add a wrong value for the field %s of %s to this test", name, o.ID)
				case ok && wrong != "any":
					try(name, method, variables.Replace(path), nil, with(wrong))
				}
			}
		}
	}
	if tried < 60 {
		t.Errorf("only %d fields were tried", tried)
	}
	if e := apiError(client.Do(t.Context(), "PUT", api.PathLogLevel, nil, map[string]any{"level": "info", "nonsense": 1}, nil)); e.Field != "nonsense" {
		t.Errorf("%+v", e)
	}
	if e := apiError(client.Get(t.Context(), api.PathStatus, url.Values{"nonsense": {"1"}}, nil)); e.Field != "nonsense" {
		t.Errorf("%+v", e)
	}
}
