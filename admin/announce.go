package admin

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"roost/admin/api"
	"roost/internal/job"
	"roost/jid"
	"roost/router"
	"roost/session"
)

var announceRoutes = []route{
	{id: "announce.show", method: http.MethodGet, path: api.PathAnnounce, scope: ScopeRead, response: api.Announce{}, handle: (*Server).showAnnounce,
		summary: "Show the announcement that is being sent, or that was sent last."},
	{id: "announce.start", method: http.MethodPost, path: api.PathAnnounce, scope: ScopeWrite, response: api.Announce{}, handle: (*Server).startAnnounce,
		body:    func() any { return new(api.AnnounceRequest) },
		summary: "Send a message to every client with presence. It is sent in the background, to so many clients a second."},
	{id: "announce.abort", method: http.MethodDelete, path: api.PathAnnounce, scope: ScopeWrite, response: api.Announce{}, handle: (*Server).abortAnnounce,
		summary: "Abort the announcement that is being sent."},
}

const (
	maxAnnounceRate = 1e6
	minAnnounceRate = 0.001
	maxAnnounceText = 4000 // characters
)

// announceBatch is how many clients a worker is given at a time.
const announceBatch = 256

// announcer sends announcements, one at a time.
type announcer struct {
	s   *Server
	job job.Job

	mu            sync.Mutex
	last          *api.Announce // without the counters; nil: there was none
	clients       atomic.Int64
	sent, skipped atomic.Int64
}

// status returns the current or last announcement.
func (a *announcer) status() (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last == nil {
		return nil, &api.Error{Status: 404, Code: api.CodeNotFound, Message: "there has been no announcement since the server started"}
	}
	status := *a.last
	status.Clients, status.Sent, status.Skipped = a.clients.Load(), a.sent.Load(), a.skipped.Load()
	return status, nil
}

func (s *Server) showAnnounce(*request) (any, error) { return s.announce.status() }

func (s *Server) abortAnnounce(*request) (any, error) {
	if !s.announce.job.Abort() {
		return nil, &api.Error{Status: 409, Code: api.CodeConflict, Message: "no announcement is being sent"}
	}
	return s.announce.status()
}

func (s *Server) startAnnounce(r *request) (any, error) {
	q := r.body.(*api.AnnounceRequest)
	if err := s.checkAnnounce(q); err != nil {
		return nil, err
	}
	status := &api.Announce{
		State: api.JobRunning, Text: q.Text, Subject: q.Subject, Domain: q.Domain, Rate: q.Rate, Actor: r.actor, StartedAt: time.Now().UTC(),
	}
	a := &s.announce
	begin := func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.last = status
		a.clients.Store(int64(s.b.Sessions.Counts().Available))
		a.sent.Store(0)
		a.skipped.Store(0)
	}
	if !a.job.Start(begin, func(ctx context.Context) { a.run(ctx, q) }, a.end) {
		return nil, &api.Error{Status: 409, Code: api.CodeConflict, Message: "another announcement is being sent", Hint: "wait for its end, or abort it with DELETE /v1/announce"}
	}
	return a.status()
}

// checkAnnounce checks a request and fills in what it leaves out.
func (s *Server) checkAnnounce(q *api.AnnounceRequest) (err error) {
	switch {
	case q.Text == "":
		return badField("text", "", "there is no text")
	case !isMessage(q.Text, maxAnnounceText):
		return badField("text", "", "text must be at most %d characters, without control characters but line breaks and tabs", maxAnnounceText)
	}
	if q.Subject, err = clientText("subject", q.Subject, ""); err != nil {
		return err
	}
	if q.Domain != "" {
		normal, err := jid.NormalizeDomain(q.Domain)
		if err != nil || !s.b.Sessions.Serves(normal) {
			return badField("domain", "GET /v1/status lists the domains", "%q is not a domain of this server", q.Domain)
		}
		q.Domain = normal
	}
	if q.Rate == 0 {
		q.Rate = api.DefaultAnnounceRate
	}
	if !(q.Rate >= minAnnounceRate && q.Rate <= maxAnnounceRate) {
		return badField("rate", "", "rate must be %g to %d clients a second", minAnnounceRate, int(maxAnnounceRate))
	}
	return nil
}

// isMessage reports whether text is valid as the body of a message.
func isMessage(text string, limit int) bool {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > limit {
		return false
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && r < ' ' || r >= 0x7f && r < 0xa0 || r&0xfffe == 0xfffe {
			return false
		}
	}
	return true
}

// run sends an announcement until it is done or ctx ends.
func (a *announcer) run(ctx context.Context, q *api.AnnounceRequest) {
	log := a.s.b.Logger
	log.Info("announcement begins", "actor", a.last.Actor, "sessions", a.clients.Load())
	if q.Domain != "" {
		a.countClients(ctx, q.Domain)
	}
	a.send(ctx, q)
}

// end records that the announcement has ended.
func (a *announcer) end(aborted bool) {
	state := api.JobDone
	if aborted {
		state = api.JobAborted
	}
	now := time.Now().UTC()
	a.mu.Lock()
	a.last.EndedAt, a.last.State = &now, state
	a.mu.Unlock()
	a.s.b.Logger.Info("announcement has ended", "state", string(state), "sent", a.sent.Load(), "skipped", a.skipped.Load())
}

// concerns reports whether a session gets an announcement for a domain, or for all if
// domain is empty.
func concerns(x *session.Session, domain string) bool {
	return router.Available(x) && (domain == "" || x.Host() == domain)
}

// countClients counts the clients of a domain.
func (a *announcer) countClients(ctx context.Context, domain string) {
	n := int64(0)
	if a.s.walk(ctx, &sessionQuery{}, func(x *session.Session) {
		if concerns(x, domain) {
			n++
		}
	}) == nil {
		a.clients.Store(n)
	}
}

// send walks the session table, which is not locked meanwhile, and sends the announcement
// to those whom it concerns. Each session is met once, or never if it leaves or comes
// meanwhile.
func (a *announcer) send(ctx context.Context, q *api.AnnounceRequest) {
	pace := job.NewPace(q.Rate, a.s.ticker)
	defer pace.Stop()
	what := router.NewAnnouncement(q.Subject, q.Text)
	batch := make([]*session.Session, 0, announceBatch)
	may := 0
	send := func() {
		a.sendBatch(what, batch)
		clear(batch) // sessions that have ended are not kept while the pace is waited for
		batch, may = batch[:0], 0
	}
	a.s.b.Sessions.Each(func(x *session.Session) bool {
		if !concerns(x, q.Domain) {
			return ctx.Err() == nil
		}
		if may == 0 {
			if may = pace.Wait(ctx, announceBatch); may == 0 {
				return false
			}
		}
		if batch = append(batch, x); len(batch) == may {
			send()
		}
		return true
	})
	if len(batch) > 0 && ctx.Err() == nil {
		send()
	}
}

// sendBatch has a worker send to some sessions, and waits for it.
func (a *announcer) sendBatch(what *router.Announcement, batch []*session.Session) {
	done := make(chan struct{})
	a.s.b.Sessions.Go(session.Read, func(t *session.Turn) {
		defer close(done) // also if it panics, from which the worker recovers
		for _, x := range batch {
			if !router.Available(x) {
				continue // it has left since
			}
			if a.s.b.Router.Announce(t, x, what) {
				a.sent.Add(1)
			} else {
				a.skipped.Add(1)
			}
			if t.Spent() {
				t.Pause()
			}
		}
	})
	<-done
}
