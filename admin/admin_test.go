package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"roost/admin/api"
	"roost/poller"
	"roost/router"
	"roost/session"
	"roost/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testStore is a store that may not respond.
type testStore struct {
	store.Store
	mu            sync.Mutex
	err           error
	hangs, panics bool
}

func (s *testStore) set(err error, hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.hangs = err, hangs
}

func (s *testStore) setPanics(panics bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs, s.panics = false, panics
}

func (s *testStore) LastAccountEvent(ctx context.Context) (int64, error) {
	s.mu.Lock()
	err, hangs, panics := s.err, s.hangs, s.panics
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	if panics {
		panic("no")
	}
	return 0, err
}

// start starts a server without clients, and returns a local client of it.
func start(t *testing.T, change func(*Config, *Backend)) (*Server, *api.Client) {
	t.Helper()
	p, err := poller.New(poller.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	st := new(testStore)
	r := router.New(router.Config{Store: st})
	m := session.NewManager(session.Config{Domains: []string{"localhost"}, Router: r})
	r.Attach(m)
	var cfg Config
	b := Backend{
		Socket: filepath.Join(t.TempDir(), api.SocketName), Domains: func() []string { return []string{"localhost"} }, Sessions: m, Router: r, Store: st, Meter: store.NewMeter(), Poller: p,
		State:        func() api.State { return api.Serving },
		Predict:      func(int) (user, kernel int64) { return 1, 2 },
		Listeners:    func() []api.Listener { return nil },
		Certificates: func() []api.Certificate { return nil },
		Expiry:       func() map[string]time.Time { return nil },
		Remaining:    func() map[string]int64 { return nil },
	}
	if change != nil {
		change(&cfg, &b)
	}
	s, err := New(cfg, b)
	if err != nil {
		t.Fatal(err)
	}
	c := api.Local(b.Socket)
	t.Cleanup(func() {
		c.Close()
		if err := errors.Join(s.Close(), p.Close()); err != nil {
			t.Error(err)
		}
		m.Close()
		r.Close()
	})
	return s, c
}

// wantError checks the error of a request, its code and a part of its text.
func wantError(t *testing.T, err error, status int, code api.ErrorCode, text string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Status != status || e.Code != code || !strings.Contains(e.Error(), text) {
		t.Errorf("%#v; want status %d, code %s and %q", err, status, code, text)
	}
}

// TestHealth: each check fails if what it looks at does.
func TestHealth(t *testing.T) {
	st := new(testStore)
	logErr := make(chan error, 1)
	s, c := start(t, func(cfg *Config, b *Backend) {
		b.Store = st
		cfg.LogWritten = func(context.Context) error {
			select {
			case err := <-logErr:
				return err
			default:
				return nil
			}
		}
	})
	check := func(timeout string, failed map[string]string) {
		t.Helper()
		var h api.Health
		query := map[string][]string{}
		if timeout != "" {
			query["timeout"] = []string{timeout}
		}
		if err := c.Get(t.Context(), api.PathHealth, query, &h); err != nil {
			t.Fatal(err)
		}
		if h.OK != (len(failed) == 0) || len(h.Checks) != 3 {
			t.Errorf("%+v, want failed: %v", h, failed)
		}
		for _, check := range h.Checks {
			if want, fails := failed[check.Name]; check.OK == fails || check.Error != want {
				t.Errorf("%+v, want failed: %v", check, failed)
			}
		}
	}
	check("", nil)
	logErr <- errors.New("no log")
	st.set(errors.New("disk"), false)
	check("", map[string]string{"log": "no log", "store": "the store has failed; the log has the reason"})
	st.set(nil, true)
	check("0.05", map[string]string{"store": "the store has not responded"})
	st.setPanics(true)
	check("", map[string]string{"store": errPanicked.Error()})
	st.setPanics(false)

	stuck, release := make(chan struct{}), make(chan struct{})
	s.b.Poller.PostAll(func(loop int) {
		if loop == 1 {
			close(stuck)
			<-release
		}
	})
	<-stuck
	check("0.05", map[string]string{"loops": "1 of 2 event loops have not turned"})
	check("0.05", map[string]string{"loops": "an event loop has not turned since an earlier check"})
	close(release)
	check("30", nil)

	for _, timeout := range []string{"0", "-1", "31", "NaN", "soon"} {
		err := c.Get(t.Context(), api.PathHealth, map[string][]string{"timeout": {timeout}}, new(api.Health))
		wantError(t, err, 400, api.CodeBadRequest, "timeout must be above 0")
	}
}

func TestReady(t *testing.T) {
	state := make(chan api.State, 1)
	_, c := start(t, func(_ *Config, b *Backend) { b.State = func() api.State { return <-state } })
	for _, want := range []struct {
		state api.State
		ok    bool
		err   string
	}{{api.Serving, true, ""}, {api.Draining, false, "the server is draining"}, {api.Stopping, false, "the server is stopping"}} {
		state <- want.state
		var h api.Health
		if err := c.Get(t.Context(), api.PathReady, nil, &h); err != nil || h.OK != want.ok || h.Checks[0].Error != want.err {
			t.Errorf("%s: %+v %v", want.state, h, err)
		}
	}
}

// TestWrongRequests: mistakes are told with their status, and what would be right.
func TestWrongRequests(t *testing.T) {
	_, c := start(t, nil)
	ctx := t.Context()
	wantError(t, c.Get(ctx, "/v1/nothing", nil, nil), 404, api.CodeNotFound, "no path /v1/nothing")
	wantError(t, c.Do(ctx, http.MethodPost, api.PathStatus, nil, nil, nil), 405, api.CodeMethod, "use GET, HEAD")
	if err := c.Do(ctx, http.MethodHead, api.PathStatus, nil, nil, nil); err != nil {
		t.Errorf("HEAD: %v", err)
	}
	wantError(t, c.Get(ctx, api.PathStatus+"?x=%zz", nil, nil), 400, api.CodeBadRequest, "cannot be read")
	wantError(t, c.Get(ctx, api.PathStatus+"?x;y", nil, nil), 400, api.CodeBadRequest, "cannot be read")
	wantError(t, c.Get(ctx, api.PathSessions+"?account=", nil, nil), 400, api.CodeBadRequest, "account is empty")
	wantError(t, c.Get(ctx, api.PathStatus, map[string][]string{"x": {"1"}}, nil), 400, api.CodeBadRequest, `no parameter "x"`)
	wantError(t, c.Get(ctx, api.PathHealth, map[string][]string{"timeout": {"1", "2"}}, nil), 400, api.CodeBadRequest, "given 2 times")
	wantError(t, c.Do(ctx, http.MethodGet, api.PathStatus, nil, "text", nil), 400, api.CodeBadRequest, "no body")
	wantError(t, c.Do(ctx, http.MethodGet, api.PathStatus, nil, strings.Repeat("x", maxBody), nil), 413, api.CodeTooLarge, "larger")
	err := c.Get(ctx, api.PathStatus, map[string][]string{"x": {strings.Repeat("x", 2*maxHeader)}}, nil)
	if err == nil { // 431, or a reset if the rest of the header was not read
		t.Error("a long header is accepted")
	}
}

// TestBodies: a body is one JSON value of the right type, without unknown fields.
func TestBodies(t *testing.T) {
	type body struct {
		A int `json:"a"`
	}
	r := route{body: func() any { return new(body) }}
	f := func(contentType, text, want string) {
		t.Helper()
		hr, err := http.NewRequest(http.MethodPost, "http://roost/", io.NopCloser(strings.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		hr.Header.Set("Content-Type", contentType)
		req := &request{Request: hr}
		err = r.readBody(nil, req)
		switch {
		case want == "" && (err != nil || req.body.(*body).A != 1):
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	f("application/json", `{"a":1}`, "")
	f("application/json; charset=utf-8", `{"a":1}`, "")
	f("application/json", `{"a":1}{}`, "something after")
	f("application/json", `{"a":1,"b":2}`, "unknown field")
	f("application/json", `{"a":"1"}`, "not what this request takes")
	f("application/json", ``, "not what this request takes")
	f("text/plain", `{"a":1}`, "must be JSON")
	f("application/x-www-form-urlencoded", `{"a":1}`, "must be JSON")
	f("", `{"a":1}`, "must be JSON")
}

// TestPanic: a panic in a handler is a response and a line in the log, not the end.
func TestPanic(t *testing.T) {
	var log strings.Builder
	_, c := start(t, func(_ *Config, b *Backend) {
		b.Logger = slog.New(slog.NewTextHandler(&log, nil))
		b.State = func() api.State { panic("secret") }
	})
	err := c.Get(t.Context(), api.PathStatus, nil, nil)
	wantError(t, err, 500, api.CodeInternal, "log")
	if strings.Contains(err.Error(), "secret") || !strings.Contains(log.String(), "secret") {
		t.Errorf("%v; %s", err, &log)
	}
}

// TestPeers: of local users only root and the server's own are served.
func TestPeers(t *testing.T) {
	own := uint32(os.Geteuid())
	for _, p := range []struct {
		uid  uint32
		want bool
	}{{0, true}, {own, true}, {own + 1, false}, {nobody, false}} {
		if got := (peer{local: true, uid: p.uid}).allowed(); got != p.want {
			t.Errorf("user %d: %v", p.uid, got)
		}
	}
	s, _ := start(t, nil)
	r, err := http.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, peer{local: true, uid: own + 1}), http.MethodGet, "http://roost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.authorize(nil, r, ScopeNone, "test")
	wantError(t, err, 403, api.CodeForbidden, "only root")
}

// TestRate: the rate is that of the last minute.
func TestRate(t *testing.T) {
	var r rate
	begin := time.Now()
	if got := r.perSecond(sample{begin, 5}); got != 0 {
		t.Errorf("without a sample: %v", got)
	}
	for i := range 100 {
		r.add(sample{begin.Add(time.Duration(i) * sampleInterval), int64(10 * i)})
	}
	if len(r.samples) != sampleCount || r.perSecond(sample{begin.Add(99 * sampleInterval), 990}) != 2 {
		t.Errorf("%d samples, %v a second", len(r.samples), r.perSecond(sample{begin.Add(99 * sampleInterval), 990}))
	}
	if got := r.perSecond(r.samples[0]); got != 0 {
		t.Errorf("in no time: %v", got)
	}
}
