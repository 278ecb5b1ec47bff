package server

import (
	"context"
	"log/slog"
	"time"

	"roost/poller"
	"roost/session"
)

// summaryEvery is the interval at which the server logs a summary. One line per minute
// tells an operator more than a line for each of a million sessions; those are logged at
// debug level.
const summaryEvery = time.Minute

// totals are the values in the summary. They count from the start of the server, except
// for current values.
type totals struct {
	sessions, accounts, connections int64 // current values
	accepted, refused, logins       int64
	evicted, gaveUp, recovered      int64 // recovered: from panics
	ended                           []session.Ended
}

func (s *Server) totals() totals {
	counts, t := s.sessions.Counts(), pollerTotals(s.poller.Stats())
	t.sessions, t.accounts = int64(counts.Bound), int64(counts.Accounts)
	t.logins, t.ended = s.sessions.Logins(), s.sessions.Ended()
	t.recovered += s.sessions.Panics()
	return t
}

// pollerTotals returns the poller's part of the totals.
func pollerTotals(s poller.Stats) totals {
	return totals{
		connections: s.Conns, accepted: s.Accepted, refused: s.Refused,
		evicted: s.Evicted, gaveUp: s.GaveUp, recovered: s.Panics,
	}
}

// since returns the changes since before as attributes of a log line, or nil if nothing
// changed. It includes attributes for rare events only if they occurred.
func (now totals) since(before totals) []any {
	accepted, refused, logins := now.accepted-before.accepted, now.refused-before.refused, now.logins-before.logins
	attrs := []any{
		"sessions", now.sessions, "accounts", now.accounts, "connections", now.connections,
		"accepted", accepted, "refused", refused, "logins", logins,
	}
	usual := len(attrs)
	for _, rare := range []slog.Attr{
		slog.Int64("evicted", now.evicted-before.evicted),
		slog.Int64("gave_up", now.gaveUp-before.gaveUp),
		slog.Int64("recovered", now.recovered-before.recovered),
	} {
		if rare.Value.Int64() > 0 {
			attrs = append(attrs, rare)
		}
	}
	if ended := endedSince(now.ended, before.ended); len(ended) > 0 {
		attrs = append(attrs, slog.Group("ended", ended...))
	}
	same := now.sessions == before.sessions && now.connections == before.connections
	if same && accepted == 0 && refused == 0 && logins == 0 && len(attrs) == usual {
		return nil
	}
	return attrs
}

// endedSince counts the sessions that have ended since before, by reason.
func endedSince(now, before []session.Ended) (attrs []any) {
	old := make(map[string]int64)
	for _, e := range before {
		old[e.Reason] = e.Count
	}
	for _, e := range now {
		if n := e.Count - old[e.Reason]; n > 0 {
			attrs = append(attrs, slog.Int64(e.Reason, n))
		}
	}
	return attrs
}

// summarize logs once per minute what the server did in that minute. It skips minutes
// without changes.
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
