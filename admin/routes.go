package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"roost/admin/api"
	"roost/admin/dashboard"
	"roost/internal/panics"
)

// route is one request that there is. The table of routes is the only place that knows
// them: requests are checked against it, and the OpenAPI document is made of it.
type route struct {
	id           string // such as "session.end": the action in the audit log, and the ID in the OpenAPI document; empty: method and path
	method, path string
	scope        Scope
	summary      string
	query        []param    // parameters that may be given
	body         func() any // a pointer to a new value for the body of the request; nil: there is none
	maxBody      int64      // limit of the body in bytes; 0: the usual one
	response     any        // a value of the type of the response; nil: there is none
	lines        bool       // the response is a stream of lines, each of this type
	media        string     // of the response, if it is not JSON
	unavailable  any        // a value of the type of the response with the status 503, if it is not an error
	handle       func(*Server, *request) (any, error)
}

// param is a parameter of a request.
type param struct {
	name, kind string // kind: string, integer, number or boolean
	doc        string
}

// routes are all routes.
func routes() []route {
	return slices.Concat(openAPIRoutes, healthRoutes, metricsRoutes, statusRoutes, sessionRoutes, traceRoutes, accountRoutes, fastTokenRoutes, importRoutes, configRoutes, logLevelRoutes, announceRoutes, blockRoutes, invitationRoutes, drainRoutes, eventRoutes, statsRoutes)
}

// request is a request that was found to be allowed.
type request struct {
	*http.Request
	actor   string
	object  string // what it is about, for the audit log: at first the variable parts of the path
	checked bool   // the parameters are known ones
	body    any    // what the route's body has returned; nil before it was read
	ends    []func()
}

// atEnd has f called when the response has been sent, or the request has failed in any way.
// The functions are called in reverse order.
func (r *request) atEnd(f func()) { r.ends = append(r.ends, f) }

// end calls the functions of atEnd.
func (r *request) end() {
	for _, f := range r.ends {
		defer f()
	}
}

// reply is a response with a status other than 200.
type reply struct {
	status int
	body   any
}

// rawBody is a response that is not JSON.
type rawBody struct {
	contentType string
	body        []byte
}

// handler returns the handler of all requests.
func (s *Server) handler() http.Handler {
	byPath := make(map[string]map[string]route)
	for _, r := range s.routes {
		if byPath[r.path] == nil {
			byPath[r.path] = make(map[string]route)
		}
		byPath[r.path][r.method] = r
	}
	mux := http.NewServeMux()
	for pattern, methods := range byPath {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, methods) })
	}
	unknown := func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, nil) }
	mux.HandleFunc("/", unknown)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// For these, the mux would send responses of its own, and without a token.
		if p := r.URL.EscapedPath(); r.Method == http.MethodConnect || path.Clean("/"+p) != p {
			unknown(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// withPages adds the pages of the dashboard to the handler of the API.
func (s *Server) withPages(api http.Handler) http.Handler {
	pages := s.newDashboard(api)
	return s.onlyOurPages(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recoverRequest(w, r)
		if dashboard.Serves(r.URL.Path) {
			pages.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	}))
}

// recoverRequest is deferred by the handlers of requests: net/http would recover from every
// panic.
func (s *Server) recoverRequest(w http.ResponseWriter, r *http.Request) {
	if p := recover(); p != nil {
		panics.Exit(p)
		s.panics.Recovered(p, s.b.Logger, "path", r.URL.Path)
		write(w, http.StatusInternalServerError, api.ErrorResponse{Error: *failure(errPanicked)})
	}
}

// serve serves a request for a path with these methods, none if the path is unknown.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, methods map[string]route) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	defer s.recoverRequest(w, r)
	req := &request{Request: r}
	defer req.end()
	result, err := s.process(w, req, methods)
	if err != nil {
		e := failure(err)
		if e.Code == api.CodeInternal {
			s.b.Logger.Error("a request to the administration interface has failed", "path", r.URL.Path, "err", err)
		}
		write(w, e.Status, api.ErrorResponse{Error: *e})
		return
	}
	status := http.StatusOK
	switch x := result.(type) {
	case stream:
		s.sendStream(w, r, x)
		return
	case reply:
		status, result = x.status, x.body
	}
	write(w, status, result)
}

// process checks a request and has it handled.
func (s *Server) process(w http.ResponseWriter, req *request, methods map[string]route) (any, error) {
	r := req.Request
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	route, known := methods[method]
	need := ScopeRead // not before a token is seen it is told what there is
	if known {
		need = route.scope
	}
	actor, err := s.authorize(w, r, need, route.action())
	switch {
	case err != nil:
		return nil, err
	case methods == nil:
		return nil, &api.Error{Status: 404, Code: api.CodeNotFound, Message: "there is no path " + r.URL.Path, Hint: "GET /v1/openapi.json has all of them"}
	case !known:
		allow := allowed(methods)
		w.Header().Set("Allow", allow)
		return nil, &api.Error{Status: 405, Code: api.CodeMethod, Message: r.URL.Path + " does not have the method " + r.Method, Hint: "use " + allow}
	}
	req.actor, req.object = actor, route.object(r)
	if route.scope == ScopeWrite {
		return s.audited(&route, req, func() (any, error) { return s.perform(w, &route, req) })
	}
	return s.perform(w, &route, req)
}

// perform checks what a request asks for and has it handled.
func (s *Server) perform(w http.ResponseWriter, route *route, req *request) (any, error) {
	if err := route.checkQuery(req.Request); err != nil {
		return nil, err
	}
	req.checked = true
	if err := route.readBody(w, req); err != nil {
		return nil, err
	}
	if route.lines {
		if err := s.enter(req); err != nil {
			return nil, err
		}
	}
	return route.handle(s, req)
}

// allowed are the methods of a path, for the header Allow.
func allowed(methods map[string]route) string {
	all := slices.Collect(maps.Keys(methods))
	if _, ok := methods[http.MethodGet]; ok {
		all = append(all, http.MethodHead)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// checkQuery refuses parameters that the route does not have, that have no value, or that
// are given twice: a list must not be longer than what was asked for.
func (r *route) checkQuery(req *http.Request) error {
	names := make([]string, len(r.query))
	for i, p := range r.query {
		names[i] = p.name
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return badRequest("escape special characters as %XX", "the parameters cannot be read")
	}
	for name, values := range query {
		hint := "there are no parameters"
		if len(names) > 0 {
			hint = "there are: " + strings.Join(names, ", ")
		}
		if !slices.Contains(names, name) {
			return badField(name, hint, "there is no parameter %q", name)
		}
		if len(values) > 1 {
			return badField(name, "give it once", "%s is given %d times", name, len(values))
		}
		if values[0] == "" {
			return badField(name, "leave it out, or give it a value", "%s is empty", name)
		}
	}
	return nil
}

// readBody decodes the body, which must be one JSON value without unknown fields.
func (r *route) readBody(w http.ResponseWriter, req *request) error {
	limit := cmp.Or(r.maxBody, maxBody)
	text, err := io.ReadAll(http.MaxBytesReader(w, req.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &api.Error{Status: 413, Code: api.CodeTooLarge, Message: fmt.Sprintf("the body is larger than %d bytes", limit)}
	case err != nil:
		return badRequest("", "the body could not be read")
	case r.body == nil && len(text) > 0:
		return badRequest("send none", "this request has no body")
	case r.body == nil:
		return nil
	}
	// A page of another site can make a browser send a form or text, not this type.
	if t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return &api.Error{Status: 415, Code: api.CodeMediaType, Message: "the body must be JSON", Hint: "send the header Content-Type: application/json"}
	}
	body := r.body()
	d, err := decodeBody(text, body)
	if err != nil {
		return badField(r.wrongField(text), "GET /v1/openapi.json has its fields", "the body is not what this request takes: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest("send one value", "there is something after the body's JSON value")
	}
	req.body = body
	return nil
}

// decodeBody decodes a JSON value, and returns the decoder, which may have more.
func decodeBody(text []byte, body any) (*json.Decoder, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d, d.Decode(body)
}

// wrongField returns the first field of a body that is not what the route takes, unknown
// ones included; empty if the whole body is wrong.
func (r *route) wrongField(text []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		one, err := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		if err != nil {
			return ""
		}
		if _, err := decodeBody(one, r.body()); err != nil {
			return name
		}
	}
	return ""
}

// badRequest is the error of a request that is wrong.
func badRequest(hint, format string, args ...any) error {
	return &api.Error{Status: 400, Code: api.CodeBadRequest, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// badField is the error of a request with a wrong parameter, field of the body, or variable
// of the path. A message that names it begins with it: commands show their flag instead.
func badField(field, hint, format string, args ...any) error {
	return &api.Error{Status: 400, Code: api.CodeBadRequest, Message: fmt.Sprintf(format, args...), Hint: hint, Field: field}
}

// errPanicked stands for a panic, which is logged.
var errPanicked = errors.New("this has panicked; the log has the reason")

// failure turns an error into what is told about it: of one that is not an *api.Error,
// nothing.
func failure(err error) *api.Error {
	var e *api.Error
	if errors.As(err, &e) {
		return e
	}
	return &api.Error{Status: 500, Code: api.CodeInternal, Message: "the server could not do this", Hint: "its log has the reason"}
}

// write writes a response.
func write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if t, ok := body.(rawBody); ok {
		w.Header().Set("Content-Type", t.contentType)
		w.WriteHeader(status)
		_, _ = w.Write(t.body)
		return
	}
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		panic("admin: BUG: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
