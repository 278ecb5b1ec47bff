package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"roost/admin/api"
)

// audit reads the lines of an audit log.
func audit(t *testing.T, name string) (all []AuditEntry) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e AuditEntry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.Time.IsZero() {
			t.Errorf("no time: %s", line)
		}
		all = append(all, e)
	}
	return all
}

// TestAuditOfRequests: every request of a route that changes something is recorded, whatever
// comes of it, with what it asked for and without secrets; of other routes only those that
// are not allowed.
func TestAuditOfRequests(t *testing.T) {
	type inner struct {
		Password string `json:"password" secret:"true"`
		Name     string `json:"name"`
	}
	type body struct {
		inner
		N     int     `json:"n,omitempty"`
		Inner inner   `json:"inner"`
		List  []inner `json:"list"`
	}
	dir := t.TempDir()
	name, tokenFile := filepath.Join(dir, "audit"), filepath.Join(dir, TokensName)
	reader := addToken(t, tokenFile, "reader", ScopeRead)
	s, c := start(t, func(cfg *Config, _ *Backend) { cfg.Audit, cfg.Addr, cfg.Tokens = name, "127.0.0.1:0", tokenFile })
	change := route{id: "thing.change", method: "POST", path: "/v1/things/{name}", scope: ScopeWrite, query: []param{{name: "mode"}}, body: func() any { return new(body) }}
	look := route{id: "thing.show", method: "GET", path: "/v1/things/{name}", scope: ScopeRead, handle: func(*Server, *request) (any, error) { return nil, nil }}
	do := func(method, token, query, text string, handle func(*request) error) {
		change.handle = func(_ *Server, r *request) (any, error) { return nil, handle(r) }
		r := httptest.NewRequest(method, "/v1/things/a%2Fb"+query, strings.NewReader(text))
		r.SetPathValue("name", "a/b")
		r.Header.Set("Content-Type", "application/json")
		p := peer{local: true}
		if token != "" {
			p.local = false
			r.Header.Set("Authorization", "Bearer "+token)
		}
		r = r.WithContext(withPeerValue(r.Context(), p))
		s.serve(httptest.NewRecorder(), r, map[string]route{"POST": change, "GET": look})
	}
	ok := func(*request) error { return nil }
	const good = `{"name":"<x>","password":"secret","n":12345678901234567,"inner":{"password":"secret","name":"y"},"list":[{"password":"secret","name":"z"}]}`
	do("POST", "", "?mode=fast", good, ok)
	do("POST", "", "", good, func(r *request) error { r.object = "other"; return &api.Error{Status: 409, Code: api.CodeConflict} })
	do("POST", "", "", good, func(*request) error { return errors.New("secret") })
	do("POST", "", "", good, func(*request) error { panic("secret") })
	do("POST", "", "?secret=secret", good, ok)
	do("POST", "", "?mode=fast", `{"secret":"secret"}`, ok)
	do("POST", reader, "", good, ok)
	do("POST", "roost_secret", "", good, ok)
	do("GET", "", "", "", ok)
	do("GET", reader, "", "", ok)
	do("GET", "roost_secret", "", "", ok)
	do("PUT", "", "", good, ok)
	if err := c.Get(t.Context(), api.PathStatus, nil, nil); err != nil {
		t.Error(err)
	}

	text, err := os.ReadFile(name)
	if err != nil || strings.Contains(string(text), "secret") || strings.Contains(string(text), "12345678901234567e") || !strings.Contains(string(text), "<x>") {
		t.Errorf("%v\n%s", err, text)
	}
	root := userName(0)
	params := map[string]any{"name": "<x>", "n": 12345678901234567.0, "inner": map[string]any{"name": "y"}, "list": []any{map[string]any{"name": "z"}}}
	fast := map[string]any{"mode": "fast"}
	for k, v := range params {
		fast[k] = v
	}
	const from = "192.0.2.1:1234" // of httptest
	want := []AuditEntry{
		{Actor: root, Action: "thing.change", Object: "a/b", Params: fast, Result: "ok"},
		{Actor: root, Action: "thing.change", Object: "other", Params: params, Result: "conflict"},
		{Actor: root, Action: "thing.change", Object: "a/b", Params: params, Result: "internal"},
		{Actor: root, Action: "thing.change", Object: "a/b", Params: params, Result: "internal"},
		{Actor: root, Action: "thing.change", Object: "a/b", Result: "bad-request"},
		{Actor: root, Action: "thing.change", Object: "a/b", Params: map[string]any{"mode": "fast"}, Result: "bad-request"},
		{Actor: "token reader", From: from, Action: "thing.change", Result: "forbidden"},
		{From: from, Action: "thing.change", Result: "unauthorized"},
		{From: from, Action: "thing.show", Result: "unauthorized"},
	}
	got := audit(t, name)
	for i := range got {
		got[i].Time = got[i].Time.UTC()
		if i < len(want) {
			want[i].Time = got[i].Time
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("%d: %+v, want %+v", i, got[i], want[i])
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d:\n%s", len(got), len(want), text)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	// Requests that are refused cannot fill the disk.
	for range 2 * maxRefusals {
		do("POST", reader, "", good, ok)
	}
	if n := len(audit(t, name)); n > len(want)+maxRefusals {
		t.Errorf("%d entries", n)
	}
}

// TestAuditRotation: after it was renamed the file is opened again; a missing directory
// leaves the old one in use. A symbolic link is refused.
func TestAuditRotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "audit")
	if err := os.WriteFile(name, []byte(`{"time":"2026-01-01T00:00:00Z"}`+"\n"+`{"cut`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, func(cfg *Config, _ *Backend) { cfg.Audit = name })
	s.audit.Record(AuditEntry{Action: "1"})
	text, err := os.ReadFile(name)
	if err != nil || strings.Count(string(text), "\n") != 3 || !strings.Contains(string(text), "{\"cut\n{") {
		t.Errorf("after a line without an end: %q %v", text, err)
	}
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	s.audit.Record(AuditEntry{Action: "2"})
	if err := s.ReopenAudit(); err != nil {
		t.Error(err)
	}
	s.audit.Record(AuditEntry{Action: "3"})
	if got := audit(t, name); len(got) != 1 || got[0].Action != "3" {
		t.Errorf("%+v", got)
	}
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	if err := s.ReopenAudit(); err == nil {
		t.Error("there is no directory")
	}
	s.audit.Record(AuditEntry{Action: "4"})
	if got := audit(t, filepath.Join(dir+"2", "audit")); len(got) != 2 || got[1].Action != "4" {
		t.Errorf("%+v", got)
	}
	link := filepath.Join(dir+"2", "link")
	if err := os.Symlink("audit", link); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAudit(link, nil); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("%v", err)
	}
}

// fullDisk takes so many bytes.
type fullDisk struct {
	bytes.Buffer
	space int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.space)
	d.Buffer.Write(p[:n])
	if d.space -= n; n < len(p) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

func (d *fullDisk) Close() error { return nil }

// TestAuditFullDisk: a full disk is logged, once, does not keep anything from being done,
// and costs no entry but those that did not fit.
func TestAuditFullDisk(t *testing.T) {
	var log strings.Builder
	disk := &fullDisk{space: 100}
	a := &Audit{name: "audit", out: disk, log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, action := range []string{"first", "cut", "lost", "lost"} {
		a.Record(AuditEntry{Action: action})
	}
	disk.space = 1000
	a.Record(AuditEntry{Action: "last"})
	a.Record(AuditEntry{Action: "last"})
	var whole []string
	for line := range strings.Lines(disk.String()) {
		var e AuditEntry
		if json.Unmarshal([]byte(line), &e) == nil {
			whole = append(whole, e.Action)
		}
	}
	if got := strings.Join(whole, " "); got != "first last last" {
		t.Errorf("%s in\n%s", got, disk)
	}
	if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "cannot be written") || !strings.Contains(text, "entries are missing") || !strings.Contains(text, "lines=3") {
		t.Errorf("%s", text)
	}
}

// TestNoAudit: without a file nothing is recorded.
func TestNoAudit(t *testing.T) {
	var a *Audit
	a.Record(AuditEntry{})
	if err := errors.Join(a.Reopen(), a.Close()); err != nil {
		t.Error(err)
	}
}
