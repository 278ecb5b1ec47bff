package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"roost/admin/api"
	"roost/internal/loglevel"
	"roost/internal/unixsock"
	"roost/store"
	"roost/xep"
)

// exchange is a request, by the ID of its operation, with the status of its response.
type exchange struct {
	operation string
	path      string // with parameters; "": as documented
	body      string
	status    int
}

// pencil are the keys of the password pencil, with the salt of RFC 7677 section 3.
const pencil = `{"sha1":{"salt":"W22ZaJ0SNY7soEsUEjb6gQ==","iterations":4096,"stored_key":"g2pEzX2tMaoibxTD4YfBJkq1y8w=","server_key":"ZGkNjsmKwVX5C5z80vGxHZ02jOI="},"sha256":{"salt":"W22ZaJ0SNY7soEsUEjb6gQ==","iterations":4096,"stored_key":"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=","server_key":"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="}}`

// TestAdminOpenAPI: real responses, also errors, are as the OpenAPI document says, and so
// are the bodies of requests. Every operation is tried.
func TestAdminOpenAPI(t *testing.T) {
	s := startServer(t, func(c *Config) {
		c.C2STLS, c.Admin.LogLevel, c.XEP.Invitations = "127.0.0.1:0", new(loglevel.Level), xep.InviteOperators
		c.Admin.Settings = func() []api.Setting {
			return []api.Setting{{Name: "workers", Value: "8", Source: "default", Note: "it is a test"}}
		}
		c.Admin.Reload = func(context.Context) (*api.Reload, error) {
			return &api.Reload{Changed: []api.Change{{Name: "linger", Old: "5s", New: "6s"}}, NeedRestart: []api.Change{}}, nil
		}
	})
	connect(t, s).login("romeo", "phone").available()
	connect(t, s).login("romeo", "laptop").available() // gets the announcement
	connect(t, s).login("juliet", "phone")
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return unixsock.Dial(ctx, filepath.Join(s.config().DataDir, api.SocketName))
	}}}
	defer client.CloseIdleConnections()
	do := func(method, path, body string) (int, []byte) {
		t.Helper()
		status, text := exchangeHTTP(t, &client, method, "http://roost"+path, "application/json", body)
		return status, []byte(text)
	}
	invited := store.InvitationID("token")
	if err := s.store.CreateInvitation(t.Context(), store.Invitation{ID: invited, Domain: "localhost", Inviter: "juliet@localhost", Contact: true, Uses: 1, Created: time.Now(), Until: time.Now().Add(time.Hour)}, 1); err != nil {
		t.Fatal(err)
	}
	_, text := do("GET", api.PathOpenAPI, "")
	d := readOpenAPI(t, text)
	tried := make(map[string]bool)
	for _, x := range []exchange{
		{"session.list", api.PathSessions + "?limit=1", "", 200},
		{"session.list", api.PathSessions + "?limit=0", "", 400},
		{"session.show", sessionPath("romeo@localhost/phone"), "", 200},
		{"session.show", sessionPath("romeo@localhost/none"), "", 404},
		{"session.trace", sessionPath("romeo@localhost/phone") + "/trace?seconds=0.001&bodies=true", "", 200},
		{"session.trace", sessionPath("romeo@localhost/none") + "/trace", "", 404},
		{"session.end", sessionPath("romeo@localhost/phone") + "?text=Bye", "", 200},
		{"session.end", sessionPath("romeo@localhost"), "", 400},
		{"account.create", api.PathAccounts, `{"jid":"bill@localhost","password":"x","iterations":4096}`, 200},
		{"account.create", api.PathAccounts, `{"jid":"bill@localhost","password":"x"}`, 409},
		{"account.create", api.PathAccounts, `{"jid":"bill@example.com","password":"x","any_domain":false}`, 400},
		{"account.lookup", api.PathAccountLookup, `{"jids":["bill@localhost","nobody@localhost"]}`, 200},
		{"account.lookup", api.PathAccountLookup, `{"jids":[]}`, 400},
		{"account.import", api.PathAccountImport, `{"accounts":[{"jid":"jill@localhost","keys":` + pencil + `}],"update":true}`, 200},
		{"account.import", api.PathAccountImport, `{"accounts":[{"jid":"jill@example.com","keys":` + pencil + `}],"any_domain":false}`, 400},
		{"account.list", api.PathAccounts + "?limit=1&prefix=b", "", 200},
		{"account.show", accountPath(api.PathAccount, "bill@localhost"), "", 200},
		{"account.password", accountPath(api.PathAccountPassword, "bill@localhost"), `{"password":"y","iterations":4096,"keep_sessions":true}`, 200},
		{"account.disable", accountPath(api.PathAccountDisable, "bill@localhost"), "", 200},
		{"account.enable", accountPath(api.PathAccountEnable, "bill@localhost"), "", 200},
		{"account.logout", accountPath(api.PathAccountLogout, "juliet@localhost") + "?text=Bye", "", 200},
		{"token.list", accountPath(api.PathAccountTokens, "juliet@localhost"), "", 200},
		{"token.revokeAll", accountPath(api.PathAccountTokens, "juliet@localhost"), "", 200},
		{"token.revoke", accountPath(api.PathAccountTokens, "juliet@localhost") + "/d4565fa7-4d72-4749-b3d3-740edbf87770", "", 200},
		{"account.delete", accountPath(api.PathAccount, "bill@localhost"), "", 204},
		{"account.delete", accountPath(api.PathAccount, "bill@localhost"), "", 404},
		{"config.reload", api.PathReload, "", 200},
		{"log.level.change", api.PathLogLevel, `{"level":"debug","seconds":60}`, 200},
		{"log.level.change", api.PathLogLevel, `{"level":"loud"}`, 400},
		{"announce.show", api.PathAnnounce, "", 404},
		{"announce.abort", api.PathAnnounce, "", 409},
		{"announce.start", api.PathAnnounce, `{"text": "Tea", "subject": "Today", "domain": "localhost", "rate": 0.001}`, 200}, // it waits a quarter of an hour
		{"announce.start", api.PathAnnounce, `{"text": "Tea"}`, 409},
		{"announce.show", api.PathAnnounce, "", 200},
		{"announce.abort", api.PathAnnounce, "", 200},
		{"block.add", api.PathBlocks, `{"target": "192.0.2.1", "seconds": 60, "reason": "spam"}`, 200},
		{"block.list", api.PathBlocks, "", 200},
		{"block.remove", api.PathBlocks + "/192.0.2.1", "", 200},
		{"block.remove", api.PathBlocks + "/192.0.2.1", "", 404},
		{"invitation.create", api.PathInvitations, `{"domain": "localhost", "username": "guest", "uses": 1, "seconds": 60}`, 200},
		{"invitation.create", api.PathInvitations, `{"username": "guest"}`, 409},
		{"invitation.list", api.PathInvitations, "", 200},
		{"invitation.revoke", api.PathInvitations + "/" + invited, "", 200},
		{"invitation.revoke", api.PathInvitations + "/" + invited, "", 404},
		{"drain.show", api.PathDrain, "", 404},
		{"drain.start", api.PathDrain, `{"over_seconds": 3600, "to": "192.0.2.1:5222", "text": "Bye", "exit": false}`, 200},
		{"drain.show", api.PathDrain, "", 200},
		{"drain.abort", api.PathDrain, "", 200},
	} {
		o, ok := d.operations[x.operation]
		if !ok {
			t.Errorf("there is no operation %s", x.operation)
			continue
		}
		if x.body != "" {
			d.check(t, o.at+"/requestBody/content/application~1json/schema", []byte(x.body))
		}
		status, text := do(o.method, x.path, x.body)
		if status != x.status {
			t.Errorf("%s %s: %d, want %d: %s", o.method, x.path, status, x.status, text)
		}
		d.checkResponse(t, o, status, text)
		tried[x.operation] = true
	}
	for id, o := range d.operations {
		if tried[id] || o.lines() { // a stream does not end
			continue
		}
		if o.method != http.MethodGet || strings.Contains(o.path, "{") {
			t.Errorf("%s has no example among the exchanges", id)
			continue
		}
		status, text := do(o.method, o.path, "")
		if status != 200 {
			t.Errorf("%s: %d: %s", o.path, status, text)
		}
		d.checkResponse(t, o, status, text)
	}
	// The check is not blind.
	if d.valid(t, d.operations["session.end"].at+"/responses/200/content/application~1json/schema", []byte(`{"jid":"a","condition":"b"}`)) == nil {
		t.Error("a missing field is not found")
	}
}

// operation is one of the document.
type operation struct {
	method, path string
	at           string // JSON pointer
	responses    map[string]any
}

// lines reports whether the response is a stream, which does not end.
func (o operation) lines() bool {
	response, _ := o.responses["200"].(map[string]any)
	content, _ := response["content"].(map[string]any)
	return content["application/x-ndjson"] != nil
}

// openAPIDocument checks JSON against an OpenAPI document.
type openAPIDocument struct {
	compiler   *jsonschema.Compiler
	operations map[string]operation // by ID
}

func readOpenAPI(t *testing.T, text []byte) *openAPIDocument {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := &openAPIDocument{jsonschema.NewCompiler(), make(map[string]operation)}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", v); err != nil {
		t.Fatal(err)
	}
	var paths struct {
		Paths map[string]map[string]struct {
			OperationID string         `json:"operationId"`
			Responses   map[string]any `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(text, &paths); err != nil {
		t.Fatal(err)
	}
	for path, methods := range paths.Paths {
		for method, o := range methods {
			at := fmt.Sprintf("/paths/%s/%s", strings.ReplaceAll(path, "/", "~1"), method)
			d.operations[o.OperationID] = operation{strings.ToUpper(method), path, at, o.Responses}
		}
	}
	return d
}

var notURL = regexp.MustCompile(`[{}]`)

// valid checks a JSON text against the schema at a place of the document.
func (d *openAPIDocument) valid(t *testing.T, at string, text []byte) error {
	t.Helper()
	schema, err := d.compiler.Compile("openapi.json#" + notURL.ReplaceAllStringFunc(at, func(c string) string { return fmt.Sprintf("%%%X", c[0]) }))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

func (d *openAPIDocument) check(t *testing.T, at string, text []byte) {
	t.Helper()
	if err := d.valid(t, at, text); err != nil {
		t.Errorf("%s: %v\n%s", at, err, text)
	}
}

// checkResponse checks a response of an operation.
func (d *openAPIDocument) checkResponse(t *testing.T, o operation, status int, text []byte) {
	t.Helper()
	at := "/components/responses/Error"
	if _, own := o.responses[fmt.Sprint(status)]; own {
		at = fmt.Sprintf("%s/responses/%d", o.at, status)
	}
	if status == http.StatusNoContent {
		if len(text) > 0 {
			t.Errorf("%s: %s", o.at, text)
		}
		return
	}
	response, _ := o.responses[fmt.Sprint(status)].(map[string]any)
	if content, ok := response["content"].(map[string]any); ok && content["application/json"] == nil {
		return // such as text
	}
	d.check(t, at+"/content/application~1json/schema", text)
}
