package admin

import (
	"bytes"
	"net/http"

	"roost/admin/api"
	"roost/admin/metrics"
	"roost/internal/version"
	"roost/store"
)

var metricsRoutes = []route{
	{id: "metrics", method: http.MethodGet, path: api.PathMetrics, scope: ScopeRead, response: "", media: "text/plain", handle: (*Server).scrape,
		summary: "All metrics in the formats of Prometheus."},
}

// source is where the metrics come from.
func (s *Server) source() metrics.Source {
	src := metrics.Source{
		Poller: s.b.Poller.Stats, Sessions: s.b.Sessions.Stats, Router: s.b.Router.Stats, Store: s.b.Meter,
		Ready:        func() bool { return s.b.State() == api.Serving },
		Certificates: s.b.Expiry, Capacity: s.b.Remaining, LogDropped: s.cfg.LogDropped, Traces: s.b.Sessions.Taps, Panics: s.panics.Count,
	}
	src.Cluster, src.LastBackup, src.Renewals = s.b.Cluster, s.b.LastBackup, s.b.Renewals
	src.Version, src.Commit = version.Get()
	src.Batches, _ = s.b.Store.(store.Batches)
	return src
}

// scrape is the request of Prometheus.
func (s *Server) scrape(r *request) (any, error) {
	var b bytes.Buffer
	contentType, err := s.metrics.Write(&b, r.Header)
	if err != nil {
		return nil, err
	}
	return rawBody{contentType, b.Bytes()}, nil
}
