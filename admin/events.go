package admin

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"roost/admin/api"
	"roost/internal/events"
	"roost/internal/logring"
)

var eventRoutes = []route{
	{id: "events", method: http.MethodGet, path: api.PathEvents, scope: ScopeRead, lines: true, response: api.Event{}, handle: (*Server).followEvents,
		summary: "What happens from now on: logins, failed ones, ends of sessions, changes of accounts, actions of administrators, and lines of the log.",
		query: []param{
			{"kind", "string", "only these kinds, separated by commas: login, login-failed, end, detached, resumed, account, admin, log"},
			{"account", "string", "only events of this account"},
		}},
}

// eventKinds are the names of the kinds.
var eventKinds = map[events.Kind]api.EventKind{
	events.Login: api.EventLogin, events.LoginFailed: api.EventLoginFailed, events.End: api.EventEnd, events.Detached: api.EventDetached, events.Resumed: api.EventResumed,
	events.Account: api.EventAccount, events.Admin: api.EventAdmin, events.Log: api.EventLog,
}

// followEvents sends events as they happen.
func (s *Server) followEvents(r *request) (any, error) {
	filter, err := parseEventFilter(r)
	if err != nil {
		return nil, err
	}
	return stream(func(ctx context.Context, send func(...any) error) error {
		sub := s.events.Subscribe(filter)
		defer sub.Close()
		if err := send(); err != nil {
			return err
		}
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-sub.Ready():
			}
			if err := send(eventLines(sub.Take())...); err != nil {
				return err
			}
		}
	}), nil
}

// parseEventFilter checks the parameters.
func parseEventFilter(r *request) (f events.Filter, err error) {
	f.Kinds = events.All
	if text := r.URL.Query().Get("kind"); text != "" {
		f.Kinds = 0
		for name := range strings.SplitSeq(text, ",") {
			kind, ok := eventKind(api.EventKind(name))
			if !ok {
				return f, badField("kind", "use login, login-failed, end, detached, resumed, account, admin or log, or several of these, separated by commas", "%q is not a kind of event", name)
			}
			f.Kinds |= kind
		}
	}
	if text := r.URL.Query().Get("account"); text != "" {
		j, err := parseAccount("account", text)
		if err != nil {
			return f, err
		}
		f.Account = j.String()
	}
	return f, nil
}

// eventKind returns the kind with a name.
func eventKind(name api.EventKind) (events.Kind, bool) {
	for kind, n := range eventKinds {
		if n == name {
			return kind, true
		}
	}
	return 0, false
}

// eventLines are lines of events, and one of those that were lost.
func eventLines(all []events.Event, lost int) (lines []any) {
	for i := range all {
		lines = append(lines, eventLine(&all[i]))
	}
	if lost > 0 {
		lines = append(lines, api.Event{Time: eventTime(time.Now()), Kind: api.EventLost, Lost: lost})
	}
	return lines
}

func eventTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func eventLine(e *events.Event) api.Event {
	line := api.Event{
		Time: eventTime(e.Time), Kind: eventKinds[e.Kind], JID: e.JID, Peer: e.From, Mechanism: e.Mechanism, Reason: e.Reason, Cause: e.Err,
		Actor: e.Actor, Action: e.Action, Object: e.Object, Result: e.Result, Level: e.Level, Text: e.Text, Fields: e.Fields,
	}
	if e.Peer.IsValid() {
		line.Peer = e.Peer.String()
	}
	return line
}

// recordAction writes an action of an administrator to the audit log, and publishes it
// without its parameters.
func (s *Server) recordAction(e AuditEntry) {
	s.audit.Record(e)
	s.events.Publish(events.Admin, func() events.Event {
		return events.Event{From: e.From, Actor: e.Actor, Action: e.Action, Object: e.Object, Result: e.Result}
	})
}

// publishLog publishes a line of the log. It is called while the line is logged, so it must
// not log anything. Lines at level info that are about a client or an administrator have an
// event of their own, and a summary is no event.
func (s *Server) publishLog(l logring.Line) {
	if l.Level < slog.LevelWarn && slices.ContainsFunc([]string{"jid", "actor", "since"}, l.Has) {
		return
	}
	s.events.Publish(events.Log, func() events.Event {
		return events.Event{Level: levelName(l.Level), Text: l.Text, Fields: l.Fields}
	})
}
