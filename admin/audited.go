package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"

	"roost/admin/api"
)

// audited calls f, which handles a request, and records what has come of it.
func (s *Server) audited(route *route, req *request, f func() (any, error)) (result any, err error) {
	outcome := string(api.CodeInternal) // of a panic
	defer func() {
		e := AuditEntry{Actor: req.actor, Action: route.action(), Object: req.object, Params: req.params(), Result: outcome}
		if p, _ := req.Context().Value(peerKey{}).(peer); !p.local {
			e.From = req.RemoteAddr
		}
		s.recordAction(e)
	}()
	result, err = f()
	outcome = "ok"
	if err != nil {
		outcome = string(failure(err).Code)
	}
	return result, err
}

// action is what the route does, for the audit log.
func (r *route) action() string {
	switch {
	case r.id != "":
		return r.id
	case r.path != "":
		return r.method + " " + r.path
	}
	return "unknown"
}

var pathVariable = regexp.MustCompile(`\{(\w+)(?:\.\.\.)?\}`)

// object is what the variable parts of the path of a request are.
func (r *route) object(req *http.Request) string {
	var all []string
	for _, m := range pathVariable.FindAllStringSubmatch(r.path, -1) {
		all = append(all, req.PathValue(m[1]))
	}
	return strings.Join(all, " ")
}

// params are the parameters and the body of a request, as far as they were found to be what
// they should be: what is elsewhere by mistake may be a password.
func (r *request) params() map[string]any {
	all := make(map[string]any)
	if r.checked {
		query, _ := url.ParseQuery(r.URL.RawQuery)
		for name, values := range query {
			all[name] = values[0]
		}
	}
	if r.body == nil {
		return all
	}
	text, err := json.Marshal(r.body)
	if err != nil {
		panic("admin: BUG: " + err.Error())
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var body map[string]any
	if err := d.Decode(&body); err != nil {
		return all // not an object
	}
	removeSecrets(reflect.TypeOf(r.body), body)
	for name, value := range body {
		all[name] = value
	}
	return all
}

// removeSecrets removes the fields with the tag secret from a value of a type, as it is in
// JSON.
func removeSecrets(t reflect.Type, v any) {
	switch t.Kind() {
	case reflect.Pointer:
		removeSecrets(t.Elem(), v)
	case reflect.Slice, reflect.Array:
		list, _ := v.([]any)
		for _, element := range list {
			removeSecrets(t.Elem(), element)
		}
	case reflect.Map:
		object, _ := v.(map[string]any)
		for _, element := range object {
			removeSecrets(t.Elem(), element)
		}
	case reflect.Struct:
		object, _ := v.(map[string]any)
		for _, f := range jsonFields(t) {
			if f.secret {
				delete(object, f.name)
			} else if value, ok := object[f.name]; ok {
				removeSecrets(f.Type, value)
			}
		}
	}
}

// jsonField is a field of a struct as it is in JSON.
type jsonField struct {
	reflect.StructField
	name             string
	optional, secret bool
	in               reflect.Type // the struct that declares it
}

// jsonFields are the fields of a struct, with those of embedded ones.
func jsonFields(t reflect.Type) (all []jsonField) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			all = append(all, jsonFields(f.Type)...)
		case f.IsExported() && name != "-":
			if name == "" {
				name = f.Name
			}
			optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
			all = append(all, jsonField{f, name, optional, f.Tag.Get("secret") != "", t})
		}
	}
	return all
}
