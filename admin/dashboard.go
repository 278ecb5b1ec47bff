package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"runtime"
	"syscall"
	"time"

	"roost/admin/api"
	"roost/admin/dashboard"
)

// newDashboard returns the pages, which use the API in this process.
func (s *Server) newDashboard(h http.Handler) http.Handler {
	return dashboard.New(dashboard.Config{
		API: api.Over(inProcess{h}), Users: users{s}, History: s.history, Log: s.cfg.RecentLog, Capacity: s.b.Capacity,
		Slowest: s.slowest, CPUs: float64(runtime.GOMAXPROCS(0)), Logger: s.b.Logger,
	})
}

// slowest returns the slowest operations of the store.
func (s *Server) slowest() (all []dashboard.SlowCall) {
	for _, c := range s.b.Meter.Slowest() {
		all = append(all, dashboard.SlowCall{Name: c.Op.Name, Writes: c.Op.Writes, At: c.At, Took: c.Took})
	}
	return all
}

// dashboardKey is the key of a dashboardUser in the context of the dashboard's requests.
type dashboardKey struct{}

// dashboardUser is a browser that has logged in.
type dashboardUser struct {
	token dashboard.TokenID
	from  string // its address
}

// users are the users of the dashboard.
type users struct{ s *Server }

// Local is called by the dashboard.
func (u users) Local(r *http.Request) (user dashboard.User, local bool, err error) {
	p, _ := r.Context().Value(peerKey{}).(peer)
	if !p.local {
		return user, false, nil
	}
	name, err := u.s.authorizeLocal(p, "dashboard")
	return dashboard.User{Name: name, Write: err == nil}, true, err
}

// Login is called by the dashboard.
func (u users) Login(w http.ResponseWriter, r *http.Request, secret string) (dashboard.TokenID, error) {
	t, ok := u.s.tokens.find(secret)
	if !ok {
		return t.hash, u.s.unauthorized(w, r, "dashboard.login", "unknown token")
	}
	u.s.b.Logger.Info("login to the dashboard", "actor", "token "+t.name, "peer", r.RemoteAddr)
	return t.hash, nil
}

// Token is called by the dashboard.
func (u users) Token(id dashboard.TokenID) (dashboard.User, bool) {
	t, ok := u.s.tokens.withHash(id)
	return dashboard.User{Name: "token " + t.name, Write: t.scope.includes(ScopeWrite)}, ok
}

// As is called by the dashboard.
func (u users) As(r *http.Request, id dashboard.TokenID) context.Context {
	if p, _ := r.Context().Value(peerKey{}).(peer); p.trust != nil {
		p.trust()
	}
	return context.WithValue(r.Context(), dashboardKey{}, dashboardUser{id, r.RemoteAddr})
}

// inProcess sends requests to a handler without a connection. The user is in the context.
type inProcess struct{ h http.Handler }

// RoundTrip is called by net/http.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if user, ok := r.Context().Value(dashboardKey{}).(dashboardUser); ok {
		r.RemoteAddr = user.from
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &recorder{status: http.StatusOK, header: make(http.Header)}
	t.h.ServeHTTP(w, r)
	_ = r.Body.Close()
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// recorder is the response of a handler.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header is called by handlers.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader is called by handlers.
func (w *recorder) WriteHeader(status int) { w.status = status }

// Write is called by handlers.
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }

// recordEvery is how often the history gets a sample.
const recordEvery = 10 * time.Second

// loginQuantile is the quantile of the durations of logins that is recorded.
const loginQuantile = 0.99

// probeTimeout is how long loops and the store may take for it.
const probeTimeout = 4 * time.Second

// record records what the server does until ctx ends.
func (s *Server) record(ctx context.Context) {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	before := s.b.Sessions.Stats().LoginTime
	for {
		r, now := s.read(ctx), s.b.Sessions.Stats().LoginTime
		if logins := now.Since(before); logins.Count() > 0 {
			r.Login = time.Duration(logins.Quantile(loginQuantile))
		}
		before = now
		if ctx.Err() != nil {
			return
		}
		s.history.Add(time.Now(), r)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// read reads what the history records, except for the durations of logins.
func (s *Server) read(ctx context.Context) dashboard.Reading {
	counts, messages := s.b.Sessions.Counts(), s.b.Router.Stats()
	r := dashboard.Reading{
		Online: int64(counts.Bound), Logins: s.b.Sessions.Logins(), Login: -1, Ended: s.b.Sessions.Ended(),
		Messages: messages.Messages(),
		Memory:   resident(), CPU: cpuTime(), LoginCPU: s.b.LoginCPU,
		Loops: s.probe(ctx, s.checkLoops),
		Store: s.probe(ctx, func(ctx context.Context) error {
			_, err := s.b.Store.LastAccountEvent(ctx)
			return err
		}),
	}
	r.Expected, _ = s.b.Predict(counts.Bound + counts.Unbound)
	return r
}

// probe returns how long f takes, and a negative number if it fails.
func (s *Server) probe(ctx context.Context, f func(context.Context) error) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	begin := time.Now()
	if err := s.guarded(func() error { return f(ctx) }); err != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return math.MinInt64
	}
	return time.Since(begin)
}

// cpuTime is the CPU time that the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
