package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"roost/admin/api"
	"roost/internal/redact"
	"roost/jid"
	"roost/session"
)

var traceRoutes = []route{
	{id: "session.trace", method: http.MethodPost, path: api.PathTrace, scope: ScopeWrite, lines: true, response: api.TraceLine{}, handle: (*Server).trace,
		summary: "Follow what one session sends and receives: by its full JID, or by the bare JID of an account with one session.",
		query: []param{
			{"seconds", "number", "How long, at most 3600; default 300. The trace also ends with the session."},
			{"bodies", "boolean", "true: also show text and the values of all attributes, such as the bodies of messages. Credentials are never shown. Default false."},
		}},
}

// How long a trace may be.
const (
	defaultTrace = 5 * time.Minute
	maxTrace     = time.Hour
)

// trace streams what a session sends and receives.
func (s *Server) trace(r *request) (any, error) {
	length, err := r.seconds("seconds", defaultTrace, maxTrace)
	if err != nil {
		return nil, err
	}
	bodies, err := r.boolean("bodies")
	if err != nil {
		return nil, err
	}
	found, err := s.findOne(r)
	if err != nil {
		return nil, err
	}
	r.object = found.FullJID()
	tap, err := s.b.Sessions.Tap(found)
	if err != nil {
		return nil, traceError(err)
	}
	r.atEnd(tap.Close)
	s.b.Logger.Info("session traced by an administrator", "jid", r.object, "actor", r.actor)
	return stream(func(ctx context.Context, send func(...any) error) error {
		return s.sendTrace(ctx, tap, r.object, length, bodies, send)
	}), nil
}

// findOne returns the session that the path of a request names: by its full JID, or by the
// bare one of an account with one session.
func (s *Server) findOne(r *request) (*session.Session, error) {
	j, err := jid.Parse(r.PathValue("jid"))
	if err != nil || j.Local() == "" || j.IsFull() {
		return s.find(r)
	}
	var all []string
	var found *session.Session
	for x := s.b.Sessions.First(j.BareString()); x != nil; x = x.Next() {
		if x.Bound() {
			all, found = append(all, x.FullJID()), x
		}
	}
	switch len(all) {
	case 0:
		return nil, &api.Error{Status: 404, Code: api.CodeNotFound, Message: j.String() + " has no session", Hint: "GET /v1/sessions lists sessions"}
	case 1:
		return found, nil
	}
	return nil, &api.Error{Status: 409, Code: api.CodeConflict, Message: fmt.Sprintf("%s has %d sessions", j, len(all)), Hint: "use the full JID of one: " + strings.Join(all, ", ")}
}

// traceError is the error of a request whose session cannot be traced.
func traceError(err error) error {
	switch {
	case errors.Is(err, session.ErrTooManyTaps):
		return &api.Error{Status: 503, Code: api.CodeUnavailable, Message: fmt.Sprintf("there are %d traces already", session.MaxTaps), Hint: "end one, or wait until one has ended"}
	case errors.Is(err, session.ErrEnded):
		return &api.Error{Status: 404, Code: api.CodeNotFound, Message: "the session has just ended"}
	}
	return err
}

// sendTrace sends lines until the trace ends.
func (s *Server) sendTrace(ctx context.Context, tap *session.Tap, jid string, length time.Duration, bodies bool, send func(...any) error) error {
	now := time.Now()
	until := traceTime(now.Add(length))
	timer := time.AfterFunc(length, func() { tap.End(api.TraceTimeUp) })
	defer timer.Stop()
	if err := send(api.TraceLine{Time: traceTime(now), Kind: api.TraceBegin, JID: jid, Until: &until}); err != nil {
		return err
	}
	r := redact.New()
	r.Text = bodies
	for {
		events, err := tap.Next(ctx)
		if err != nil {
			return nil // the reader is gone, or the server stops
		}
		lines := make([]any, len(events))
		for i := range events {
			lines[i] = traceLine(r, &events[i])
		}
		if err := send(lines...); err != nil || events[len(events)-1].Ended != "" {
			return err
		}
	}
}

// traceTime is a time as it is in a trace.
func traceTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// traceLine describes an event.
func traceLine(r *redact.Redactor, e *session.TapEvent) api.TraceLine {
	line := api.TraceLine{Time: traceTime(e.Time), Kind: api.TraceReceived, Bytes: int64(e.Size), Lost: int64(e.Lost)}
	switch {
	case e.Ended != "":
		line.Kind, line.Reason = api.TraceEnd, e.Ended
		return line
	case e.Sent:
		line.Kind = api.TraceSent
	}
	var text []byte
	if line.Cut = e.Size > len(e.XML); line.Cut {
		text, _ = r.AppendStart(nil, e.Scope, e.XML)
	} else {
		text, _ = r.Append(nil, e.Scope, e.XML)
	}
	line.XML = string(text)
	return line
}
