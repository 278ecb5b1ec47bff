package admin

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/admin/api"
)

// document is what the tests read of the OpenAPI document.
type document struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string `json:"summary"`
		Scope       Scope  `json:"x-scope"`
		Parameters  []struct {
			Name        string         `json:"name"`
			In          string         `json:"in"`
			Description string         `json:"description"`
			Schema      map[string]any `json:"schema"`
		} `json:"parameters"`
		RequestBody any              `json:"requestBody"`
		Security    *json.RawMessage `json:"security"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Description string                    `json:"description"`
			Properties  map[string]map[string]any `json:"properties"`
			Required    []string                  `json:"required"`
			More        *bool                     `json:"additionalProperties"`
		} `json:"schemas"`
	} `json:"components"`
}

// TestOpenAPIRoutes: the document has every route and nothing else, and the server does with
// each what is documented: who may ask, and for what.
func TestOpenAPIRoutes(t *testing.T) {
	file := filepath.Join(t.TempDir(), TokensName)
	token := addToken(t, file, "reader", ScopeRead)
	s, local := start(t, func(cfg *Config, _ *Backend) { cfg.Addr, cfg.Tokens = "127.0.0.1:0", file })
	reader, err := api.Remote("http://"+s.Addr().String(), token, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var d document
	if err := local.Get(t.Context(), api.PathOpenAPI, nil, &d); err != nil {
		t.Fatal(err)
	}
	if d.OpenAPI != "3.1.0" {
		t.Errorf("version %q", d.OpenAPI)
	}
	ids := make(map[string]bool)
	documented := 0
	for _, r := range routes() {
		o, ok := d.Paths[r.path][strings.ToLower(r.method)]
		if !ok {
			t.Errorf("%s %s is not documented", r.method, r.path)
			continue
		}
		documented++
		if o.OperationID == "" || ids[o.OperationID] || o.Scope != r.scope || o.Summary == "" || (o.RequestBody != nil) != (r.body != nil) || (o.Security != nil) != (r.scope == ScopeNone) {
			t.Errorf("%s %s: %+v", r.method, r.path, o)
		}
		ids[o.OperationID] = true
		query := 0
		for _, p := range o.Parameters {
			if p.In == "path" {
				if !strings.Contains(r.path, "{"+p.Name) {
					t.Errorf("%s has no %s", r.path, p.Name)
				}
				continue
			}
			query++
			kind, _ := p.Schema["type"].(string)
			if p.Description == "" || !slices.Contains([]string{"string", "integer", "number", "boolean"}, kind) {
				t.Errorf("%s: parameter %s: %+v", r.path, p.Name, p)
			}
		}
		if query != len(r.query) {
			t.Errorf("%s has %d parameters, documented are %d", r.path, len(r.query), query)
		}
		path := pathVariable.ReplaceAllString(r.path, "x")
		if r.scope == ScopeWrite {
			wantError(t, reader.Do(t.Context(), r.method, path, nil, nil, nil), 403, api.CodeForbidden, "needs write")
		}
		err := local.Do(t.Context(), r.method, path, map[string][]string{"nonsense": {"1"}}, nil, nil)
		wantError(t, err, 400, api.CodeBadRequest, `no parameter "nonsense"`)
		if r.body != nil {
			err := local.Do(t.Context(), r.method, path, nil, map[string]any{"nonsense": 1}, nil)
			wantError(t, err, 400, api.CodeBadRequest, `unknown field "nonsense"`)
		}
	}
	n := 0
	for path, methods := range d.Paths {
		n += len(methods)
		for method := range methods {
			err := local.Do(t.Context(), strings.ToUpper(method), pathVariable.ReplaceAllString(path, "x"), map[string][]string{"nonsense": {"1"}}, nil, nil)
			wantError(t, err, 400, api.CodeBadRequest, "nonsense")
		}
	}
	if n != documented || n < 5 {
		t.Errorf("%d operations are documented, %d are routes", n, documented)
	}
	for name, s := range d.Components.Schemas {
		if s.Description == "" || s.More == nil || *s.More {
			t.Errorf("%s: %+v", name, s)
		}
	}
	health := d.Components.Schemas["Health"]
	if !strings.HasPrefix(health.Description, "Health is the response to GET /healthz") || !slices.Equal(health.Required, []string{"ok", "checks"}) {
		t.Errorf("%+v", health)
	}
	if p := d.Components.Schemas["Session"].Properties; p["queued_bytes"]["description"] != "in its outbox: what the client has not read" || p["last_input"]["format"] != "date-time" ||
		!reflect.DeepEqual(d.Components.Schemas["SessionDetail"].Properties["jid"], p["jid"]) {
		t.Errorf("%+v", p)
	}
	wantError(t, reader.Do(t.Context(), http.MethodPost, api.PathOpenAPI, nil, nil, nil), 405, api.CodeMethod, "use GET")
}

// TestSchemas: the schema of each kind of type.
func TestSchemas(t *testing.T) {
	type tree struct {
		Leaves []*tree           `json:"leaves,omitempty"`
		Names  map[string]string `json:"names"`
		Secret string            `json:"secret" secret:"true"`
		hidden int
		Hidden int `json:"-"`
	}
	_ = tree{hidden: 1}
	g := &openAPI{comments: api.ReadComments(), schemas: make(map[string]any)}
	f := func(v any, want string) {
		t.Helper()
		text, err := json.Marshal(g.schema(reflect.TypeOf(v)))
		if err != nil || string(text) != want {
			t.Errorf("%T: %s %v, want %s", v, text, err, want)
		}
	}
	f(true, `{"type":"boolean"}`)
	f(1, `{"type":"integer"}`)
	f(int64(1), `{"type":"integer"}`)
	f(1.5, `{"type":"number"}`)
	f("", `{"type":"string"}`)
	f(time.Time{}, `{"format":"date-time","type":"string"}`)
	f(api.TLSLean, `{"enum":["none","tls12","std","lean"],"type":"string"}`)
	f([]string{}, `{"items":{"type":"string"},"type":"array"}`)
	f(json.RawMessage{}, `{}`)
	f(&tree{}, `{"$ref":"#/components/schemas/tree"}`)
	text, err := json.Marshal(g.schemas["tree"])
	const want = `{"additionalProperties":false,"description":"","properties":{` +
		`"leaves":{"items":{"$ref":"#/components/schemas/tree"},"type":"array"},` +
		`"names":{"additionalProperties":{"type":"string"},"type":"object"},` +
		`"secret":{"format":"password","type":"string","writeOnly":true}},"required":["names","secret"],"type":"object"}`
	if err != nil || string(text) != want {
		t.Errorf("%s %v, want %s", text, err, want)
	}
}
