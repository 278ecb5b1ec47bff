package admin

import (
	"net/http"
	"runtime"
	"time"

	"roost/admin/api"
	"roost/internal/histogram"
	"roost/internal/version"
	"roost/poller"
	"roost/session"
	"roost/store"
)

var statsRoutes = []route{
	{id: "stats", method: http.MethodGet, path: api.PathStats, scope: ScopeRead, response: api.Stats{}, handle: (*Server).stats,
		summary: "The figures that roost top shows: numbers since the start, and durations in buckets. GET /metrics has all."},
}

func (s *Server) stats(*request) (any, error) {
	now := time.Now()
	p, m, r := s.b.Poller.Stats(), s.b.Sessions.Stats(), s.b.Router.Stats()
	st := api.Stats{
		Time: now.UTC(), State: s.b.State(), StartedAt: s.started.UTC(), UptimeSeconds: now.Sub(s.started).Seconds(),
		Sessions: sessionCounts(m.Counts, m.Restored), Logins: m.Logins, LoginTime: histogramOf(m.LoginTime), LoginErrors: make(map[string]int64), Ended: make(map[string]int64),
		Messages: r.Messages(), MessagesStored: r.Stored, StanzasReceived: m.Received.Total(), StanzasSent: m.Sent.Total(), BytesReceived: p.BytesIn, BytesSent: p.BytesOut,
		CPUSeconds: cpuTime().Seconds(), CPUs: runtime.GOMAXPROCS(0), Memory: s.memory(m.Bound + m.Unbound),
		LoopTurns: histogramOf(p.Batches),
		Refused:   make(map[string]int64), Evicted: p.Evicted, Delayed: m.Delayed, Throttled: m.Throttled, Unread: p.OutboxBytes, UnauthBytes: p.Unauth,
		Remaining: s.b.Remaining(),
	}
	st.Version, _ = version.Get()
	reads, writes := s.b.Meter.Times()
	st.StoreReads, st.StoreWrites = histogramOf(reads), histogramOf(writes)
	if b, ok := s.b.Store.(store.Batches); ok {
		st.WritesWaiting = int64(b.BatchStats().Waiting)
	}
	for _, a := range m.Attempts {
		if !a.Succeeded() {
			st.LoginErrors[a.Result] += a.Count
		}
	}
	for _, e := range m.Ended {
		st.Ended[e.Reason] = e.Count
	}
	for _, w := range m.Workers {
		st.Workers = append(st.Workers, api.WorkerPool{Work: w.Work, Busy: w.Busy, Limit: w.Limit, Waiting: w.Waiting})
	}
	for reason, n := range p.RefusedBy {
		st.Refused[poller.Refusal(reason).String()] = n
	}
	return st, nil
}

// sessionCounts are the numbers of sessions by state.
func sessionCounts(c session.Counts, r session.RestoredCounts) api.Sessions {
	return api.Sessions{Unbound: int64(c.Unbound), Connected: int64(c.Bound), Available: int64(c.Available), Accounts: int64(c.Accounts),
		Restored: api.Restored{Waiting: int64(r.Waiting), Resumed: int64(r.Resumed), Ended: int64(r.Ended)}}
}

// histogramOf returns a histogram of nanoseconds in seconds.
func histogramOf(h histogram.Snapshot) api.Histogram {
	out := api.Histogram{Bounds: make([]float64, len(h.Bounds)), Counts: h.Counts, Sum: time.Duration(h.Sum).Seconds()}
	for i, b := range h.Bounds {
		out.Bounds[i] = time.Duration(b).Seconds()
	}
	return out
}
