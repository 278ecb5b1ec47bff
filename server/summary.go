package server

import (
	"context"
	"log/slog"
	"time"

	"roost/session"
)

// summaryEvery is how often the server logs what it did: one line a minute tells
// an operator more than a line for each of a million sessions, which are logged
// at debug.
const summaryEvery = time.Minute

// totals is what the summary is made of, counted since the start except for what
// there is now.
type totals struct {
	sessions, accounts, connections int64 // now
	accepted, refused, logins       int64
	ended                           []session.Ended
}

func (s *Server) totals() totals {
	counts, stats := s.sessions.Counts(), s.poller.Stats()
	return totals{
		sessions: int64(counts.Bound), accounts: int64(counts.Accounts), connections: stats.Conns,
		accepted: stats.Accepted, refused: stats.Refused, logins: s.sessions.Logins(),
		ended: s.sessions.Ended(),
	}
}

// since is what changed since before, as attributes of a log line, nil if nothing
// did.
func (now totals) since(before totals) []any {
	var ended []any
	old := make(map[string]int64)
	for _, e := range before.ended {
		old[e.Reason] = e.Count
	}
	for _, e := range now.ended {
		if n := e.Count - old[e.Reason]; n > 0 {
			ended = append(ended, slog.Int64(e.Reason, n))
		}
	}
	accepted, refused, logins := now.accepted-before.accepted, now.refused-before.refused, now.logins-before.logins
	same := now.sessions == before.sessions && now.connections == before.connections
	if same && accepted == 0 && refused == 0 && logins == 0 && len(ended) == 0 {
		return nil
	}
	attrs := []any{
		"sessions", now.sessions, "accounts", now.accounts, "connections", now.connections,
		"accepted", accepted, "refused", refused, "logins", logins,
	}
	if len(ended) > 0 {
		attrs = append(attrs, slog.Group("ended", ended...))
	}
	return attrs
}

// summarize logs once a minute what the server did in that minute. A minute in
// which nothing changed has no line.
func summarize(ctx context.Context, log *slog.Logger, read func() totals) {
	var before totals
	every(ctx, summaryEvery, func() {
		now := read()
		if attrs := now.since(before); attrs != nil {
			log.Info("last minute", attrs...)
		}
		before = now
	})
}
