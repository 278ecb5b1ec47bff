package admin

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"roost/admin/api"
	"roost/internal/version"
)

var openAPIRoutes = []route{
	{id: "openapi", method: http.MethodGet, path: api.PathOpenAPI, scope: ScopeRead, response: map[string]any{}, handle: (*Server).openAPI,
		summary: "This document."},
}

// openAPI makes the document of the table of routes, so that it has what the server checks
// requests against. Descriptions of fields are the comments in package api.
func (s *Server) openAPI(*request) (any, error) {
	release, _ := version.Get()
	g := &openAPI{comments: api.ReadComments(), schemas: make(map[string]any)}
	paths := make(map[string]map[string]any)
	for i := range s.routes {
		r := &s.routes[i]
		if paths[r.path] == nil {
			paths[r.path] = make(map[string]any)
		}
		paths[r.path][strings.ToLower(r.method)] = g.operation(r)
	}
	failed := g.response("What is wrong. The status says so, too.", api.ErrorResponse{}, "")
	return object{
		"openapi": "3.1.0", // https://spec.openapis.org/oas/v3.1.0
		"info": object{
			"title": "roost", "version": release,
			"description": "The administration interface of a roost server. Times are RFC 3339, durations seconds, sizes bytes. On the server's Unix socket no token is needed.",
		},
		"security": []object{{"token": []string{}}},
		"paths":    paths,
		"components": object{
			"schemas":         g.schemas,
			"responses":       object{"Error": failed},
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}, nil
}

// object is a JSON object.
type object = map[string]any

// openAPI collects schemas.
type openAPI struct {
	comments api.Comments
	schemas  object // of structs, by the name of the type
}

// operation describes a route.
func (g *openAPI) operation(r *route) object {
	var parameters []object
	for _, m := range pathVariable.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range r.query {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.doc, "schema": object{"type": p.kind}})
	}
	responses := object{"default": object{"$ref": "#/components/responses/Error"}}
	switch {
	case r.response == nil:
		responses["204"] = object{"description": "It is done."}
	case r.lines:
		responses["200"] = g.stream(r.response)
	default:
		responses["200"] = g.response("Success.", r.response, r.media)
	}
	if r.unavailable != nil {
		responses["503"] = g.response("It is not as it should be.", r.unavailable, "")
	}
	o := object{"operationId": r.action(), "summary": r.summary, "x-scope": r.scope, "responses": responses}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if r.body != nil {
		o["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": g.schema(reflect.TypeOf(r.body()))}}}
	}
	if r.scope == ScopeNone {
		o["security"] = []object{}
	}
	return o
}

// response describes a response with a value of this type.
func (g *openAPI) response(description string, v any, media string) object {
	if media == "" {
		media = "application/json"
	}
	return object{"description": description, "content": object{media: object{"schema": g.schema(reflect.TypeOf(v))}}}
}

// stream describes a stream with lines of this type. The schema is that of a line: OpenAPI
// 3.1 has none for a sequence.
func (g *openAPI) stream(line any) object {
	const description = "A stream of lines, sent as they come. The schema is that of a line. Empty lines show that the server is alive. If the stream ends with an error, the last line has it."
	either := []object{g.schema(reflect.TypeOf(line)), g.schema(reflect.TypeFor[api.ErrorResponse]())}
	return object{"description": description, "content": object{mediaLines: object{"schema": object{"oneOf": either}}}}
}

// schema describes the JSON of a type (JSON Schema, draft 2020-12).
func (g *openAPI) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return object{}
	case reflect.TypeFor[[]byte]():
		return object{"type": "string", "contentEncoding": "base64"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.schema(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.String:
		if values := g.comments.Values[t.Name()]; values != nil {
			return object{"type": "string", "enum": values}
		}
		return object{"type": "string"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": g.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.schema(t.Elem())}
	case reflect.Interface:
		return object{}
	case reflect.Struct:
		if _, known := g.schemas[t.Name()]; !known {
			g.schemas[t.Name()] = nil // it may contain itself
			g.schemas[t.Name()] = g.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	if t.ConvertibleTo(reflect.TypeFor[int64]()) {
		return object{"type": "integer"}
	}
	panic("admin: BUG: " + t.String() + " has no JSON that is described")
}

// structure describes a struct.
func (g *openAPI) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range jsonFields(t) {
		property := g.schema(f.Type)
		if doc := g.comments.Fields[f.in.Name()+"."+f.Name]; doc != "" {
			property["description"] = doc
		}
		if f.secret {
			property["writeOnly"], property["format"] = true, "password"
		}
		properties[f.name] = property
		if !f.optional {
			required = append(required, f.name)
		}
	}
	return object{
		"type": "object", "description": g.comments.Types[t.Name()],
		"properties": properties, "required": required, "additionalProperties": false,
	}
}
