// Package dashboard serves the pages of the administration interface for browsers: the state
// of the server and its recent history, sessions and accounts, and the actions that an
// operator needs. Package admin mounts it beside the API. docs/admin.md describes it.
//
// # Pages
//
// The server generates the pages from templates. They work without JavaScript, except for the
// charts; a little JavaScript keeps open pages up to date. Everything comes from the program;
// the Content-Security-Policy allows nothing else, and nothing inline.
//
// # What protects it
//
// The pages request what they show, and do what they do, by the API, in the name of the
// user: scopes, checks and the audit log are there. A browser logs in with a token and gets
// a cookie. Users of the Unix socket need none. A form is accepted only with its own
// CSRF token, and only from a page of the same origin.
package dashboard

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"roost/admin/api"
	"roost/internal/logring"
)

// User is who uses the dashboard.
type User struct {
	Name  string // as it is logged: a user of the machine or the name of a token
	Write bool   // may change something
}

// TokenID stands for a token: the SHA-256 of its secret.
type TokenID = [sha256.Size]byte

// Users knows who makes a request.
type Users interface {
	// Local returns the user of a request that came by the Unix socket. local is false for
	// other requests. The error is what the user is told, if the user may not use it.
	Local(r *http.Request) (u User, local bool, err error)

	// Login checks the secret of a token. It may set headers of the response.
	Login(w http.ResponseWriter, r *http.Request, secret string) (TokenID, error)

	// Token returns the user that a token stands for; ok is false if it is no longer valid.
	Token(id TokenID) (u User, ok bool)

	// As returns a context for requests of the API that are made for a token, because of r.
	As(r *http.Request, id TokenID) context.Context
}

// Config is what a Dashboard needs. All fields are required unless stated otherwise.
type Config struct {
	API      *api.Client // makes requests in the name of the user in the context
	Users    Users
	History  *History
	Log      func() []logring.Line               // the last lines of the log, the newest first; nil: they are not shown
	Capacity func() (sessions int64, why string) // sessions that the machine can hold in total, and what limits them; nil: not shown
	Slowest  func() []SlowCall                   // the slowest operations of the store in the last minutes, the slowest first; nil: not shown
	CPUs     float64                             // that the process may use
	Logger   *slog.Logger
}

// SlowCall is an operation of the store.
type SlowCall struct {
	Name   string // of the method
	Writes bool
	At     time.Time // when it ended
	Took   time.Duration
}

// Dashboard serves the pages.
type Dashboard struct {
	cfg      Config
	mux      *http.ServeMux
	logins   logins
	localKey [32]byte // of the forms of local users and of the login
}

// Serves reports whether a path is one of the dashboard's. All others are the API's.
func Serves(name string) bool {
	return strings.HasPrefix(name, "/assets/") && path.Clean(name) == name || slices.ContainsFunc(pages, func(p page) bool {
		_, pattern, _ := strings.Cut(p.pattern, " ")
		return strings.TrimSuffix(pattern, "{$}") == name
	})
}

// page is one request that the dashboard serves.
type page struct {
	pattern string
	public  bool // without a login
	handle  func(*Dashboard, *visit) error
}

var pages = []page{
	{"GET /assets/", true, (*Dashboard).asset},
	{"GET /login", true, (*Dashboard).showLogin},
	{"POST /login", true, (*Dashboard).login},
	{"POST /logout", false, (*Dashboard).logout},
	{"GET /{$}", false, (*Dashboard).overview},
	{"GET /history.json", false, (*Dashboard).history},
	{"GET /sessions", false, (*Dashboard).sessions},
	{"GET /session", false, (*Dashboard).session},
	{"POST /session/end", false, (*Dashboard).endSession},
	{"GET /accounts", false, (*Dashboard).accounts},
	{"GET /account", false, (*Dashboard).account},
	{"POST /account/disable", false, accountAction(api.PathAccountDisable, "disabled")},
	{"POST /account/enable", false, accountAction(api.PathAccountEnable, "enabled")},
	{"POST /account/logout", false, accountAction(api.PathAccountLogout, "loggedout")},
	{"POST /account/revoke", false, (*Dashboard).revokeToken},
	{"GET /announce", false, (*Dashboard).announce},
	{"POST /announce", false, (*Dashboard).startAnnounce},
	{"POST /announce/abort", false, abort(api.PathAnnounce, "/announce")},
	{"GET /drain", false, (*Dashboard).drain},
	{"POST /drain", false, (*Dashboard).startDrain},
	{"POST /drain/abort", false, abort(api.PathDrain, "/drain")},
}

// New returns a Dashboard.
func New(cfg Config) *Dashboard {
	d := &Dashboard{cfg: cfg, mux: http.NewServeMux(), logins: newLogins(time.Now)}
	rand.Read(d.localKey[:])
	for _, p := range pages {
		d.mux.HandleFunc(p.pattern, func(w http.ResponseWriter, r *http.Request) { d.serve(w, r, p) })
	}
	return d
}

// maxForm limits a form, in bytes.
const maxForm = 16 << 10

// ServeHTTP serves a request for a path that Serves knows.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	d.mux.ServeHTTP(w, r)
}

// visit is a request, and who makes it.
type visit struct {
	*http.Request
	w      http.ResponseWriter
	user   User
	local  bool   // by the Unix socket
	cookie string // of the login; empty for local users
	key    [32]byte
	known  bool            // the user is known
	ctx    context.Context // for requests of the API
}

// serve serves a request for a page.
func (d *Dashboard) serve(w http.ResponseWriter, r *http.Request, p page) {
	v := &visit{Request: r, w: w, key: d.localKey}
	err := d.identify(v)
	if err == nil && !v.known && !p.public {
		d.requireLogin(v)
		return
	}
	if err == nil && r.Method == http.MethodPost {
		err = v.checkForm()
	}
	if err == nil {
		err = p.handle(d, v)
	}
	if err != nil {
		d.fail(v, err)
	}
}

// identify finds out who makes a request.
func (d *Dashboard) identify(v *visit) (err error) {
	v.ctx = v.Context()
	if v.user, v.local, err = d.cfg.Users.Local(v.Request); err != nil || v.local {
		v.known = err == nil
		return err
	}
	c, err := v.Cookie(cookieName(v.TLS != nil))
	if err != nil {
		return nil
	}
	l, ok := d.logins.find(c.Value)
	if !ok {
		return nil
	}
	if v.user, v.known = d.cfg.Users.Token(l.token); !v.known {
		d.logins.end(c.Value)
		return nil
	}
	v.cookie, v.key, v.ctx = c.Value, l.key, d.cfg.Users.As(v.Request, l.token)
	return nil
}

// requireLogin sends a browser to the login, which leads back.
func (d *Dashboard) requireLogin(v *visit) {
	if v.URL.Path == "/history.json" || v.Method != http.MethodGet && v.Method != http.MethodHead {
		d.fail(v, &api.Error{Status: 401, Code: api.CodeUnauthorized, Message: "You are not logged in any more", Hint: "log in again"})
		return
	}
	target := "/login"
	if v.URL.RequestURI() != "/" {
		target += "?" + url.Values{"next": {v.URL.RequestURI()}}.Encode()
	}
	http.Redirect(v.w, v.Request, target, http.StatusSeeOther)
}

// fail shows what is wrong.
func (d *Dashboard) fail(v *visit, err error) {
	var e *api.Error
	if !errors.As(err, &e) {
		d.cfg.Logger.Error("a page of the dashboard has failed", "path", v.URL.Path, "err", err)
		e = &api.Error{Status: 500, Code: api.CodeInternal, Message: "the server could not do this", Hint: "its log has the reason"}
	}
	d.render(v, e.Status, "error.html", sentence(e.Message), e)
}

// sentence begins a text with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[n:]
}

// render writes a page.
func (d *Dashboard) render(v *visit, status int, name, title string, content any) {
	data := pageData{Title: title, Path: v.URL.Path, Content: content, visit: v}
	var b bytes.Buffer
	if err := templates[name].ExecuteTemplate(&b, "layout.html", &data); err != nil {
		d.cfg.Logger.Error("BUG: a page of the dashboard cannot be made", "path", v.URL.Path, "err", err)
		http.Error(v.w, "This page cannot be shown; the log of the server has the reason.", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes())
}

// pageData is what the layout is made of.
type pageData struct {
	Title, Path string
	Content     any
	visit       *visit
}

// User returns the user who is logged in.
func (p *pageData) User() User { return p.visit.user }

// Known reports whether somebody is logged in.
func (p *pageData) Known() bool { return p.visit.known }

// Local reports whether the page is shown by the Unix socket, where there is no login.
func (p *pageData) Local() bool { return p.visit.local }

// CSRF returns the token of a form for a path.
func (p *pageData) CSRF(path string) string { return csrf(p.visit.key, path) }

// Done returns what the user has just done, to say that it is done.
func (p *pageData) Done() string { return done[p.visit.URL.Query().Get("done")] }

// done are the texts after an action, by the value of a parameter: only these can be shown.
var done = map[string]string{
	"ended":     "The session is ended. The client has been told why; it may log in again.",
	"disabled":  "The account is disabled. Its sessions end, and it cannot log in.",
	"enabled":   "The account is enabled. It may log in again.",
	"loggedout": "All sessions of the account end. Its clients may log in again, with the password.",
	"revoked":   "The client needs the password to log in again.",
	"announced": "The announcement is being sent.",
	"draining":  "The drain is accepted.",
}

// badInput is the error of a form that is wrong.
func badInput(format string, args ...any) error {
	return &api.Error{Status: 400, Code: api.CodeBadRequest, Message: fmt.Sprintf(format, args...)}
}
